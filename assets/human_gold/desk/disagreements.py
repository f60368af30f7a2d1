"""When people's answers on a pair go to an adjudicator, and the cases that follow from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, and_, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from assets.human_gold.desk.database import Clock, now, reading, writing
from assets.human_gold.desk.schema import AnswerRow, CaseRow, TaskRow
from assets.human_gold.desk.views import DeskError

RULES = ("no_majority", "not_unanimous", "never")

# Statements are made once: making one takes longer than SQLite takes to run it.
_LABELS = select(TaskRow.task_id, TaskRow.status).where(
    TaskRow.pair_id == bindparam("pair_id"),
    TaskRow.round_name == bindparam("round_name"),
    TaskRow.purpose == "label",
)
_CASE = select(CaseRow).where(CaseRow.pair_id == bindparam("pair_id"), CaseRow.round_name == bindparam("round_name"))
_later = aliased(AnswerRow)
_newer = select(_later.answer_id).where(_later.task_id == AnswerRow.task_id, _later.revision > AnswerRow.revision)
_IN_FORCE = (
    select(AnswerRow)
    .where(AnswerRow.task_id.in_(bindparam("tasks", expanding=True)), ~_newer.exists())
    .order_by(AnswerRow.task_id)
)

# Pairs of one transaction.
_AT_ONCE = 200


def check_rule(rule: str) -> str:
    """The rule, if there is one of that name.

    Raises:
        DeskError: there is none.
    """
    if rule not in RULES:
        raise DeskError(f"There is no rule of adjudication {rule!r}.", todo=f"choose {', '.join(RULES)}")
    return rule


def disagree(verdicts: Sequence[str], rule: str) -> bool:
    """Whether answers on one pair go to an adjudicator; "tie" and "undecided" are verdicts like the others.

    Args:
        verdicts: canonical, one per person.
        rule: "no_majority": none has more than half; "not_unanimous": they are not all the same; "never".

    >>> [disagree(v.split(), "no_majority") for v in ("1 2", "1 1 2", "1 2 tie", "1", "1 1 2 2")]
    [True, False, True, False, True]
    """
    if rule == "never" or len(verdicts) < 2:
        return False
    most = max(Counter(verdicts).values())
    return most < len(verdicts) if rule == "not_unanimous" else 2 * most <= len(verdicts)


def settle(session: Session, pair_id: str, round_name: str, rule: str, at: datetime) -> bool:
    """Open the pair's case once all its labels are in and disagree; withdraw one that is settled by a correction.

    A case that is decided stays as it is, and so does one that a manager withdrew.

    Returns:
        Whether a case was opened, or opened again.
    """
    of = {"pair_id": pair_id, "round_name": round_name}
    tasks = session.execute(_LABELS, of).all()
    if any(task.status in ("open", "claimed") for task in tasks):
        return False
    verdicts = in_force(session, [task.task_id for task in tasks if task.status == "answered"])
    found = session.scalars(_CASE, of).first()
    if not disagree([answer.verdict for answer in verdicts], rule):
        if found is not None and found.status in ("open", "claimed"):
            found.status, found.withdrawn_for, found.claimed_at = "withdrawn", "settled", None
        return False
    if found is None:
        session.add(CaseRow(pair_id=pair_id, round_name=round_name, status="open", opened_at=at))
        return True
    if found.status == "withdrawn" and found.withdrawn_for == "settled":
        found.status, found.withdrawn_for = "open", None
        found.adjudicator_id = found.left_response = None
        return True
    return False


def in_force(session: Session, task_ids: Sequence[str]) -> list[AnswerRow]:
    """The last revision of each task's answer, by task id."""
    return list(session.scalars(_IN_FORCE, {"tasks": list(task_ids)}))


def open_cases(engine: Engine, rule: str, clock: Clock = now) -> int:
    """Bring the cases of every round to the rule; doing it again changes nothing.

    The desk settles a pair with each answer. This finds what else makes a pair complete: tasks that were withdrawn, a
    batch that was pushed again, another rule.

    Returns:
        Cases opened.
    """
    check_rule(rule)
    num = 0
    pairs = _unsettled(engine, rule)
    for start in range(0, len(pairs), _AT_ONCE):
        with writing(engine) as session:
            at = clock()
            num += sum(settle(session, pair, name, rule, at) for pair, name in pairs[start : start + _AT_ONCE])
    return num


def _unsettled(engine: Engine, rule: str) -> list[tuple[str, str]]:
    """Complete pairs whose answers disagree and that have no case, or the other way round; looked for in one pass."""
    waiting = aliased(TaskRow)
    unanswered = select(waiting.task_id).where(
        waiting.pair_id == TaskRow.pair_id,
        waiting.round_name == TaskRow.round_name,
        waiting.purpose == "label",
        waiting.status.in_(("open", "claimed")),
    )
    query = (
        select(TaskRow.pair_id, TaskRow.round_name, AnswerRow.verdict, func.count())
        .join(TaskRow, and_(TaskRow.task_id == AnswerRow.task_id, TaskRow.purpose == "label"))
        .where(~_newer.exists(), ~unanswered.exists())
        .group_by(TaskRow.pair_id, TaskRow.round_name, AnswerRow.verdict)
        .order_by(TaskRow.round_name, TaskRow.pair_id)
    )
    with reading(engine) as session:
        verdicts: dict[tuple[str, str], list[str]] = {}
        for pair_id, round_name, verdict, num in session.execute(query):
            verdicts.setdefault((pair_id, round_name), []).extend([verdict] * num)
        cases = select(CaseRow.pair_id, CaseRow.round_name, CaseRow.status, CaseRow.withdrawn_for)
        asked = {(row.pair_id, row.round_name): row for row in session.execute(cases)}
    unsettled = []
    for pair, given in verdicts.items():
        case = asked.get(pair)
        is_open = case is not None and case.status in ("open", "claimed")
        may_open = case is None or case.withdrawn_for == "settled"
        if (disagree(given, rule) and may_open) or (not disagree(given, rule) and is_open):
            unsettled.append(pair)
    # A case whose answers are all gone cannot be: answers are never taken back.
    return unsettled
