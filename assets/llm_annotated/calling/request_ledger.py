"""The request ledger: every call to a language model, recorded before it is sent and again before its reply is used.

One SQLite file. A row is claimed by one process at a time; what a claim may cost at most is reserved in the same
transaction, so that the bounds of the budget hold for all processes together. A process that dies leaves rows that say
`sent`: whether the server worked on them, and took money for it, nobody here can know. They count at their highest
price as in doubt, and are sent again by whoever needs them, with the same Idempotency-Key; a server that knows the key
does not charge twice, others may.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson

from assets.errors import SynprefError
from assets.llm_annotated.calling.claims import SENT, Bounds, Claim, Claimed, Settlement, Spend, Spends, is_final
from assets.llm_annotated.calling.ledger_file import in_words, open_file, roll_back, transaction
from assets.llm_annotated.calling.owners import Owner
from assets.llm_annotated.calling.prices import nano_of, usd_of
from assets.llm_annotated.chat import ChatReply

_KEYS_PER_QUERY = 500
_REPLY_COLUMNS = """request_key, status, cost_nano, num_prompt_tokens, num_cached_tokens, num_completion_tokens, reply,
    first_token"""


class RequestLedger:
    """The ledger in one file. Threads may share it, and processes may open the same file.

    Args:
        path: of the file; made, with its folder, where it is missing.

    Raises:
        SynprefError: the file is no ledger, of a newer version, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._database = open_file(path)
        self._owner = Owner(path.with_name(path.name + ".owners"))
        self.recover()

    def __enter__(self) -> RequestLedger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What this process sent and never settled counts as in doubt from now on."""
        self._owner.die()
        self.recover()
        with self._lock:
            self._database.close()
        self._owner.forget(self._owner.name)

    # --- reading ---

    def lookup(self, keys: Iterable[str]) -> dict[str, ChatReply]:
        """The final replies among these requests, by key."""
        listed = list(keys)
        found: dict[str, ChatReply] = {}
        with self._lock, in_words(self.path):
            for start in range(0, len(listed), _KEYS_PER_QUERY):
                some = listed[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(some))
                query = f"SELECT {_REPLY_COLUMNS} FROM requests WHERE request_key IN ({marks})"  # noqa: S608
                for row in self._database.execute(query, some):
                    if is_final(row[1]):
                        found[row[0]] = _reply_of(row)
        return found

    def spent_usd(self, batch: str | None = None) -> float:
        """Dollars spent, in doubt included, on one batch or on everything; what is reserved only is not."""
        return sum(cost + in_doubt for cost, in_doubt, _ in self._spends(batch))

    def in_doubt_usd(self, batch: str | None = None) -> float:
        """Dollars that may have been spent on calls whose end nobody saw; part of `spent_usd`."""
        return sum(in_doubt for _, in_doubt, _ in self._spends(batch))

    def reserved_usd(self, batch: str | None = None) -> float:
        """Dollars that calls on their way can cost at most."""
        return sum(reserved for _, _, reserved in self._spends(batch))

    def count_statuses(self, batch: str | None = None) -> dict[str, int]:
        """Number of requests by status; `sent` are on their way, `in_doubt` were when their process died."""
        query = "SELECT status, COUNT(*) FROM requests WHERE ? IS NULL OR batch = ? GROUP BY status ORDER BY status"
        with self._lock, in_words(self.path):
            return dict(self._database.execute(query, (batch, batch)).fetchall())

    def _spends(self, batch: str | None) -> list[tuple[float, float, float]]:
        query = "SELECT cost_nano, in_doubt_nano, reserved_nano FROM spend WHERE ? IS NULL OR batch = ?"
        with self._lock, in_words(self.path):
            rows = self._database.execute(query, (batch, batch)).fetchall()
        return [(usd_of(cost), usd_of(in_doubt), usd_of(reserved)) for cost, in_doubt, reserved in rows]

    # --- writing ---

    def write(
        self, settlements: Sequence[Settlement] = (), claims: Sequence[Claim] = (), bounds: Bounds | None = None
    ) -> list[Claimed]:
        """Record in one transaction how calls ended, then claim others in order; on disk when this returns."""
        answers = self.begin(settlements, claims, bounds)
        self.commit()
        return answers

    def begin(
        self, settlements: Sequence[Settlement] = (), claims: Sequence[Claim] = (), bounds: Bounds | None = None
    ) -> list[Claimed]:
        """The first half of `write`, which does not wait for the disk; `commit` must follow, from any thread."""
        self._lock.acquire()
        try:
            with in_words(self.path):
                self._database.execute("BEGIN IMMEDIATE")
                spends = self._read_spends()
                self._settle(settlements, spends)
                answers = self._claim(claims, bounds or Bounds(), spends)
                self._write_spends(spends)
                return answers
        except BaseException:
            roll_back(self._database)
            self._lock.release()
            raise

    def commit(self) -> None:
        """The second half of `write`: returns when everything is on disk."""
        try:
            with in_words(self.path):
                self._database.execute("COMMIT")
        except BaseException:
            roll_back(self._database)
            raise
        finally:
            self._lock.release()

    def store(self, replies: Sequence[ChatReply], *, fingerprint: str, subjects: Mapping[str, str], batch: str) -> None:
        """Record replies that nobody claimed, from models that answer without a server; on disk when this returns.

        Storing one again changes nothing.

        Args:
            replies: with their keys; what they cost counts as spent.
            fingerprint: of the model.
            subjects: by key.
            batch: what they were asked for.
        """
        with self._lock, in_words(self.path), transaction(self._database):
            spends, costs = self._read_spends(), [nano_of(reply.cost_usd) for reply in replies]
            claims = [
                Claim(reply.key, fingerprint, batch, subjects.get(reply.key, ""), cost)
                for reply, cost in zip(replies, costs, strict=True)
            ]
            answers = self._claim(claims, Bounds(), spends)
            new = [
                Settlement(reply.key, reply, cost)
                for reply, cost, answer in zip(replies, costs, answers, strict=True)
                if answer.state == "yours"
            ]
            self._settle(new, spends)
            self._write_spends(spends)

    def recover(self) -> int:
        """Count what dead processes left on its way as in doubt; returns how many requests that were."""
        with self._lock, in_words(self.path):
            query = "SELECT DISTINCT owner FROM requests WHERE status = 'sent'"
            dead = [owner for (owner,) in self._database.execute(query).fetchall() if not self._owner.lives(owner)]
            if not dead:
                return 0
            with transaction(self._database):
                spends = self._read_spends()
                num = sum(self._doubt("owner = ?", (owner,), spends) for owner in dead)
                self._write_spends(spends)
        for owner in dead:
            self._owner.forget(owner)
        return num

    def abandon(self, keys: Iterable[str]) -> None:
        """Count calls that this process gave up on its way as in doubt."""
        with self._lock, in_words(self.path), transaction(self._database):
            spends = self._read_spends()
            for key in keys:
                self._doubt("request_key = ? AND owner = ?", (key, self._owner.name), spends)
            self._write_spends(spends)

    def _settle(self, settlements: Sequence[Settlement], spends: Spends) -> None:
        moment, rows = time.time(), []
        for one in settlements:
            query = "SELECT batch, reserved_nano FROM requests WHERE request_key = ? AND owner = ? AND status = 'sent'"
            row = self._database.execute(query, (one.key, self._owner.name)).fetchone()
            if row is None:
                raise SynprefError(f"Request {one.key} was settled without having been claimed.", where=str(self.path))
            batch, reserved = row
            if one.cost_nano + one.in_doubt_nano > reserved:
                raise SynprefError(f"Request {one.key} cost more than was reserved for it.", where=str(self.path))
            spend = spends.change(batch)
            spend.reserved -= reserved
            spend.cost += one.cost_nano
            spend.in_doubt += one.in_doubt_nano
            values = _reply_values(one.reply)
            rows.append((one.reply.status, one.cost_nano, one.in_doubt_nano, *values, one.error, moment, one.key))
        self._database.executemany(
            """UPDATE requests SET status = ?, reserved_nano = 0, cost_nano = cost_nano + ?,
            in_doubt_nano = in_doubt_nano + ?, num_prompt_tokens = ?, num_cached_tokens = ?, num_completion_tokens = ?,
            reply = ?, first_token = ?, error = ?, settled_at = ? WHERE request_key = ?""",
            rows,
        )

    def _claim(self, claims: Sequence[Claim], bounds: Bounds, spends: Spends) -> list[Claimed]:
        moment, rows, answers, taken = time.time(), [], [], set()
        full: Claimed | None = None
        for claim in claims:
            query = f"SELECT {_REPLY_COLUMNS} FROM requests WHERE request_key = ?"  # noqa: S608
            row = self._database.execute(query, (claim.key,)).fetchone()
            if row is not None and is_final(row[1]):
                answers.append(Claimed("answered", _reply_of(row)))
            elif claim.key in taken or (row is not None and row[1] == SENT):
                answers.append(Claimed("busy"))
            elif full is not None or not spends.fits(claim, bounds):
                # Nothing overtakes a claim that found no room: what is sent is then what one call after another
                # would have sent, whatever was on its way meanwhile.
                full = full or Claimed("wait" if spends.may_shrink(claim, bounds) else "over_budget")
                answers.append(full)
            else:
                spends.change(claim.batch).reserved += claim.worst_nano
                taken.add(claim.key)
                rows.append(
                    (
                        claim.key,
                        claim.fingerprint,
                        claim.batch,
                        claim.subject,
                        self._owner.name,
                        claim.worst_nano,
                        moment,
                    )
                )
                answers.append(Claimed("yours"))
        self._database.executemany(
            """INSERT INTO requests (request_key, fingerprint, batch, subject, status, owner, num_tries, reserved_nano,
            cost_nano, in_doubt_nano, error, sent_at) VALUES (?, ?, ?, ?, 'sent', ?, 1, ?, 0, 0, '', ?)
            ON CONFLICT (request_key) DO UPDATE SET status = 'sent', batch = excluded.batch, owner = excluded.owner,
            num_tries = num_tries + 1, reserved_nano = excluded.reserved_nano, sent_at = excluded.sent_at""",
            rows,
        )
        return answers

    def _doubt(self, which: str, values: tuple[str, ...], spends: Spends) -> int:
        where = f"{which} AND status = 'sent'"
        query = f"SELECT batch, SUM(reserved_nano), COUNT(*) FROM requests WHERE {where} GROUP BY batch"  # noqa: S608
        num = 0
        for batch, reserved, count in self._database.execute(query, values).fetchall():
            spend = spends.change(batch)
            spend.reserved -= reserved
            spend.in_doubt += reserved
            num += count
        self._database.execute(
            f"""UPDATE requests SET status = 'in_doubt', in_doubt_nano = in_doubt_nano + reserved_nano,
            reserved_nano = 0 WHERE {where}""",  # noqa: S608
            values,
        )
        return num

    def _read_spends(self) -> Spends:
        rows = self._database.execute("SELECT batch, cost_nano, in_doubt_nano, reserved_nano FROM spend")
        return Spends({batch: Spend(*numbers) for batch, *numbers in rows})

    def _write_spends(self, spends: Spends) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO spend (batch, cost_nano, in_doubt_nano, reserved_nano) VALUES (?, ?, ?, ?)",
            [
                (batch, one.cost, one.in_doubt, one.reserved)
                for batch in spends.changed
                for one in [spends.of_batch[batch]]
            ],
        )


def _reply_values(reply: ChatReply) -> tuple:
    """What stands in the columns from num_prompt_tokens to first_token."""
    first = reply.first_token_log_probabilities
    counts = (reply.num_prompt_tokens, reply.num_cached_tokens, reply.num_completion_tokens)
    return (*counts, reply.text, orjson.dumps(first).decode() if first else None)


def _reply_of(row: Sequence) -> ChatReply:
    key, status, cost, num_prompt, num_cached, num_completion, text, first = row
    probabilities: Mapping[str, float] = orjson.loads(first) if first else {}
    return ChatReply(key, status, text, probabilities, num_prompt, num_cached, num_completion, usd_of(cost))
