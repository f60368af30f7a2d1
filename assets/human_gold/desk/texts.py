"""Texts as both databases can keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assets.identity import storable

# PostgreSQL keeps no NUL; its picture stands for it.
_NUL, _PICTURE_OF_NUL = "\x00", "\u2400"


def keepable(value: Any) -> Any:
    r"""A text, or every text in a JSON value, without lone surrogates and NUL; white space and all else stay.

    >>> keepable({"a": ["x\x00y", 1]})
    {'a': ['x␀y', 1]}
    """
    if isinstance(value, str):
        return storable(value).replace(_NUL, _PICTURE_OF_NUL)
    if isinstance(value, Mapping):
        return {keepable(key): keepable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [keepable(item) for item in value]
    return value
