"""Round sections: what one round of stage 1 saw, retrieved, asked and paid, as the report shows it."""

from __future__ import annotations

from pydantic import Field

from evaluation.report.sections import Count, LabelAccuracy, Section, Share


class Neighbour(Section):
    """A retrieved pair: its prompt's last turn in short, and what the round made of it."""

    pair_id: str
    similarity: float
    prompt: str
    asked: str
    verdict: str = ""


class Query(Section):
    """A gold train pair that the loop model gets wrong or is unsure of, with what it brought.

    probability: the model's, of the side that people chose. k: neighbours it earned; fewer are shown where another
    query was nearer to them.
    """

    pair_id: str
    probability: Share
    k: Count
    prompt: str
    chosen: str
    rejected: str
    neighbours: tuple[Neighbour, ...] = ()


class Slice(Section):
    """Queries of one task category: how many, and on how many of them the model is wrong."""

    name: str
    queries: Count
    wrong: Count


class RoundPeople(Section):
    """People in one round; alpha is Krippendorff's, raw the share of equal pairs of votes."""

    pairs: Count
    labels: Count
    alpha: float | None = None
    raw: Share | None = None


class RoundJudges(Section):
    """The panel in one round; agreement is the mean share of judges with the panel, where several answered."""

    pairs: Count
    verdicts: dict[str, Count]
    dropped: dict[str, Count]
    agreement: Share | None = None


class RoundPage(Section):
    """One round.

    Attributes:
        retrieval: error_driven or random; the seed round draws by budget.
        dev, holdout: the loop model on gold as of the round before; null in the seed round.
        earned: queries by the k they earned; similarities: retrieved pairs by similarity to their query, in tenths.
        queries_excluded_since: gold that left the pool and so was no query.
        new_silver: against the truth, of pairs that this round's judges labelled; null where no truth is known.
        usd, usd_qualification: of the round's own calls and of qualifying its judges.
    """

    name: str
    retrieval: str
    dev: LabelAccuracy | None = None
    holdout: LabelAccuracy | None = None
    num_queries: Count = 0
    num_wrong: Count = 0
    queries_excluded_since: Count = 0
    earned: dict[str, Count] = Field(default_factory=dict)
    similarities: dict[str, Count] = Field(default_factory=dict)
    reasons: dict[str, Count] = Field(default_factory=dict)
    dropped: dict[str, Count] = Field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    queries: tuple[Query, ...] = ()
    people: RoundPeople | None = None
    judges: RoundJudges | None = None
    new_silver: LabelAccuracy | None = None
    judge_calls: Count = 0
    usd: float = 0.0
    usd_qualification: float = 0.0
