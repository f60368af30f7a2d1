"""The simulated judge: knows the truth and errs as stated, so that a sample run needs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from assets.chance import normal, normal_quantile, simulated_name, uniform
from assets.llm_annotated.judging import JudgeCall, JudgeReply, both_orders, from_display


@dataclass(frozen=True)
class SimulatedJudge:
    """A judge that knows the truth and errs at a stated rate.

    Its belief about a pair is wrong with probability 1 - accuracy. Whether it errs depends on a difficulty of
    the pair that all simulated judges share and on a part of its own, weighted such that two judges of equal
    settings have errors correlated (phi) at `error_correlation`; judges of unequal accuracy come close to the
    geometric mean of theirs. A call then answers with the response shown first with probability
    `position_bias`, else with the belief, which `call_noise` turns over.

    Guidance is simulated as well: shown examples, a wrong belief becomes right with probability `guidance_gain` times
    their relevance, which is the share of the examples whose task category is the pair's own. The judge reads neither
    the examples nor the pair, so guided against unguided shows that the machinery carries examples to the judge, and
    nothing about what examples do for a language model.

    Attributes:
        given_name: as configured; `name` says that the judge is simulated.
        accuracy: share of pairs on which the belief is right.
        truth: the right verdict by pair: "1", "2" or "tie".
        seed: of difficulties, beliefs and calls.
        position_bias, error_correlation, call_noise, guidance_gain: shares, see above.
        category_of: task category by pair, of pairs to judge and of examples; a pair without one has no relevant
            example.
        usd_per_call: what each call is counted at.
    """

    given_name: str
    accuracy: float
    truth: Mapping[str, str]
    seed: int
    position_bias: float = 0.0
    error_correlation: float = 0.0
    call_noise: float = 0.0
    usd_per_call: float = 0.0
    guidance_gain: float = 0.0
    category_of: Mapping[str, str] = field(default_factory=dict, repr=False)
    simulated: bool = field(default=True, init=False)

    @cached_property
    def name(self) -> str:
        """The configured name, marked as simulated."""
        return simulated_name(self.given_name)

    @property
    def version(self) -> str:
        """Every setting that its answers depend on."""
        return (
            f"simulated-2 accuracy={self.accuracy:g} position_bias={self.position_bias:g} "
            f"error_correlation={self.error_correlation:g} call_noise={self.call_noise:g} "
            f"guidance_gain={self.guidance_gain:g} seed={self.seed}"
        )

    @cached_property
    def loading(self) -> float:
        """Weight of the shared difficulty in this judge's errors, 0 to 1."""
        return shared_loading(1 - self.accuracy, self.error_correlation)

    def plan(self, pair_id: str, votes_per_order: int) -> Sequence[tuple[int, int]]:
        """Both orders, each as often as asked."""
        return both_orders(votes_per_order)

    def belief(self, pair_id: str, examples: Sequence[str] = ()) -> str:
        """What the judge holds to be true of a pair whose truth is known, having been shown these examples."""
        shared = normal(self.seed, "difficulty", pair_id)
        own = normal(self.seed, "belief", self.name, pair_id)
        wrong = self.loading * shared + (1 - self.loading**2) ** 0.5 * own < normal_quantile(1 - self.accuracy)
        truth = self.truth[pair_id]
        # One draw whatever the examples: more relevant ones never turn a right belief into a wrong one.
        if not wrong or uniform(self.seed, "guided", self.name, pair_id) < self.guidance_gain * self.relevance(
            pair_id, examples
        ):
            return truth
        return self._side(truth, "wrong belief", pair_id)

    def relevance(self, pair_id: str, examples: Sequence[str]) -> float:
        """Share of the examples that have the pair's task category, 0 to 1."""
        category = self.category_of.get(pair_id)
        if not examples or category is None:
            return 0.0
        return sum(self.category_of.get(example) == category for example in examples) / len(examples)

    def answer(self, calls: Sequence[JudgeCall], *, batch: str = "") -> list[JudgeReply]:
        """Verdicts for pairs whose truth is known, status `no_truth` for the others."""
        beliefs: dict[tuple[str, tuple[str, ...]], str] = {}
        replies = []
        for call in calls:
            if self.truth.get(call.pair_id) not in ("1", "2", "tie"):
                replies.append(JudgeReply(None, "no_truth"))
                continue
            known = (call.pair_id, call.examples)
            if known not in beliefs:
                beliefs[known] = self.belief(*known)
            replies.append(JudgeReply(self._verdict(call, beliefs[known]), cost_usd=self.usd_per_call))
        return replies

    def estimate_usd(self, calls: Sequence[JudgeCall]) -> float:
        """What the calls are counted at; nothing is paid to anybody."""
        return len(calls) * self.usd_per_call

    def _verdict(self, call: JudgeCall, belief: str) -> str:
        drawn_for = (self.name, call.pair_id, call.first_shown, call.vote)
        if uniform(self.seed, "position", *drawn_for) < self.position_bias:
            return from_display(1, call.first_shown)
        if uniform(self.seed, "noise", *drawn_for) < self.call_noise:
            return self._side(belief, "noise", *drawn_for)
        return belief

    def _side(self, other_than: str, *drawn_for: str | int) -> str:
        """The other side of a decided pair, either side of a tie."""
        if other_than == "tie":
            return "1" if uniform(self.seed, "side of a tie", self.name, *drawn_for) < 0.5 else "2"
        return "2" if other_than == "1" else "1"


def shared_loading(error_rate: float, correlation: float) -> float:
    """Weight of a shared normal latent such that two judges of this error rate err with this phi correlation.

    Both err when their latents fall below the error rate's quantile, so the latent correlation that gives the
    phi coefficient is found from the bivariate normal distribution; the loading is its square root.
    """
    if correlation <= 0 or not 0 < error_rate < 1:
        return 0.0
    if correlation >= 1:
        return 1.0
    from scipy.optimize import brentq
    from scipy.stats import multivariate_normal

    at = normal_quantile(error_rate)

    def phi(latent: float) -> float:
        both = multivariate_normal.cdf([at, at], mean=[0, 0], cov=[[1, latent], [latent, 1]])
        return float((both - error_rate**2) / (error_rate * (1 - error_rate)))

    return float(brentq(lambda latent: phi(latent) - correlation, 0.0, 1 - 1e-9, xtol=1e-6)) ** 0.5
