"""An engine that fails on a plan, around a real one: for tests of what holds when sources do not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from ciops_nb.engines.polars import PolarsEngine
from ciops_nb.errors import EngineUnavailable
from ciops_nb.session import Ops, check_tenant

KINDS = ("fail", "stall", "cut", "die")


class FaultyEngine:
    """A polars engine whose queries go wrong as *plan* says, by their number from 0 on.

    What a plan may say of a query: None (nothing is wrong), ``fail`` (it is refused), ``stall`` (it gives no answer until
    ``recover``), ``cut`` (half of its rows come, and then the connection breaks), ``die`` (the same, and from then on
    nothing can be reached, the version of the data included).

    Attributes:
        queries: How many were asked.
        faults: How many of them went wrong.
    """

    name = "polars"

    def __init__(self, source: Path, plan: Callable[[int], str | None] = lambda number: None) -> None:
        self._real, self.plan = PolarsEngine(str(source)), plan
        self.source = self._real.source
        self.queries = self.faults = 0
        self._dead = False
        self._lock = threading.Lock()
        self._goes_on = threading.Event()

    def recover(self) -> None:
        """All goes well from now on, and what stalled goes on."""
        self.plan, self._dead = lambda number: None, False
        self._goes_on.set()

    @property
    def manifest(self) -> Any:
        return self._real.manifest

    def data_version(self) -> str:
        if self._dead:
            raise self._away("nobody answers")
        return self._real.data_version()

    def tenants(self) -> tuple[str, ...]:
        return self.ask(self._real.tenants, lambda found: found[: len(found) // 2])

    def tables(self, tenant: str) -> FaultyTables:
        return FaultyTables(self, self._real.tables(tenant))

    def close(self) -> None:
        self._goes_on.set()
        self._real.close()

    def ask(self, query: Callable[[], Any], halve: Callable[[Any], Any]) -> Any:
        with self._lock:
            number, self.queries = self.queries, self.queries + 1
            kind = "fail" if self._dead else self.plan(number)
            self.faults += kind is not None
            self._dead = self._dead or kind == "die"
        if kind == "stall":
            assert self._goes_on.wait(60), "nobody let it go on"
        if kind == "fail":
            raise self._away("the connection was refused")
        found = query()
        if kind in ("cut", "die"):
            raise self._away(f"the connection broke after {len(halve(found))} of {len(found)} rows")
        return found

    def _away(self, problem: str) -> EngineUnavailable:
        return EngineUnavailable(self.name, problem, "Try again")


class FaultyTables:
    """The tables of a faulty engine."""

    listed = 200

    def __init__(self, engine: FaultyEngine, tables: Any) -> None:
        self._engine, self._tables = engine, tables

    def has(self, name: str) -> bool:
        return self._tables.has(name)

    def size(self, name: str) -> int:
        size: int = self._tables.size(name)
        return size

    def table(self, name: str, within: Any = None) -> Any:
        return self._tables.table(name, within)

    def frame(self, rows: pl.DataFrame) -> Any:
        return self._tables.frame(rows)

    def run(self, lazy: Any) -> pl.DataFrame:
        return self._engine.ask(lambda: self._tables.run(lazy), lambda frame: frame.head(frame.height // 2))


def session(engine: FaultyEngine, *, tenant: str | None = None, frames: str = "polars", **how: Any) -> Ops:
    """A session on *engine*, as ``connect`` opens one on a place."""
    how = {"now": None, "tz": "UTC", "strict": False, "user": None, **how}
    return Ops(engine, check_tenant(engine, tenant), frames=frames, **how)


def from_query(first: int, kind: str) -> Callable[[int], str | None]:
    """The plan in which all goes wrong in one way from a query on."""
    return lambda number: kind if number >= first else None


def all_wrong(kind: str) -> Callable[[int], str | None]:
    return from_query(0, kind)
