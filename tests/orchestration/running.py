"""Running: the command line in a process of its own, on a small form of the built-in sample."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from assets.settings import REPOSITORY
from assets.workspace import Workspace


@dataclass(frozen=True)
class FinishedRun:
    """A run of the pipeline that came to its end."""

    workspace: Workspace
    output: str
    environment: dict[str, str]


def small_config(folder: Path) -> Path:
    """The sample's configuration with short trainings and one round after the seed."""
    value = yaml.safe_load((REPOSITORY / "configs" / "sample.yaml").read_text("utf-8"))
    value["catalogue"] = str(REPOSITORY / "configs" / "sources" / "sample.yaml")
    value["rounds"] |= {"num_rounds": 2, "seed_people": {"train": 260, "dev": 130, "holdout": 220}, "seed_judged": 400}
    # Fewer answers at the page, and pairs that one person alone has seen.
    value["people"] |= {"overlap_rate": 0.3}
    recipe = value["models"]["loop"] | {"max_steps": 20, "eval_every": 10, "hidden_size": 32, "num_layers": 1}
    value["models"] = {"loop": recipe, "gold": recipe, "final": {"tiny": recipe}}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(value), "utf-8")
    return path


def synpref(*arguments: str, environment: dict[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *arguments],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=check,
    )


def environment_of(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SYNPREF_", "DAGSTER_"))}
    return kept | {"SYNPREF_HOME": str(home), "SYNPREF_DBT_TARGET": str(home / "dbt_target")}
