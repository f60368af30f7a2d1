"""Secrets and personal data by pattern: counts alone, never what was matched.

Arrow's RE2 finds the texts that may hold something, in time linear in the text; only these are looked at again,
where checksums and reserved ranges tell an IBAN from a serial number.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def _any(_: str) -> bool:
    return True


def _is_real_secret(text: str) -> bool:
    # AWS and others print their sample keys with EXAMPLE inside.
    return "EXAMPLE" not in text


def _is_real_address(text: str) -> bool:
    """Not one of the domains that RFC 2606 reserves for examples."""
    domain = text.rpartition("@")[2].lower()
    return not re.search(r"(^|\.)(example\.(com|org|net)|example|test|invalid|localhost)$", domain)


def _is_phone(text: str) -> bool:
    return 8 <= sum(c.isdigit() for c in text) <= 15


def is_iban(text: str) -> bool:
    """Whether the check digits hold (ISO 13616: the rearranged number is 1 modulo 97).

    >>> is_iban("GB82 WEST 1234 5698 7654 32"), is_iban("GB83 WEST 1234 5698 7654 32")
    (True, False)
    """
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def is_card_number(text: str) -> bool:
    """Whether the Luhn checksum holds and the first digit is that of a payment network.

    >>> is_card_number("4111 1111 1111 1111"), is_card_number("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and digits[0] in (2, 3, 4, 5, 6) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_public_ip(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


@dataclass(frozen=True)
class PatternKind:
    """One kind of thing to count.

    Attributes:
        column: the count's name.
        pattern: what RE2 and `re` both understand; repetitions are bounded, so that neither can be made slow.
        holds: whether a match is really one.
        hint: a character that every match has, which is found faster than the pattern; empty for none.
    """

    column: str
    pattern: str
    holds: Callable[[str], bool] = _any
    hint: str = ""


KINDS = (
    # Keys and tokens whose makers gave them a form of their own; a plain password has none and is not found.
    PatternKind(
        "num_secrets",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS access key id
        r"|\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{22}|\bglpat-[A-Za-z0-9_-]{20}"  # GitHub, GitLab
        r"|\bxox[abprs]-[A-Za-z0-9-]{10}|\bAIza[0-9A-Za-z_-]{35}"  # Slack, Google
        r"|\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32}|\b[sr]k_live_[0-9A-Za-z]{16}"  # OpenAI, Anthropic, Stripe
        r"|\bhf_[A-Za-z0-9]{30}|\bnpm_[A-Za-z0-9]{36}|\bpypi-[A-Za-z0-9_-]{50}"
        r"|-----BEGIN (?:[A-Z]{1,10} ){0,2}PRIVATE KEY-----"
        r"|\beyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{10,200}\.",  # JSON web token
        _is_real_secret,
    ),
    PatternKind(
        "num_emails",
        r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,100}\.[A-Za-z]{2,24}\b",
        _is_real_address,
        hint="@",
    ),
    # International numbers, and North American ones as they are usually set.
    PatternKind(
        "num_phones",
        r"\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}\b"
        r"|\(\d{3}\) ?\d{3}[-. ]\d{4}\b|\b\d{3}[-.]\d{3}[-.]\d{4}\b",
        _is_phone,
    ),
    PatternKind("num_ibans", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", is_iban),
    # Not the digits of a decimal fraction, whose checksum holds one time in ten.
    PatternKind("num_cards", r"(?:^|[^.\w])(?:\d[ -]?){12,18}\d\b", is_card_number),
    # IPv4 that is routed on the internet; private, loopback and documentation ranges are nobody's. A version number
    # of four parts looks the same.
    PatternKind("num_ips", r"\b(?:\d{1,3}\.){3}\d{1,3}\b", _is_public_ip, hint="."),
)
PII_COLUMNS = tuple(kind.column for kind in KINDS if kind.column != "num_secrets")
_COMPILED = {kind.column: re.compile(kind.pattern, re.ASCII) for kind in KINDS}


def count_kind(texts: pa.Array, kind: PatternKind) -> np.ndarray:
    """How many of a kind each text holds.

    >>> count_kind(pa.array(["mail ann@uni.edu or x@example.com", "none"]), KINDS[1]).tolist()
    [1, 0]
    """
    counts = np.zeros(len(texts), np.int64)
    where = np.arange(len(texts))
    if kind.hint:
        where = np.flatnonzero(pc.match_substring(texts, kind.hint).to_numpy(zero_copy_only=False))
        texts = texts.take(pa.array(where))
    may = np.flatnonzero(pc.match_substring_regex(texts, kind.pattern).to_numpy(zero_copy_only=False))
    for position, text in zip(where[may], texts.take(pa.array(may)).to_pylist(), strict=True):
        counts[position] = sum(kind.holds(match.group()) for match in _COMPILED[kind.column].finditer(text))
    return counts


def count_secrets_and_pii(texts: pa.Array) -> dict[str, np.ndarray]:
    """Counts of each text by column: `num_secrets` and the columns that `PII_COLUMNS` names."""
    return {kind.column: count_kind(texts, kind) for kind in KINDS}
