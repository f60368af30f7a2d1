"""Identity: what makes two prompts, two responses, two pairs or two label events the same.

Ids are BLAKE2b-128 over length-prefixed UTF-8 fields, 32 lower-case hex digits. Text is normalised for
hashing only; what is stored stays as it came (design: the tables, Ids).
"""

from __future__ import annotations

import hashlib
import re
import struct
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

IDENTITY_VERSION = "1"
"""Version of hash and normalisation together; changing either changes every id."""

# Zero-width space, non-joiner, joiner, word joiner, and the byte-order mark when it stands inside a text.
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))
_ASCII_WORDS = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_length_prefix = struct.Struct(">Q").pack
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")

Turn = tuple[str, str]
"""One turn of a conversation: (role, content)."""


def storable(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates, which UTF-8 cannot carry, as U+FFFD.

    >>> storable("\\ud83d\\ude00 \\ud83d!") == "\U0001f600 \ufffd!"
    True
    """
    try:
        text.encode("utf-8")
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def normalise(text: str) -> str:
    r"""The form of a text that is hashed: NFC, LF line ends, no zero-width characters, no trailing white space.

    Normalising twice changes nothing.

    >>> normalise("  cafe\u0301 \r\nau\u200b lait  \n")
    'café\nau lait'
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Most text is ASCII, to which the rest does nothing at several times the cost.
    if not text.isascii():
        # Dropping a zero-width character can bring a letter and its accent together: compose afterwards.
        text = unicodedata.normalize("NFC", storable(text).translate(_ZERO_WIDTH))
    if "\n" not in text:
        return text.strip()
    return "\n".join(map(str.rstrip, text.split("\n"))).strip()


def digest(*fields: str) -> str:
    """BLAKE2b-128 of the fields, each prefixed with its byte length so that no two lists collide.

    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    return _digest_after(b"", fields)


def _prefixed(fields: Iterable[str]) -> bytes:
    parts: list[bytes] = []
    for field in fields:
        data = field.encode("utf-8")
        parts += (_length_prefix(len(data)), data)
    return b"".join(parts)


def _digest_after(beginning: bytes, fields: Iterable[str]) -> str:
    """Digest of fields whose first ones, the same for a million rows, are prefixed already."""
    return hashlib.blake2b(beginning + _prefixed(fields), digest_size=16).hexdigest()


_PROMPT, _RESPONSE, _PAIR, _EVENT = (
    _prefixed((kind, IDENTITY_VERSION)) for kind in ("prompt", "response", "pair", "event")
)


def prompt_id(turns: Sequence[Turn]) -> str:
    """Id of a conversation: every turn with its role, system turns included."""
    fields = []
    for role, content in turns:
        fields += [role, normalise(content)]
    return _digest_after(_PROMPT, fields)


def response_hash(text: str) -> str:
    """Hash of one normalised response."""
    return _digest_after(_RESPONSE, (normalise(text),))


@dataclass(frozen=True)
class PairIdentity:
    """Ids of a pair and whether the given order of the responses is the canonical one.

    Attributes:
        pair_id: 32 hex digits; the same for both orders of the responses.
        prompt_id: 32 hex digits.
        swapped: True when the first response given is `response_2` in canonical order.
        equal: True when both responses normalise to the same text, which makes no pair.
    """

    pair_id: str
    prompt_id: str
    swapped: bool
    equal: bool


def identify_pair(turns: Sequence[Turn], response_a: str, response_b: str) -> PairIdentity:
    """Identify a pair: the responses are put in ascending order of their hashes.

    A pair stored in canonical order makes "verdict 1" mean the same response in every source.

    >>> one = identify_pair([("user", "Hi")], "Hello!", "Go away.")
    >>> two = identify_pair([("user", "Hi ")], "Go away.", "Hello!")
    >>> one.pair_id == two.pair_id, one.swapped != two.swapped
    (True, True)
    """
    hash_a, hash_b = response_hash(response_a), response_hash(response_b)
    pid = prompt_id(turns)
    low, high = sorted((hash_a, hash_b))
    return PairIdentity(
        pair_id=_digest_after(_PAIR, (pid, low, high)),
        prompt_id=pid,
        swapped=hash_a > hash_b,
        equal=hash_a == hash_b,
    )


def event_id(pair_id: str, labeller: str, labeller_version: str, round_name: str, delivery: str) -> str:
    """Id of a label event. `delivery` is the task (people), revision and row (sources) or request set (judges).

    A delivery repeated after a crash has the same id and therefore adds nothing.
    """
    return _digest_after(_EVENT, (pair_id, labeller, labeller_version, round_name, delivery))


def prompt_cluster_key(turns: Iterable[Turn]) -> str:
    """Key under which prompts count as one for the splits: letters and digits only, lower case.

    >>> prompt_cluster_key([("user", "Hi, there!")]) == prompt_cluster_key([("user", "hi there")])
    True
    """
    folded = []
    for role, content in turns:
        text = normalise(content)
        if text.isascii():
            words = text.translate(_ASCII_WORDS).split()
        else:
            words = _NOT_ALPHANUMERIC.sub(" ", text.casefold()).split()
        # A prompt of punctuation alone has no words: its own text keeps it apart from other such prompts.
        folded += [role, " ".join(words) or text]
    return digest("prompt_cluster", IDENTITY_VERSION, *folded)
