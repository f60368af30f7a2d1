"""Served model: what must be said of a model for vLLM to serve it. Judges' settings are one such thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class ServedModel(Protocol):
    """A model and how vLLM is to run it."""

    @property
    def model(self) -> str:
        """A Hugging Face id or a folder; the server answers to this name."""
        ...

    @property
    def revision(self) -> str:
        """The commit of a model of the hub; empty for a folder."""
        ...

    @property
    def max_context_tokens(self) -> int:
        """What a request may hold."""
        ...

    @property
    def vllm_arguments(self) -> Mapping[str, str]:
        """Further arguments of the server, names without `--`."""
        ...

    @property
    def vllm_ready_s(self) -> float:
        """Seconds within which a server must answer."""
        ...
