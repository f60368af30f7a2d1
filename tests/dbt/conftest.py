"""A small lake and a way to run layers on it, with one parsed project for the whole session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.dbt_layers import DbtLayerResult, ensure_manifest, run_dbt_layer
from tests.dbt.small_lakes import SmallLake


@pytest.fixture(scope="session")
def dbt_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the parsed project, apart from every other process's."""
    target = tmp_path_factory.mktemp("dbt_target")
    ensure_manifest(target)
    return target


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    # A quote and braces in the home folder's name are nobody's fault.
    return SmallLake(tmp_path / "it's {home}" / "lake")


@pytest.fixture
def run_layer(lake: SmallLake, dbt_target: Path, tmp_path: Path) -> Callable[..., DbtLayerResult]:
    def run(select: str, **variables) -> DbtLayerResult:
        out = lake.root.parent / "out" / select.replace(":", "_") / str(len(variables))
        return run_dbt_layer(
            select, lake.files_for_dbt(), out, lake.root.parent / "work.duckdb", variables, target=dbt_target
        )

    return run
