"""The request ledger: every call to a language model, recorded before it is sent and again before its reply is used.

One SQLite file. A row is claimed by one process at a time; what a claim may cost at most is reserved in the same
transaction, so that the bounds of the budget hold for all processes together. A process that dies leaves rows that say
`sent`: whether the server worked on them, and took money for it, nobody here can know. They count at their highest
price as in doubt, and are sent again by whoever needs them, with the same Idempotency-Key; a server that knows the key
does not charge twice, others may.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from assets.errors import SynprefError
from assets.llm_annotated.calling.prices import usd_of
from assets.llm_annotated.chat import ChatReply

TRY_LATER = ("over_budget", "circuit_open", "connection_failed", "rate_limited", "server_failed", "timeout")
"""Statuses after which the next run asks again, beside every `http_<code>`: the server refused, and charged nothing."""

_SENT, _IN_DOUBT = "sent", "in_doubt"
_VERSION = 1
_BUSY_S = 60
_KEYS_PER_QUERY = 500
_SCHEMA = """
CREATE TABLE requests (
    request_key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, batch TEXT NOT NULL, subject TEXT NOT NULL,
    status TEXT NOT NULL, owner TEXT NOT NULL, num_tries INTEGER NOT NULL,
    reserved_nano INTEGER NOT NULL, cost_nano INTEGER NOT NULL, in_doubt_nano INTEGER NOT NULL,
    num_prompt_tokens INTEGER, num_cached_tokens INTEGER, num_completion_tokens INTEGER,
    reply TEXT, first_token TEXT, error TEXT NOT NULL, sent_at REAL NOT NULL, settled_at REAL
) WITHOUT ROWID;
CREATE INDEX requests_sent ON requests (owner) WHERE status = 'sent';
CREATE TABLE spend (
    batch TEXT PRIMARY KEY,
    cost_nano INTEGER NOT NULL, in_doubt_nano INTEGER NOT NULL, reserved_nano INTEGER NOT NULL
) WITHOUT ROWID;
"""
_REPLY_COLUMNS = """request_key, status, cost_nano, num_prompt_tokens, num_cached_tokens, num_completion_tokens, reply,
    first_token"""


def is_final(status: str) -> bool:
    """Whether a request with this status is never sent again.

    >>> is_final("ok"), is_final("timeout"), is_final("http_401"), is_final("in_doubt")
    (True, False, False, False)
    """
    return status not in TRY_LATER and status not in (_SENT, _IN_DOUBT) and not status.startswith("http_")


@dataclass(frozen=True)
class Claim:
    """A request that somebody is about to send.

    Attributes:
        key: request hash.
        worst_nano: what it can cost at most.
    """

    key: str
    fingerprint: str
    batch: str
    subject: str
    worst_nano: int


@dataclass(frozen=True)
class Bounds:
    """The most that may be spent and reserved together, nano-dollars; None sets no bound."""

    total_nano: int | None = None
    batch_nano: int | None = None


@dataclass(frozen=True)
class Settlement:
    """How one sending of a claimed request ended.

    Attributes:
        key: request hash.
        reply: what its asker gets.
        cost_nano: what the server says that it cost.
        in_doubt_nano: what it may have cost, where the server does not say.
        error: what went wrong; holds no secret.
    """

    key: str
    reply: ChatReply
    cost_nano: int = 0
    in_doubt_nano: int = 0
    error: str = ""


@dataclass(frozen=True)
class Claimed:
    """What became of a claim.

    Attributes:
        state: `yours`, send it; `answered`, here is the reply; `busy`, another process is at it; `wait`, the budget may
            have room for it when what is on its way is settled; `over_budget`, it has none.
    """

    state: Literal["yours", "answered", "busy", "wait", "over_budget"]
    reply: ChatReply | None = None


@dataclass
class _Spend:
    cost: int = 0
    in_doubt: int = 0
    reserved: int = 0

    @property
    def committed(self) -> int:
        return self.cost + self.in_doubt + self.reserved


@dataclass
class _Spends:
    """Spend by batch, as a transaction changes it."""

    of_batch: dict[str, _Spend] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def change(self, batch: str) -> _Spend:
        self.changed.add(batch)
        return self.of_batch.setdefault(batch, _Spend())

    def fits(self, claim: Claim, bounds: Bounds) -> bool:
        total = sum(spend.committed for spend in self.of_batch.values())
        here = self.of_batch.get(claim.batch, _Spend()).committed
        return _within(total + claim.worst_nano, bounds.total_nano) and _within(
            here + claim.worst_nano, bounds.batch_nano
        )

    def may_shrink(self, claim: Claim, bounds: Bounds) -> bool:
        """Whether the claim would fit if everything on its way turned out to cost nothing."""
        free = _Spends({batch: _Spend(one.cost, one.in_doubt) for batch, one in self.of_batch.items()})
        return free.fits(claim, bounds)


def _within(nano: int, bound: int | None) -> bool:
    return bound is None or nano <= bound


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
        self._owners = path.with_name(path.name + ".owners")
        self._owner = uuid.uuid4().hex
        try:
            self._owners.mkdir(parents=True, exist_ok=True)
            # Replies quote what people wrote: for the owner's eyes. SQLite gives its side files the same mode.
            path.touch(mode=0o600)
            self._owner_file = os.open(self._owners / self._owner, os.O_CREAT | os.O_RDWR, 0o600)
            # Held while the process lives, however it ends: what another process asks to know whether we do.
            fcntl.flock(self._owner_file, fcntl.LOCK_EX)
            self._database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            with self._errors():
                self._prepare()
        except OSError as error:
            raise SynprefError(f"The request ledger cannot be opened: {error.strerror}.", where=str(path)) from error
        self.recover()

    def __enter__(self) -> RequestLedger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What this process sent and never settled counts as in doubt from now on."""
        with self._lock:
            os.close(self._owner_file)
        self.recover()
        with self._lock:
            self._database.close()
        (self._owners / self._owner).unlink(missing_ok=True)

    # --- reading ---

    def find(self, keys: Iterable[str]) -> dict[str, ChatReply]:
        """The final replies among these requests, by key."""
        listed = list(keys)
        found: dict[str, ChatReply] = {}
        with self._lock, self._errors():
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
        with self._lock, self._errors():
            return dict(self._database.execute(query, (batch, batch)).fetchall())

    def _spends(self, batch: str | None) -> list[tuple[float, float, float]]:
        query = "SELECT cost_nano, in_doubt_nano, reserved_nano FROM spend WHERE ? IS NULL OR batch = ?"
        with self._lock, self._errors():
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
            with self._errors():
                self._database.execute("BEGIN IMMEDIATE")
                spends = self._read_spends()
                self._settle(settlements, spends)
                answers = self._claim(claims, bounds or Bounds(), spends)
                self._write_spends(spends)
                return answers
        except BaseException:
            self._roll_back()
            self._lock.release()
            raise

    def commit(self) -> None:
        """The second half of `write`: returns when everything is on disk."""
        try:
            with self._errors():
                self._database.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._lock.release()

    def recover(self) -> int:
        """Count what dead processes left on its way as in doubt; returns how many requests that were."""
        with self._lock, self._errors():
            query = "SELECT DISTINCT owner FROM requests WHERE status = 'sent'"
            dead = [owner for (owner,) in self._database.execute(query).fetchall() if not self._lives(owner)]
            if not dead:
                return 0
            with self._transaction():
                spends = self._read_spends()
                num = sum(self._doubt("owner = ?", (owner,), spends) for owner in dead)
                self._write_spends(spends)
        for owner in dead:
            (self._owners / owner).unlink(missing_ok=True)
        return num

    def abandon(self, keys: Iterable[str]) -> None:
        """Count calls that this process gave up on its way as in doubt."""
        with self._lock, self._errors(), self._transaction():
            spends = self._read_spends()
            for key in keys:
                self._doubt("request_key = ? AND owner = ?", (key, self._owner), spends)
            self._write_spends(spends)

    def _settle(self, settlements: Sequence[Settlement], spends: _Spends) -> None:
        moment, rows = time.time(), []
        for one in settlements:
            query = "SELECT batch, reserved_nano FROM requests WHERE request_key = ? AND owner = ? AND status = 'sent'"
            row = self._database.execute(query, (one.key, self._owner)).fetchone()
            if row is None:
                raise SynprefError(f"Request {one.key} was settled without having been claimed.", where=str(self.path))
            batch, reserved = row
            if one.cost_nano + one.in_doubt_nano > reserved:
                raise SynprefError(f"Request {one.key} cost more than was reserved for it.", where=str(self.path))
            spend = spends.change(batch)
            spend.reserved -= reserved
            spend.cost += one.cost_nano
            spend.in_doubt += one.in_doubt_nano
            reply = one.reply
            first = reply.first_token_log_probabilities
            counts = (reply.num_prompt_tokens, reply.num_cached_tokens, reply.num_completion_tokens)
            texts = (reply.text, orjson.dumps(first).decode() if first else None, one.error)
            rows.append((reply.status, one.cost_nano, one.in_doubt_nano, *counts, *texts, moment, one.key))
        self._database.executemany(
            """UPDATE requests SET status = ?, reserved_nano = 0, cost_nano = cost_nano + ?,
            in_doubt_nano = in_doubt_nano + ?, num_prompt_tokens = ?, num_cached_tokens = ?, num_completion_tokens = ?,
            reply = ?, first_token = ?, error = ?, settled_at = ? WHERE request_key = ?""",
            rows,
        )

    def _claim(self, claims: Sequence[Claim], bounds: Bounds, spends: _Spends) -> list[Claimed]:
        moment, rows, answers, taken = time.time(), [], [], set()
        full: Claimed | None = None
        for claim in claims:
            query = f"SELECT {_REPLY_COLUMNS} FROM requests WHERE request_key = ?"  # noqa: S608
            row = self._database.execute(query, (claim.key,)).fetchone()
            if row is not None and is_final(row[1]):
                answers.append(Claimed("answered", _reply_of(row)))
            elif claim.key in taken or (row is not None and row[1] == _SENT):
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
                    (claim.key, claim.fingerprint, claim.batch, claim.subject, self._owner, claim.worst_nano, moment)
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

    def _doubt(self, which: str, values: tuple[str, ...], spends: _Spends) -> int:
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

    def _read_spends(self) -> _Spends:
        rows = self._database.execute("SELECT batch, cost_nano, in_doubt_nano, reserved_nano FROM spend")
        return _Spends({batch: _Spend(*numbers) for batch, *numbers in rows})

    def _write_spends(self, spends: _Spends) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO spend (batch, cost_nano, in_doubt_nano, reserved_nano) VALUES (?, ?, ?, ?)",
            [
                (batch, one.cost, one.in_doubt, one.reserved)
                for batch in spends.changed
                for one in [spends.of_batch[batch]]
            ],
        )

    # --- the file ---

    def _prepare(self) -> None:
        # Outside a transaction. FULL: a commit has reached the disk when it returns, not only the kernel.
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        with self._transaction():
            version = self._make_tables()
        if version > _VERSION:
            raise SynprefError(
                f"The request ledger is of version {version}, this program knows {_VERSION}.",
                where=str(self.path),
                kept="the ledger as it is",
                todo="update synpref",
            )

    def _make_tables(self) -> int:
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version = {_VERSION}")
        return version

    def _lives(self, owner: str) -> bool:
        try:
            file = os.open(self._owners / owner, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(file)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SynprefError(
                f"The request ledger cannot be used: {error}.",
                where=str(self.path),
                kept="every reply that was recorded before",
                todo="make room on the disk, or let the other process finish; a damaged file is never overwritten",
            ) from error


def _reply_of(row: Sequence) -> ChatReply:
    key, status, cost, num_prompt, num_cached, num_completion, text, first = row
    probabilities: Mapping[str, float] = orjson.loads(first) if first else {}
    return ChatReply(key, status, text, probabilities, num_prompt, num_cached, num_completion, usd_of(cost))
