"""Asking: the calls made to one judge about a set of pairs, and the rows of `judge_requests` they leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

import pyarrow as pa

from assets.contracts import contract_of
from assets.errors import SynprefError
from assets.identity import digest
from assets.llm_annotated.calling.claims import is_final
from assets.llm_annotated.judging import OK, Judge, JudgeCall
from assets.llm_annotated.votes import JudgeVerdict, Vote, merge_votes


@dataclass(frozen=True)
class Asked:
    """What one judge answered.

    Attributes:
        judge: who was asked.
        votes: verdicts by pair, for pairs with at least one.
        status_of: why there is no verdict at all, by pair, for the other pairs; a pair with a call that can be tried
            later (`put_off`) has none yet, so that its verdict does not depend on a server's bad day.
        requests: rows of `judge_requests`, in order of pair, order and vote.
        request_hashes: by pair, in the same order.
        num_examples_dropped: by pair, the most examples that a prompt of it had to leave out, where it had to.
    """

    judge: Judge
    votes: Mapping[str, tuple[Vote, ...]]
    status_of: Mapping[str, str]
    requests: Sequence[dict]
    request_hashes: Mapping[str, tuple[str, ...]]
    num_examples_dropped: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def verdicts(self) -> dict[str, JudgeVerdict]:
        """The judge's verdict over both orders and all votes, by pair."""
        return {pair: merge_votes(votes) for pair, votes in self.votes.items()}

    @property
    def put_off(self) -> frozenset[str]:
        """Pairs to be asked about again: the budget or the server did not let every call through."""
        return frozenset(pair for pair, status in self.status_of.items() if not is_final(status))

    @property
    def usd(self) -> float:
        """Cost of all calls."""
        return sum(row["cost_usd"] for row in self.requests)


def request_hash(name: str, version: str, call: JudgeCall) -> str:
    """Id of a request: the same judge, version, pair, order, vote and examples make the same request."""
    return digest("judge_request", name, version, call.pair_id, str(call.first_shown), str(call.vote), *call.examples)


def ask(
    judge: Judge,
    pair_ids: Iterable[str],
    *,
    votes_per_order: int,
    batch: str = "",
    examples: Mapping[str, Sequence[str]] | None = None,
) -> Asked:
    """Ask one judge about every pair, in the orders and as often as the judge's plan says.

    Args:
        judge: a provider.
        pair_ids: a repeated id is asked once.
        votes_per_order: repetitions in each display order; a recorded judge replays what there is.
        batch: what it is asked for: a round, `stage_2`, a qualification.
        examples: few-shot gold pairs by pair.

    Raises:
        SynprefError: the judge answers another number of calls than it was asked.
    """
    calls = [
        JudgeCall(pair, first_shown, vote, tuple((examples or {}).get(pair, ())))
        for pair in sorted(set(pair_ids))
        for first_shown, vote in judge.plan(pair, votes_per_order)
    ]
    name, version = judge.name, judge.version
    replies = judge.answer(calls, batch=batch)
    if len(replies) != len(calls):
        raise SynprefError(
            f"Judge {judge.name!r} gave {len(replies)} replies to {len(calls)} calls.",
            kept="nothing of this batch",
            todo="correct the judge's provider: it owes one reply per call",
        )
    votes: dict[str, list[Vote]] = {}
    failures: dict[str, Counter[str]] = {}
    hashes: dict[str, list[str]] = {}
    num_dropped: dict[str, int] = {}
    requests = []
    for call, reply in zip(calls, replies, strict=True):
        key = reply.request_hash or request_hash(name, version, call)
        hashes.setdefault(call.pair_id, []).append(key)
        if reply.num_examples_dropped:
            num_dropped[call.pair_id] = max(reply.num_examples_dropped, num_dropped.get(call.pair_id, 0))
        requests.append(
            {
                "request_hash": key,
                "pair_id": call.pair_id,
                "judge": name,
                "judge_version": version,
                "first_shown": call.first_shown,
                "vote": call.vote,
                "verdict": reply.verdict,
                "log_probability": reply.log_probability,
                "probability_first": reply.probability_first,
                "num_prompt_tokens": reply.num_prompt_tokens,
                "num_cached_tokens": reply.num_cached_tokens,
                "num_completion_tokens": reply.num_completion_tokens,
                "cost_usd": reply.cost_usd,
                "status": reply.status,
                "raw_reply_hash": reply.raw_reply_hash,
                "num_examples_dropped": reply.num_examples_dropped,
            }
        )
        if reply.status == OK and reply.verdict is not None:
            votes.setdefault(call.pair_id, []).append(
                Vote(call.first_shown, call.vote, reply.verdict, _share_1(reply.probability_first, call.first_shown))
            )
        else:
            failures.setdefault(call.pair_id, Counter())[reply.status] += 1
    status_of = {}
    for pair, counted in failures.items():
        later = {status for status in counted if not is_final(status)}
        if later:
            votes.pop(pair, None)
        if pair not in votes:
            # Where calls failed for different reasons, the most frequent stands for the pair.
            status_of[pair] = min(later or counted, key=lambda status: (-counted[status], status))
    return Asked(
        judge=judge,
        votes={pair: tuple(given) for pair, given in votes.items()},
        status_of=status_of,
        requests=requests,
        request_hashes={pair: tuple(keys) for pair, keys in hashes.items()},
        num_examples_dropped=num_dropped,
    )


def _share_1(probability_first: float | None, first_shown: int) -> float | None:
    """Probability of response 1, from that of the response shown first; None where either is not known."""
    if probability_first is None or first_shown == 0:
        return None
    return probability_first if first_shown == 1 else 1 - probability_first


def requests_table(asked: Iterable[Asked]) -> pa.Table:
    """Contract `judge_requests`, in order of request hash; calls that can be tried later are not there yet."""
    rows = sorted(
        (row for one in asked for row in one.requests if is_final(row["status"])), key=itemgetter("request_hash")
    )
    schema = contract_of("judge_requests").schema
    # By column: ten times as fast as by row, and a round has tens of thousands of requests.
    return pa.table({name: [row[name] for row in rows] for name in schema.names}, schema=schema)
