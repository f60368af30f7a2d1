"""Passwords and tokens: what is accepted, and how they are kept."""

from __future__ import annotations

import hashlib
import secrets
import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from assets.human_gold.desk.views import InvitationRefused

MIN_LENGTH, MAX_LENGTH = 10, 1_000

# What people choose most among passwords that are long enough, as words, numbers and walks over the keyboard.
_WORDS = (
    "password",
    "passwort",
    "qwerty",
    "qwertz",
    "azerty",
    "welcome",
    "letmein",
    "iloveyou",
    "football",
    "changeme",
)
_WALKS = (
    "01234567890123456789",
    "09876543210987654321",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn",
    "1q2w3e4r5t6z7u8i9o0p",
    "1q2w3e4r5t6y7u8i9o0p",
)

# Each takes 64 MiB and a core for some tens of milliseconds: more at once would starve the page.
_AT_ONCE = threading.BoundedSemaphore(4)


def new_token() -> str:
    """A secret for a link or a cookie, of 256 bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is kept of a token: it has enough bits of its own to need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def check_password(password: str, handle: str) -> None:
    """Refuse a weak password.

    Raises:
        InvitationRefused: too short or too long, the person's own name, or one of the commonest.
    """
    if len(password) < MIN_LENGTH:
        raise InvitationRefused(f"The password has fewer than {MIN_LENGTH} characters.", todo="choose a longer one")
    if len(password) > MAX_LENGTH:
        raise InvitationRefused(f"The password has more than {MAX_LENGTH} characters.", todo="choose a shorter one")
    plain = _form(password).casefold()
    if plain.strip() == handle.casefold():
        raise InvitationRefused("The password is the name.", todo="choose another password")
    if is_common(plain):
        raise InvitationRefused("The password is one of the commonest.", todo="choose another, such as three words")


def is_common(password: str) -> bool:
    """Whether it is among what is tried first: a common word with digits, one character or two, a keyboard walk.

    >>> [is_common(p) for p in ("password123", "aaaaaaaaaaaa", "qwertyuiop", "1234567890", "three mild oxen")]
    [True, True, True, True, False]
    """
    plain = password.casefold()
    letters = plain.strip("0123456789!?.*#$@-_ ")
    if letters in _WORDS or any(letters == word * times for word in _WORDS for times in (2, 3)):
        return True
    return len(set(plain)) <= 2 or any(plain in walk or plain in walk[::-1] for walk in _WALKS)


class Passwords:
    """Hashes and verifies by Argon2id.

    Args:
        hasher: with its costs; the library's own are those of RFC 9106's second choice.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        # Verified in place of an account that does not exist, so that both take as long.
        self._nobody = self.hash(new_token())

    def hash(self, password: str) -> str:
        """What is kept of a password."""
        with _AT_ONCE:
            return self._hasher.hash(_form(password).encode("utf-8", "surrogatepass"))

    def matches(self, password: str, kept: str | None) -> bool:
        """Whether the password is the one of which `kept` was kept; None takes as long and is never so."""
        with _AT_ONCE:
            try:
                found = self._hasher.verify(
                    self._nobody if kept is None else kept,
                    _form(password[:MAX_LENGTH]).encode("utf-8", "surrogatepass"),
                )
            except (VerificationError, InvalidHashError):
                return False
        return found and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether it was hashed at other costs than today's."""
        return self._hasher.check_needs_rehash(kept)


def _form(password: str) -> str:
    """The same password from every keyboard."""
    return unicodedata.normalize("NFKC", password)
