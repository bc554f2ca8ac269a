"""One engine as a session asks it: the tables of one tenant, what time it is there, and what is built from its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import narwhals.stable.v2 as nw

from ciops_nb import sync
from ciops_nb.context import Context, Shared, Spans
from ciops_nb.engines.protocol import Engine, Tables
from ciops_nb.errors import EngineUnavailable, EstateInvalid
from ciops_nb.ways import Rates

__all__ = ["Source"]

# When data was seen to be so. Plans (changes, maintenance) may lie in the future: they count where nothing else does.
_SEEN = {
    "metric": ("ts",), "event": ("ts",), "incident": ("opened_at", "resolved_at"),
    "ci": ("created_at", "updated_at", "valid_from"), "ci_property": ("valid_from",), "relation": ("valid_from",),
}  # fmt: skip
_PLANNED = {"change": ("start_at",), "maintenance": ("start_at",)}


@dataclass(frozen=True)
class _State:
    """What is known of one state of the data."""

    version: str
    shared: Shared


class Source:
    """An engine, bound to a tenant."""

    def __init__(self, name: str, engine: Engine, tenant: str, *, now: datetime | None, spans: Spans) -> None:
        self.name, self.engine, self._tenant, self._now, self._spans = name, engine, tenant, now, spans
        self._state: _State | None = None
        self._rates = Rates()

    def version(self) -> str:
        """The version of the data as they are now.

        Raises:
            EngineUnavailable: what was an estate when the session was opened is none any more.
        """
        with self._reached():
            return self.engine.data_version()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except EstateInvalid as error:
            raise EngineUnavailable(self.engine.name, f"{error.place}: {error.problem}", error.hint) from None

    def context(self, now: datetime, tz: tzinfo) -> Context:
        """What a tool may reach, for one call."""
        shared, engine = self._shared(), self.engine
        with self._reached():
            return Context(engine.tables(self._tenant), engine.tenants, engine.manifest, now, tz, shared, self._spans)

    def _shared(self) -> Shared:
        """What was built from the data as they are now."""
        version = self.version()
        if self._state is None or self._state.version != version:
            self._state = _State(version, Shared(self._rates))
        return self._state.shared

    @property
    def live(self) -> bool:
        """Whether time goes on here: nobody said what time it is, and the estate is not frozen."""
        with self._reached():
            return self._now is None and self.engine.manifest.clock == "wall"

    async def now(self) -> datetime:
        """What time it is: what the session was told, the wall clock if the estate is live, else its newest time."""
        if self._now is not None:
            return self._now
        if self.live:
            return datetime.now(UTC)
        return await self.newest()

    def knows_now(self) -> bool:
        """Whether ``now`` is known without a look at the data."""
        return self._now is not None or self.live or self._shared().made("newest")

    async def newest(self) -> datetime:
        """Up to when there are data."""

        async def build() -> datetime:
            with self._reached():
                tables = self.engine.tables(self._tenant)
            return await _newest(tables, _SEEN) or await _newest(tables, _PLANNED) or datetime.now(UTC)

        return await self._shared().get("newest", build)


async def _newest(tables: Tables, columns: Mapping[str, tuple[str, ...]]) -> datetime | None:
    def newest(table: str, names: tuple[str, ...]) -> list[datetime]:
        found = tables.run(tables.table(table).select(*(nw.col(name).max() for name in names)))
        return [value for value in found.row(0) if value is not None]

    found: list[datetime] = []
    for table, names in columns.items():
        if tables.has(table):
            found += await sync.in_thread(newest, table, names)
    return max(found, default=None)
