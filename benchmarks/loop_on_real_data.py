"""The loop on real data: writes a configuration of the sources that people labelled, to compare arms of the loop on.

`python -m benchmarks.loop_on_real_data FOLDER`, then what it prints. `configs/real.yaml` without the wild pool, without
the paraphrase scan and with a round more: what the loop needs, in a fraction of the time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from assets.settings import REPOSITORY, read_yaml

_SOURCES = ("ukpconvarg1", "simpeval", "hh_rlhf_test", "webgpt_test", "llmeval2")
_NUM_ROUNDS = 4


def write_configuration(folder: Path) -> Path:
    """Configuration and catalogue in a folder; returns the configuration."""
    configs = REPOSITORY / "configs"
    catalogue = read_yaml(configs / "sources" / "real.yaml")
    catalogue["sources"] = [entry for entry in catalogue["sources"] if entry["name"] in _SOURCES]
    settings = read_yaml(configs / "real.yaml")
    settings.pop("decontamination")
    settings["name"] = "real_people"
    settings["catalogue"] = "sources.yaml"
    settings["rounds"]["num_rounds"] = _NUM_ROUNDS
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (("sources", catalogue), ("real_people", settings)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), "utf-8")
    return folder / "real_people.yaml"


if __name__ == "__main__":
    path = write_configuration(Path(sys.argv[1]))
    print(f"synpref ablate --config {path} --arms random_retrieval --trainings 3")
