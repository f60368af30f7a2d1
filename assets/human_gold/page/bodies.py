"""The JSON that the page takes, as models: what has another shape is refused with a sentence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from assets.human_gold.desk.views import Answer


def _without_nul(text: str) -> str:
    # PostgreSQL stores no NUL.
    if "\x00" in text:
        raise ValueError("a text holds the character NUL")
    return text


Text = Annotated[str, Field(max_length=50_000), AfterValidator(_without_nul)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_without_nul)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AnswerBody(_Body):
    """An answer, or an adjudicator's decision. Whether its values exist is the desk's to say."""

    key: Name
    client_key: Annotated[str, Field(min_length=8, max_length=64), AfterValidator(_without_nul)]
    verdict: Name
    strength: Name | None = None
    reasons: list[Name] = Field(default_factory=list, max_length=50)
    comment: Text = ""
    edited_attributes: dict[Name, Text] = Field(default_factory=dict, max_length=20)
    guideline_version: Annotated[str, Field(max_length=40), AfterValidator(_without_nul)] = ""
    active_seconds: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)
    revision: int = Field(default=0, ge=0, le=1_000_000)

    def answer(self) -> Answer:
        """As the desk takes it."""
        return Answer(**{**self.model_dump(), "reasons": tuple(self.reasons)})


class DraftForm(_Body):
    """What the form held when it was left."""

    verdict: Name | None = None
    strength: Name | None = None
    reasons: list[Name] = Field(default_factory=list, max_length=50)
    comment: Text = ""
    edited_attributes: dict[Name, Text] = Field(default_factory=dict, max_length=20)
    active_seconds: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)


class DraftBody(_Body):
    """A draft of one task."""

    key: Name
    form: DraftForm


class KeyBody(_Body):
    """A task, to be put back."""

    key: Name


class InviteBody(_Body):
    """A person who shall have an account."""

    handle: Name
    role: Literal["annotator", "adjudicator", "manager"]
    display_name: Annotated[str, Field(max_length=200), AfterValidator(_without_nul)] = ""


class HandleBody(_Body):
    """A person."""

    handle: Name


class RoleBody(HandleBody):
    """A person's new role."""

    role: Literal["annotator", "adjudicator", "manager"]


class WithdrawBody(_Body):
    """Tasks that nobody shall answer any more: named one by one, or all of some pairs."""

    task_ids: list[Name] = Field(default_factory=list, max_length=10_000)
    pair_ids: list[Name] = Field(default_factory=list, max_length=10_000)
    why: Annotated[str, Field(min_length=3, max_length=2000), AfterValidator(_without_nul)]
