"""Suite: the models of the paper's suite, one file of `training/configs` each, and how a run names one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from assets.errors import ConfigError
from assets.settings_base import Positive, Settings, describe_validation
from training.recipe import TrainingRecipe

CONFIGS = Path(__file__).parent / "configs"
_COMMIT = re.compile(r"[0-9a-f]{40}")


class SuiteModel(Settings):
    """One model of the suite.

    Attributes:
        mixture: what the paper trained it on.
        num_parameters: with one scalar head and without a language-model head.
        min_gpus: smallest power of two of 80 GB GPUs that it fits on, by the estimate in its file.
        recipe: the paper's final training; `revision` is empty until somebody looks the commit up.
    """

    mixture: Literal["kept", "kept_and_flipped"]
    num_parameters: Positive
    min_gpus: Positive
    recipe: TrainingRecipe


def load_suite_model(path: Path) -> SuiteModel:
    """Read a file of the suite.

    Raises:
        ConfigError: it is missing, not YAML, or a setting is wrong.
    """
    return _read(path, {})


def suite_model(entry: Mapping[str, Any], folder: Path = CONFIGS) -> SuiteModel:
    """The model that an entry of a run's `models.final` stands for.

    Args:
        entry: `config`, a file's name, and settings of the recipe that replace the file's; a setting that is a
            mapping, such as `zero`, is replaced as a whole.
        folder: where the file lies.

    Raises:
        ConfigError: the file cannot be read, or nobody has named the base model's commit.
    """
    name = str(entry["config"])
    if Path(name).name != name:
        raise ConfigError(f"{name!r} is no name of a file in {folder}.", where="models.final", todo="name one of them")
    model = _read(folder / name, {key: value for key, value in entry.items() if key != "config"})
    base, revision = model.recipe.model, model.recipe.revision
    # A hub id without its commit may be another model tomorrow.
    if not Path(base).is_dir() and not base.startswith("package:") and not _COMMIT.fullmatch(revision):
        raise ConfigError(
            f"The commit of {base} is {revision!r}, and must be 40 hexadecimal digits.",
            where=f"revision, {folder / name}",
            todo=f"look it up on the hub's page of {base} (Files, History) and put it beside `config: {name}` as "
            "`revision: ...`",
        )
    return model


def _read(path: Path, changes: Mapping[str, Any]) -> SuiteModel:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
        return SuiteModel(**{**values, "recipe": {**values["recipe"], **changes}})
    except FileNotFoundError:
        there = ", ".join(sorted(found.name for found in path.parent.glob("*.yaml")))
        raise ConfigError(
            "There is no such model of the suite.", where=str(path), todo=f"name one of {there}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise ConfigError(
            f"A model of the suite is not a mapping with a recipe: {error!r}.", where=str(path)
        ) from error
    except ValidationError as error:
        raise ConfigError(
            f"A model of the suite cannot be used: {describe_validation(error)}.",
            where=str(path),
            todo="correct the settings named",
        ) from error
