"""By which way a question is answered: from an index kept for all calls, or from the part of the tables it needs.

An index answers at once, but the first call has to make it of whole tables. The portable way reads what one call needs,
and keeps nothing. Both give the same answer, so that only time decides. Nobody knows how many calls will come: the
index is built when one call without it would take as long, or when those so far have taken an eighth of that. Whoever
asked a few times asks again, and waits at the keyboard; the price is at most one build that nobody needed.

What a way takes is estimated from the sizes of the tables, until it has been measured here.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Foreseen", "Rates", "Route", "Way", "Work", "decide", "foresee"]

Route = Literal["index", "build", "portable", "tables"]

# Measured with the estate of tests/bench on two cores, polars over Parquet; DuckDB takes up to three times as long.
_QUERY_MS = 3.0
_SCAN_US = 0.09  # a row that is read and filtered
_PART_US = 10.0  # a row that is left, and made part of an answer
_EXPECTED = 8  # times as much will be asked as was so far: pulled out of the air
_USE_MS = 1.0  # asking an index that is there
_ENOUGH = 3  # measurements before they count: the first query of a process warms up its library
_RECENT = 9


@dataclass(frozen=True)
class Work:
    """What has to be read for a call, by either way.

    Attributes:
        index: The index that helps; None if the tables are read in any case.
        holds: The tables it is made of.
        build_us: Microseconds that making it takes for each row of theirs.
        reads: The tables that are read without it, each as often as it is read.
        part: About how many rows are left of them.
        rows: About how many rows or nodes the answer has, None if that cannot be told.
        key: Which of several such indexes, of which only the one used last is kept; empty where there is only one.
    """

    index: str | None
    holds: tuple[str, ...] = ()
    build_us: float = 0.0
    reads: tuple[str, ...] = ()
    part: float = 0.0
    rows: float | None = None
    key: str = ""


@dataclass(frozen=True)
class Way:
    """How a part of a call is done: by which route, about how long that takes, and why so."""

    route: Route
    ms: float
    reason: str


class Rates:
    """What the ways of one source have taken, beside what was estimated."""

    def __init__(self) -> None:
        self._ratios: dict[tuple[str, Route], deque[float]] = {}

    def note(self, index: str, way: Way, took_ms: float) -> None:
        """Remember how long *way* took, which was estimated by these rates."""
        kept = self._ratios.setdefault((index, way.route), deque(maxlen=_RECENT))
        kept.append(took_ms / (way.ms / self.of(index, way.route)))

    def of(self, index: str, route: Route) -> float:
        """By how much the estimate for *route* is to be multiplied."""
        kept = self._ratios.get((index, route), ())
        return statistics.median(kept) if len(kept) >= _ENOUGH else 1.0

    def known(self, index: str, route: Route) -> bool:
        """Whether that was measured often enough."""
        return len(self._ratios.get((index, route), ())) >= _ENOUGH


def decide(work: Work, sizes: Mapping[str, int], rates: Rates, *, built: bool, spent_ms: float = 0.0) -> Way:
    """The way to go.

    Args:
        work: What has to be read.
        sizes: The rows of each table.
        rates: What was measured here before.
        built: Whether the index is there, or in the making.
        spent_ms: What calls have taken without it, since the data are as they are.
    """
    read = sum(_QUERY_MS + sizes.get(name, 0) * _SCAN_US / 1e3 for name in work.reads) + work.part * _PART_US / 1e3
    scanned = " and ".join(f"{sizes.get(name, 0):,} rows of {name}" for name in dict.fromkeys(work.reads))
    if work.index is None:
        return Way("tables", read, f"reads {scanned}, or less where their files tell" if scanned else "reads no table")
    if built:
        return Way("index", _USE_MS, f"{work.index} is built")
    rows = sum(sizes.get(name, 0) for name in work.holds)
    build = len(work.holds) * _QUERY_MS + rows * (_SCAN_US + work.build_us) / 1e3
    build *= rates.of(work.index, "build")
    read *= rates.of(work.index, "portable")
    spent = f", and {spent_ms:,.0f} ms were spent without it" if spent_ms else ""
    told = ", as measured here" if rates.known(work.index, "portable") else ""
    both = f"building {work.index} takes about {build:,.0f} ms, reading {scanned} about {read:,.0f} ms{told}{spent}"
    pays = read >= build or spent_ms * _EXPECTED >= build
    return Way("build", build, both) if pays else Way("portable", read, both)


@dataclass(frozen=True)
class Foreseen:
    """How a whole call would be done, about how long it takes, how many rows it gives, and why so; None: not known."""

    route: str | None
    ms: float | None
    rows: int | None
    reason: str


def foresee(works: Sequence[Work], ways: Sequence[Way]) -> Foreseen:
    """The parts of a call together: the route is that of the part that takes longest."""
    slowest = max(ways, key=lambda way: way.ms)
    rows = max((work.rows for work in works if work.rows is not None), default=None)
    whole = sum(way.ms for way in ways)
    reasons = "; ".join(way.reason for way in ways)
    return Foreseen(slowest.route, whole, None if rows is None else round(rows), reasons)
