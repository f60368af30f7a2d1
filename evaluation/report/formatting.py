"""Formatting: how reports write shares, differences, intervals and counts. Pure."""

from __future__ import annotations

from evaluation.intervals import MIN_CLUSTERS

NO_INTERVAL = f"no interval: under {MIN_CLUSTERS} prompts"


def percent(share: float | None) -> str:
    """A share in percent, one digit, the sign never on a line of its own; an em dash where there is none.

    >>> percent(0.8214) == "82.1\\u00a0%", percent(None)
    (True, '—')
    """
    return "—" if share is None else f"{100 * share:.1f}\u00a0%"


def points(difference: float | None) -> str:
    """A difference of shares in points with its sign (a true minus).

    >>> points(0.0812), points(-0.02)
    ('+8.1', '−2.0')
    """
    return "—" if difference is None else f"{100 * difference:+.1f}".replace("-", "−")


def interval(ci95: tuple[float, float] | None, *, signed: bool = False) -> str:
    """An interval in percent or, signed, in points; says so where there is none.

    >>> interval((0.78, 0.861)), interval(None)
    ('78.0 to 86.1', 'no interval: under 20 prompts')
    """
    if ci95 is None:
        return NO_INTERVAL
    low, high = ci95
    return f"{points(low)} to {points(high)}" if signed else f"{100 * low:.1f} to {100 * high:.1f}"


def number(value: int | None) -> str:
    """A count with a thin space at the thousands.

    >>> number(101497) == "101\\u202f497"
    True
    """
    return "—" if value is None else f"{value:,}".replace(",", "\u202f")


def decimal(value: float | None) -> str:
    """A plain number with two digits."""
    return "—" if value is None else f"{value:.2f}".replace("-", "−")


def duration(seconds: float) -> str:
    """Wall time as people say it.

    >>> duration(0.42), duration(75), duration(3720)
    ('0.4 s', '1 min 15 s', '1 h 02 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def words(name: str) -> str:
    """A key as words: underscores become spaces.

    >>> words("kept_by_judges")
    'kept by judges'
    """
    return name.replace("_", " ")


FILTERS = {
    "percent": percent,
    "points": points,
    "interval": interval,
    "number": number,
    "decimal": decimal,
    "duration": duration,
    "words": words,
}
"""Filters of the templates."""
