"""Source entries: what the catalogue may say of one source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from assets.errors import SynprefError
from assets.lake import check_slug
from assets.settings import Settings, Share

LabelOrigin = Literal["human", "llm", "verifiable", "model_strength"]
LayoutName = Literal[
    "auto",
    "pair_file",
    "chosen_rejected_text",
    "chosen_rejected_messages",
    "chosen_rejected_transcript",
    "two_responses",
    "two_conversations",
    "ranking",
    "ratings",
    "rated_rows",
]
Side = Literal["first", "second"]


class HubLocation(Settings):
    """A data set of the Hugging Face hub. The revision is pinned: a branch is resolved and its commit recorded.

    Attributes:
        files: files of the repository to read, as a shell pattern.
        config, split: which ones of the data set's; empty for its only configuration, and for all its splits.
        copy_at: folder that holds a copy of the repository, read in place of the hub.
    """

    id: str
    revision: str = Field(min_length=1)
    files: str = "*.parquet"
    config: str = ""
    split: str = ""
    copy_at: str = ""


class VoteSettings(Settings):
    """Verdicts recorded with a source's rows: where they stand and who replays them.

    use:
        crowd: a list of people's votes. The first is the source's label, two of the last (one where there are
            three) are a judge named "crowd votes replayed as judge", the rest are people.
        later_judges: a list of judges' verdicts. The first is the source's label, the others are judges'.
        other_judges: judge to verdict. `label_maker` names the one the label was made from; the others are judges'.
        single_person: no column; the label of a row with label origin `human` is one person's vote.
    Columns may be dotted: `meta.votes` looks into `meta`, decoding it where it is JSON text.
    """

    use: Literal["crowd", "later_judges", "other_judges", "single_person"]
    column: str = ""
    # Where a vote is itself a list: positions of its labeller, of its verdict and of the order it was shown in.
    labeller_at: int | None = None
    verdict_at: int | None = None
    order_at: int | None = None
    orders: dict[str, Side] = Field(default_factory=dict)
    values: dict[str, Literal["first", "second", "tie", "undecided"]] = Field(default_factory=dict)
    # Numeric verdicts: below the midpoint is the first response, above it the second.
    midpoint: float | None = None
    tie_values: tuple[float, ...] = ()
    # Column that says which of a and b the votes call first; without it, response a.
    first_response: str = ""
    label_maker: str = ""

    @model_validator(mode="after")
    def _complete(self) -> VoteSettings:
        if self.use == "single_person":
            return self
        if not self.column:
            raise ValueError(f"votes of use {self.use!r} need a column")
        if not self.values and self.midpoint is None:
            raise ValueError("votes need `values` or a `midpoint`")
        if self.use == "other_judges" and not self.label_maker:
            raise ValueError("votes of use 'other_judges' need `label_maker`")
        return self


class PlantedErrors(Settings):
    """Label errors put in on purpose: the label of a share of the pairs is inverted, its truth kept for reports."""

    share: Share
    seed: int
    kind: Literal["uniform"] = "uniform"


class SourceEntry(Settings):
    """One source.

    Attributes:
        name: partition key; a file's own source column goes to `meta`.
        paths: files, folders, shell patterns (`*`, `?`, `[...]`, `**`) or URLs (s3://, gs://, https://, ... by
            fsspec), in order. Local ones are absolute files, sorted by name, once loaded; of a folder, those that
            end like a source's file.
        hub: instead of paths, a data set of the hub.
        licence: as an SPDX name where there is one.
        label_origin: for rows that do not say it themselves; a row without either is a dead letter.
        layout: `auto`, or the name of one.
        columns: field of the layout to column of the file, where recognition needs help. `score` names the one rating
            that is the score of a completion, where it has several.
        score_weights: rating to weight, where the score is to be a weighted sum of several; in place of `score`.
        max_pairs_per_prompt: pairs made of the completions of one row (in `rated_rows`, of consecutive rows of one
            prompt), those of the largest margin; the rest is counted as left out. None: all.
        label_values: value of the label column to a, b, tie or undecided, where the usual ones do not fit.
        votes: verdicts recorded with the rows.
        plant_errors: label errors put in on purpose.
        max_rows: rows read; the rest is counted under `beyond_max_rows`. None: all.
        simulated: true where the source's labels are made up by the project.
    """

    name: str
    paths: tuple[str, ...] = ()
    hub: HubLocation | None = None
    licence: str = Field(min_length=1)
    label_origin: LabelOrigin | None = None
    layout: LayoutName = "auto"
    columns: dict[str, str] = Field(default_factory=dict)
    score_weights: dict[str, float] = Field(default_factory=dict)
    max_pairs_per_prompt: int | None = Field(default=None, gt=0)
    label_values: dict[str, Literal["a", "b", "tie", "undecided"]] = Field(default_factory=dict)
    votes: VoteSettings | None = None
    plant_errors: PlantedErrors | None = None
    max_rows: int | None = Field(default=None, gt=0)
    simulated: bool = False

    @field_validator("name")
    @classmethod
    def _name_is_a_slug(cls, value: str) -> str:
        try:
            return check_slug(value, "source")
        except SynprefError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _one_place(self) -> SourceEntry:
        if bool(self.paths) == (self.hub is not None):
            raise ValueError("give either `paths` or `hub`")
        if self.score_weights and "score" in self.columns:
            raise ValueError("give either `score_weights` or `columns.score`")
        return self
