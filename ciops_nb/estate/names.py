"""The names nearest to one that does not exist, for error messages that help."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import SequenceMatcher

from ciops_nb.errors import did_you_mean

__all__ = ["nearest", "one_of"]

_CANDIDATES = 400


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> tuple[str, ...]:
    """Up to *most* of the *known* names that resemble *name*, the nearest first, ties by name.

    All names are sieved by the pairs of letters they share (cheap), and only the best are compared letter by letter
    (difflib), so that a hundred thousand codes take well under a second.
    """
    asked = name.casefold()
    pairs = _pairs(asked)
    rough: list[tuple[float, str]] = []
    for candidate in known:
        other = _pairs(candidate.casefold())
        shared = len(pairs & other)
        if shared:
            rough.append((-shared / (len(pairs) + len(other)), candidate))
    rough.sort()
    close = [
        (-SequenceMatcher(None, asked, candidate.casefold()).ratio(), candidate) for _, candidate in rough[:_CANDIDATES]
    ]
    return tuple(candidate for ratio, candidate in sorted(close)[:most] if ratio <= -0.6)


def _pairs(text: str) -> set[str]:
    padded = f" {text} "
    return {padded[i : i + 2] for i in range(len(padded) - 1)}


def one_of(name: str, known: Collection[str]) -> str:
    """What to write instead of a *name* that is not *known*."""
    return did_you_mean(nearest(name, known), f"There are: {', '.join(known)}")
