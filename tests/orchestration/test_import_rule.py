"""Only the glue knows Dagster: the `assets.py` of each room and `orchestration/`."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS = ("assets", "training", "evaluation")


def imported_modules(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def is_glue(path: Path) -> bool:
    parts = path.relative_to(REPOSITORY).parts
    return parts[0] == "orchestration" or (parts[0] == "assets" and len(parts) > 2 and parts[-1] == "assets.py")


def imports_dagster(source: str) -> bool:
    # dagster_pipes is the small library that a child process reports with; it does not import dagster.
    return any(name.split(".")[0] in ("dagster", "dagster_dbt") for name in imported_modules(source))


def pure_modules() -> list[Path]:
    return sorted(p for room in ROOMS for p in (REPOSITORY / room).rglob("*.py") if not is_glue(p))


@pytest.mark.parametrize("path", pure_modules(), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_pure_modules_do_not_import_dagster_or_orchestration(path):
    source = path.read_text("utf-8")
    assert not imports_dagster(source)
    assert not any(name.split(".")[0] == "orchestration" for name in imported_modules(source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import dagster", True),
        ("import dagster as dg", True),
        ("def f():\n    from dagster import asset", True),
        ("from dagster_dbt import dbt_assets", True),
        ("from dagster_pipes import open_dagster_pipes", False),
        ("import os", False),
    ],
)
def test_the_rule_sees_every_form_of_import(source, expected):
    assert imports_dagster(source) is expected


def test_training_and_evaluation_know_no_artifact():
    """They are usable without the curation rooms: only the shared core of `assets` is theirs to import."""
    # vllm/ makes no artifact: it starts the servers of judges and of scorers alike.
    core = {"__pycache__", "vllm"}
    artifacts = {p.name for p in (REPOSITORY / "assets").iterdir() if p.is_dir()} - core
    for room in ("training", "evaluation"):
        for path in (REPOSITORY / room).rglob("*.py"):
            for name in imported_modules(path.read_text("utf-8")):
                parts = name.split(".")
                assert not (parts[0] == "assets" and len(parts) > 1 and parts[1] in artifacts), f"{path}: {name}"
