"""What a tool may reach: the tables of one tenant, the clock, and a place to note what is missing.

Nothing else is global.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import polars as pl

from ciops_nb import sync
from ciops_nb.engines.protocol import LazyFrame, Tables
from ciops_nb.estate.manifest import Manifest
from ciops_nb.estate.schema import TABLES
from ciops_nb.estate.times import TimeRange, parse_range, parse_time
from ciops_nb.flights import Flights
from ciops_nb.parameters import check_count
from ciops_nb.ways import Rates, Way, Work, decide

__all__ = ["Context", "Frame", "Graph", "Notes", "Shared", "Spans", "Unseen"]

T = TypeVar("T")

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

    Frame: TypeAlias = pd.DataFrame | pl.DataFrame
    Graph: TypeAlias = nx.MultiDiGraph[str]
else:  # what is read when a tool is registered, which must not load pandas and networkx

    class Frame:
        """A pandas or a polars frame, as the session was opened; bodies of tools return polars."""

    class Graph:
        """A ``networkx.MultiDiGraph`` whose nodes are ci_codes."""


@dataclass
class Notes:
    """What a tool says of its answer beside the rows: filled in by the body, read when the answer is presented."""

    total: int | None = None
    left_out: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class OpenSpan(Protocol):
    """A stretch of work that goes on; what is known of it is filled in on the way."""

    rows: int | None
    bytes: int | None


class Spans(Protocol):
    """Measures stretches of work."""

    def span(self, kind: Any, name: str) -> AbstractContextManager[OpenSpan]:
        """Measure what is done inside."""


@dataclass
class _Nothing:
    rows: int | None = None
    bytes: int | None = None


class Unseen:
    """Measures nothing, for work that is no part of a call."""

    @contextmanager
    def span(self, kind: Any, name: str) -> Iterator[OpenSpan]:
        yield _Nothing()


class Shared:
    """Things built once from one state of one tenant's tables (an index, a topology), asked for by all calls.

    Calls that come while it is built wait for the same build; one that fails is not kept.
    """

    def __init__(self, rates: Rates | None = None) -> None:
        self.rates = Rates() if rates is None else rates
        self._made: Flights[Any] = Flights(keep=True)
        self._slots: dict[str, str] = {}
        self._spent: dict[str, tuple[str, float]] = {}  # by index, for the key that was asked for last

    async def get(self, key: str, build: Callable[[], Awaitable[T]]) -> T:
        made: T = await self._made.join(key, build)
        return made

    async def newest(self, slot: str, key: str, build: Callable[[], Awaitable[T]]) -> T:
        """Like ``get``, but only the thing that was asked for last is kept in *slot*: for what differs by moment."""
        if self._slots.get(slot) not in (None, key):
            self._made.drop(f"{slot} {self._slots[slot]}")
        self._slots[slot] = key
        return await self.get(f"{slot} {key}", build)

    def holds(self, slot: str, key: str = "") -> bool:
        """Whether what was asked of *slot* is there, or in the making."""
        return f"{slot} {key}".rstrip() in self._made

    def made(self, key: str) -> bool:
        """Whether what was asked of *key* is there."""
        return self._made.has(key)

    def way(self, work: Work, sizes: Mapping[str, int]) -> Way:
        """How *work* would be done now."""
        slot = work.index or ""
        key, spent = self._spent.get(slot, ("", 0.0))
        return decide(
            work, sizes, self.rates, built=self.holds(slot, work.key), spent_ms=spent if key == work.key else 0.0
        )

    def spend(self, work: Work, way: Way, took_ms: float) -> None:
        """Remember how long *way* took."""
        slot = work.index or ""
        key, spent = self._spent.get(slot, ("", 0.0))
        before = spent if key == work.key and way.route == "portable" else 0.0
        self._spent[slot] = (work.key, before + took_ms if way.route == "portable" else 0.0)
        self.rates.note(slot, way, took_ms)


@dataclass(frozen=True)
class Context:
    """One call's view of the world."""

    tables: Tables
    tenants: Callable[[], tuple[str, ...]]
    manifest: Manifest
    now: datetime
    tz: tzinfo
    shared: Shared
    spans: Spans
    notes: Notes = field(default_factory=Notes)

    async def run(self, lazy: LazyFrame) -> pl.DataFrame:
        """Compute *lazy* away from the loop."""
        with self.spans.span("query", "query") as span:
            found = await sync.in_thread(self.tables.run, lazy)
            span.rows, span.bytes = found.height, int(found.estimated_size())
            return found

    async def sizes(self) -> Mapping[str, int]:
        """About how many rows each table has."""

        async def build() -> dict[str, int]:
            return await sync.in_thread(lambda: {name: self.tables.size(name) for name in TABLES})

        return await self.shared.get("sizes", build)

    async def either(self, work: Work, whole: Callable[[], Awaitable[T]], part: Callable[[], Awaitable[T]]) -> T:
        """What answers *work*: ``whole()``, kept for all calls, or ``part()``, for this one. See ``ciops_nb.ways``."""
        slot = work.index or ""

        def index() -> Awaitable[T]:
            return self.shared.newest(slot, work.key, whole) if work.key else self.shared.get(slot, whole)

        if self.shared.holds(slot, work.key):
            return await index()
        way = self.shared.way(work, await self.sizes())
        began = time.perf_counter()
        made = await (part() if way.route == "portable" else index())
        self.shared.spend(work, way, (time.perf_counter() - began) * 1e3)
        return made

    def moment(self, as_of: Any) -> datetime:
        """The moment that *as_of* means; None is now."""
        return self.now if as_of is None else parse_time(as_of, tz=self.tz)

    def range(self, time_range: Any) -> TimeRange:
        """The absolute range that *time_range* means."""
        return parse_range(time_range, now=self.now, tz=self.tz)

    def warn(self, text: str) -> None:
        self.notes.warnings.append(text)

    def cut(
        self, rows: pl.DataFrame, *, limit: int | None, offset: int = 0, what: str = "rows", named: str = "limit"
    ) -> pl.DataFrame:
        """The rows from *offset* on, at most *limit*, with what is left out noted by the parameter, called *named*."""
        check_count(named, limit, optional=True)
        check_count("offset", offset)
        total = rows.height
        before = min(offset, total)
        shown = rows.slice(before, total if limit is None else min(limit, total))
        after = total - before - shown.height
        self.notes.total = total
        for count, why in ((before, f"offset={offset}"), (after, f"{named}={limit}")):
            if count:
                self.notes.left_out.append({"what": what, "count": count, "why": why})
        return shown
