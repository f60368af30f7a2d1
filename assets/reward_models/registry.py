"""The registry: model versions in MLflow, their aliases, and the ledger of promotions in the lake.

MLflow can be lost; the table `promotions` holds every decision with its evidence and survives it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlparse

from assets.contracts import from_rows
from assets.errors import ConfigError
from assets.lake import Lake
from assets.workspace import Workspace
from evaluation.gate import GateDecision

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"


def model_name(size: str) -> str:
    """The registered model of a size."""
    return f"synpref-rm-{size}"


class Registry:
    """Registers versions and moves aliases; decides nothing.

    Args:
        workspace: names the tracking server.
    """

    def __init__(self, workspace: Workspace) -> None:
        import mlflow

        mlflow.set_tracking_uri(workspace.mlflow_uri)
        self._client = mlflow.MlflowClient()

    def register(self, size: str, trained: Mapping, *, tags: Mapping[str, str]) -> str:
        """Register a trained model and return its version; the same weights keep the version they have.

        Args:
            trained: a row of `trained_models`.
            tags: stored on the version, beside the hash of the weights.
        """
        name = model_name(size)
        self._ensure(name)
        for version in self._client.search_model_versions(f"name = '{name}'"):
            if version.tags.get("weights") == trained["model_version"]:
                return str(version.version)
        created = self._client.create_model_version(
            name,
            source=Path(trained["folder"]).as_uri(),
            run_id=trained["mlflow_run_id"],
            tags={"weights": trained["model_version"], **tags},
        )
        return str(created.version)

    def version_of(self, size: str, alias: str) -> tuple[str, dict[str, str]] | None:
        """Version and tags behind an alias; None when nothing bears it."""
        import mlflow

        try:
            found = self._client.get_model_version_by_alias(model_name(size), alias)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return str(found.version), dict(found.tags)

    def folder_of(self, size: str, version: str) -> tuple[str, Path]:
        """Version and folder of a registered model.

        Args:
            version: its number, or an alias.

        Raises:
            ConfigError: nothing is registered so, or its folder is not on this machine.
        """
        import mlflow

        name = model_name(size)
        try:
            found = (
                self._client.get_model_version(name, version)
                if version.isdigit()
                else self._client.get_model_version_by_alias(name, version)
            )
        except mlflow.exceptions.MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise ConfigError(
                f"The registry has no {name}@{version}.", todo="run the pipeline up to champion, or name a folder"
            ) from None
        source = urlparse(found.source or "")
        folder = Path(unquote(source.path))
        if source.scheme != "file" or not folder.is_dir():
            raise ConfigError(f"The folder of {name}@{version} is not on this machine.", where=str(found.source))
        return str(found.version), folder

    def point(self, size: str, alias: str, version: str) -> None:
        """Give a version an alias, taking it from whichever had it."""
        self._client.set_registered_model_alias(model_name(size), alias, version)

    def tag(self, size: str, version: str, tags: Mapping[str, str]) -> None:
        """Store facts on a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(model_name(size), version, key, value)

    def _ensure(self, name: str) -> None:
        import mlflow

        try:
            self._client.create_registered_model(name)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def record_decision(
    lake: Lake,
    size: str,
    *,
    candidate: str,
    champion: str | None,
    decision: GateDecision,
    created_at: datetime,
) -> None:
    """Append a decision of the gate to the ledger of promotions."""
    name = model_name(size)
    partition = {"model_name": name}
    before = lake.read("promotions", **partition).to_pylist()
    row = {
        "model_name": name,
        "candidate_version": candidate,
        "champion_version": champion,
        "promoted": decision.promote,
        "reason": " ".join(decision.reasons),
        "evidence": json.dumps(decision.as_dict(), sort_keys=True),
        "seq": len(before),
        "created_at": created_at,
    }
    same = [b for b in before if (b["candidate_version"], b["champion_version"]) == (candidate, champion)]
    if not any(b["evidence"] == row["evidence"] for b in same):
        lake.publish("promotions", from_rows([*before, row], "promotions"), partition)
