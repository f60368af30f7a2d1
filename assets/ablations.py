"""Ablations: the arms in which the stage-1 loop is compared with itself, each a few changes of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.errors import ConfigError

FULL = "full"
"""The arm that the others are compared with."""


@dataclass(frozen=True)
class Arm:
    """One way to run the loop.

    Attributes:
        name: names a folder.
        says: what is different, for people.
        changes: settings by section; everything else is as configured, the budget above all.
    """

    name: str
    says: str
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def shares_seed_verdicts(self) -> bool:
        """Whether judges are shown in the seed round what they are shown in the full recipe's."""
        return not {"voting", "embedding", "attributes", "judges"} & set(self.changes)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(FULL, "the configuration as it is: error-driven retrieval, attributes, examples, people"),
        Arm(
            "random_retrieval",
            "each round draws as many pairs from the pool by hash as error-driven retrieval would have taken",
            {"rounds": {"retrieval": "random"}},
        ),
        Arm("no_attributes", "retrieval sees the conversation alone", {"embedding": {"attributes": False}}),
        Arm("no_examples", "judges are shown no gold pairs", {"voting": {"guidance": "none"}}),
        Arm(
            "no_people",
            "after the seed no pair goes to people; what they would have labelled goes to the judges",
            {"rounds": {"people_per_round": 0}},
        ),
    )
}


def named_arms(names: str) -> tuple[Arm, ...]:
    """Arms by name, separated by commas; the full recipe is always among them and first.

    Raises:
        ConfigError: an arm that there is not; the known ones are named.

    >>> [arm.name for arm in named_arms("no_people")]
    ['full', 'no_people']
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := sorted(set(wanted) - set(ARMS)):
        raise ConfigError(f"There is no arm named {unknown[0]!r}.", todo=f"use {', '.join(ARMS)}")
    return tuple(arm for arm in ARMS.values() if arm.name == FULL or arm.name in wanted)


def configured(value: Mapping[str, Any], arm: Arm, seed: int, folder: Path) -> dict[str, Any]:
    """A configuration file's content for an arm and a seed.

    Args:
        value: the file's mapping.
        folder: where the file lies: relative paths in it are made absolute, as the arm's file lies elsewhere.

    >>> given = {"catalogue": "a.yaml", "seed": 1, "rounds": {"k_max": 8}}
    >>> configured(given, ARMS["random_retrieval"], 2, Path("/c"))
    {'catalogue': '/c/a.yaml', 'seed': 2, 'rounds': {'k_max': 8, 'retrieval': 'random'}, 'benchmarks': []}
    """
    found = deepcopy(dict(value))
    found["seed"] = seed
    found["catalogue"] = _absolute(found["catalogue"], folder)
    for section, changes in arm.changes.items():
        found[section] = {**found.get(section, {}), **changes}
    found["benchmarks"] = [{**b, "path": _absolute(b["path"], folder)} for b in found.get("benchmarks", [])]
    return found


def _absolute(path: str, folder: Path) -> str:
    return path if path.startswith(("{", "/", "~")) else str((folder / path).resolve())
