"""What a page works with: the desk's services and what the lead plugs in, gathered once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.engine import Engine

from assets.human_gold.desk.accounts import Accounts
from assets.human_gold.desk.adjudication import Adjudication
from assets.human_gold.desk.answering import Desk
from assets.human_gold.page.rendering import RenderCache
from assets.human_gold.page.settings import PageSettings

Section = tuple[Sequence[Mapping[str, Any]], Sequence[str]]
"""Rows of a table (column -> value) and plots as `data:image/...` addresses."""

AgreementSections = Callable[[], Mapping[str, Section]]
"""Section title -> table and plots; called when a manager opens the page."""


class Guidelines(Protocol):
    """The written guidelines, as `assets.guidelines` loads them."""

    @property
    def version(self) -> str:
        """Hash of all texts."""

    def text(self, category: str, objectivity: str, controversiality: str, *, tools: bool = True) -> str:
        """The guideline of one kind of pair, as Markdown."""

    def version_of(self, category: str, objectivity: str, controversiality: str) -> str:
        """Hash of that text: what a label stores."""


def utc_now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Services:
    """Everything that routes use."""

    engine: Engine
    accounts: Accounts
    desk: Desk
    adjudication: Adjudication
    guidelines: Guidelines
    settings: PageSettings
    agreement: AgreementSections | None
    clock: Callable[[], datetime]
    cache: RenderCache
    adjudicate: str

    @classmethod
    def over(
        cls,
        engine: Engine,
        guidelines: Guidelines,
        settings: PageSettings,
        agreement: AgreementSections | None,
        clock: Callable[[], datetime],
        adjudicate: str,
    ) -> Services:
        """The services over one database."""
        lease = timedelta(seconds=settings.lease_s)
        return cls(
            engine=engine,
            accounts=Accounts(engine, clock),
            desk=Desk(engine, clock, lease=lease, reveal=settings.reveal, rule=adjudicate),
            adjudication=Adjudication(engine, clock, lease),
            guidelines=guidelines,
            settings=settings,
            agreement=agreement,
            clock=clock,
            cache=RenderCache(),
            adjudicate=adjudicate,
        )
