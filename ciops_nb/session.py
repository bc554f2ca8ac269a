"""``connect`` and the session it returns: the tools as attributes, bound to one estate and one tenant."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Literal

import narwhals.stable.v2 as nw
import polars as pl

from ciops_nb import sync
from ciops_nb.answers import COMPLETE, Provenance, attach, frozen
from ciops_nb.context import Context, Notes, Shared, check_flag, check_text, choose
from ciops_nb.engines.protocol import Engine, Tables
from ciops_nb.engines.select import open_engine
from ciops_nb.errors import IncompleteResult, SessionClosed, TenantNeeded
from ciops_nb.estate.times import TimeRange, format_time, parse_range, parse_time, parse_zone
from ciops_nb.present import to_pandas
from ciops_nb.registry import BoundTool, Tool, find_tool
from ciops_nb.tools import cep as _cep
from ciops_nb.tools import ci as _ci
from ciops_nb.tools import estate as _estate
from ciops_nb.tools import graph as _graph
from ciops_nb.tools import history as _history
from ciops_nb.tools import metric as _metric
from ciops_nb.tools.filters import absolute_where
from ciops_nb.tools.scope import codes_of

if TYPE_CHECKING:
    from types import TracebackType

    from ciops_nb.recipes.run import Run

__all__ = ["Ops", "connect", "recording", "told"]

# When data was seen to be so. Plans (changes, maintenance) may lie in the future: they count where nothing else does.
_SEEN = {
    "metric": ("ts",), "event": ("ts",), "incident": ("opened_at", "resolved_at"),
    "ci": ("created_at", "updated_at", "valid_from"), "ci_property": ("valid_from",), "relation": ("valid_from",),
}  # fmt: skip
_PLANNED = {"change": ("start_at",), "maintenance": ("start_at",)}

_calls: ContextVar[list[Provenance | None] | None] = ContextVar("ciops_calls", default=None)


class Ops:
    """One estate and one tenant, ready to be asked. Every tool can be awaited, or called with ``.sync``."""

    ci_search = _ci.ci_search
    ci_get = _ci.ci_get
    ci_get_by_code = _ci.ci_get_by_code
    ci_aggregate = _ci.ci_aggregate
    ci_list_preview = _ci.ci_list_preview
    metric_list = _metric.metric_list
    metric_aggregate = _metric.metric_aggregate
    metric_series_table = _metric.metric_series_table
    history_recent = _history.history_recent
    graph_expand = _graph.graph_expand
    graph_path = _graph.graph_path
    cep_simulate = _cep.cep_simulate
    estate = _estate.estate
    tenants = _estate.tenants

    def __init__(
        self, engine: Engine, tenant: str, *, frames: str, now: datetime | None, tz: str, strict: bool, user: str | None
    ) -> None:
        self._engine, self._frames, self._strict = engine, frames, strict
        self.tenant, self.user = tenant, user
        self._tz = parse_zone(tz)
        self._now = now
        self._newest: tuple[str, datetime] | None = None
        self._shared: tuple[str, Shared] | None = None
        self._closed = False

    @property
    def source(self) -> str:
        """What the session was opened on."""
        return self._engine.source

    @property
    def name(self) -> str:
        """The name of the estate."""
        return self._engine.manifest.name

    @property
    def tz(self) -> tzinfo:
        """The zone in which times without one are read."""
        return self._tz

    @property
    def engine(self) -> str:
        """The name of the engine that reads the tables."""
        return self._engine.name

    def tool(self, name: str) -> BoundTool[..., Any]:
        """A tool by its name, third parties' included.

        Raises:
            UnknownTool: there is none.
        """
        return BoundTool(find_tool(name), self)

    @property
    def run(self) -> sync.Twin[..., Run]:
        """Run a recipe by its name: ``await ops.run("triage", ci=..., at=...)``, or ``ops.run.sync(...)``.

        Returns:
            A Run with status, findings, calls and ``report(path)``.
        """
        from ciops_nb.recipes.run import run_recipe

        async def run(recipe: str | Callable[..., Coroutine[Any, Any, Any]], **params: Any) -> Run:
            return await run_recipe(self, recipe, params)

        return sync.twin(run)

    async def call_tool(self, tool: Tool[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Ask *tool*, and put its provenance on the answer."""
        if self._closed:
            raise SessionClosed(self.source)
        keep = _kept_place()
        started, began = datetime.now(UTC), time.perf_counter()
        version = self._engine.data_version()
        ctx = await self._context(version)
        params = await _absolute(ctx, arguments)
        value = await tool.function(ctx, **params)
        shown = to_pandas(value) if self._frames == "pandas" and isinstance(value, pl.DataFrame) else value
        asked, as_of = told(params), format_time(ctx.moment(params.get("as_of")))
        record: Provenance = frozen(
            {
                "call_id": _call_id(tool, asked, self.tenant, self._engine.name, version, as_of),
                "tool": tool.name,
                "tool_version": tool.version,
                "params": asked,
                "tenant": self.tenant,
                "engine": self._engine.name,
                "data_version": version,
                "as_of": as_of,
                "started_at": format_time(started),
                "duration_ms": round((time.perf_counter() - began) * 1e3, 3),
                "cached": False,
                "cache_age_s": None,
                "fallback": None,
                "completeness": _completeness(value, ctx.notes),
                "warnings": ctx.notes.warnings,
            }
        )
        keep(record)
        if self._strict:
            _refuse_incomplete(record)
        return attach(shown, record)

    async def _context(self, version: str) -> Context:
        engine = self._engine
        tables = engine.tables(self.tenant)
        now = await self._clock(tables, version)
        return Context(tables, engine.tenants, engine.manifest, now, self._tz, self._shared_for(version))

    def _shared_for(self, version: str) -> Shared:
        if self._shared is None or self._shared[0] != version:
            self._shared = (version, Shared())
        return self._shared[1]

    async def _clock(self, tables: Tables, version: str) -> datetime:
        if self._now is not None:
            return self._now
        if self._engine.manifest.clock == "wall":
            return datetime.now(UTC)
        if self._newest is None or self._newest[0] != version:
            self._newest = (
                version,
                await _newest(tables, _SEEN) or await _newest(tables, _PLANNED) or datetime.now(UTC),
            )
        return self._newest[1]

    def close(self) -> None:
        """Let go of the estate; later calls raise SessionClosed."""
        if not self._closed:
            self._closed = True
            self._engine.close()

    def __enter__(self) -> Ops:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Ops:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"tenant {self.tenant!r}, engine {self.engine}"
        return f"<Ops on {self.source!r}: {state}>"


def connect(
    source: str | os.PathLike[str],
    *,
    tenant: str | None = None,
    frames: Literal["pandas", "polars"] = "pandas",
    now: Any = None,
    tz: str = "UTC",
    strict: bool = False,
    user: str | None = None,
) -> Ops:
    """Open an estate.

    Args:
        source: An estate folder, its ``estate.toml``, or ``duckdb:FOLDER`` for the other engine.
        tenant: Whose data; needed when the estate has several.
        frames: What tools return: ``pandas`` or ``polars``; same columns, order and values.
        now: The end of relative time ranges; None is the newest data time of a frozen estate, the wall clock of a
            live one.
        tz: The zone in which times without one are read.
        strict: Raise IncompleteResult instead of returning an answer that is not whole.
        user: Who asks; part of the scope of what is kept.

    Raises:
        EstateInvalid: the folder is not an estate.
        TenantNeeded: the estate has several tenants, or not the one named.
        BadParameter: a value cannot be meant.
        EngineUnavailable: the engine is not installed, or cannot read its files.
    """
    choose("frames", frames, ("pandas", "polars"))
    check_flag("strict", strict)
    zone = parse_zone(tz)
    moment = None if now is None else parse_time(now, tz=zone, name="now")
    engine = open_engine(source)
    try:
        known = engine.tenants()
        if (tenant is None and len(known) > 1) or (tenant is not None and tenant not in known):
            raise TenantNeeded(tenant, known)
        name = tenant if tenant is not None else known[0] if known else "default"
        return Ops(engine, name, frames=frames, now=moment, tz=tz, strict=strict, user=user)
    except BaseException:
        engine.close()
        raise


async def _newest(tables: Tables, columns: Mapping[str, tuple[str, ...]]) -> datetime | None:
    def newest(table: str, names: tuple[str, ...]) -> list[datetime]:
        found = tables.run(tables.table(table).select(*(nw.col(name).max() for name in names)))
        return [value for value in found.row(0) if value is not None]

    found: list[datetime] = []
    for table, names in columns.items():
        if tables.has(table):
            found += await sync.in_thread(newest, table, names)
    return max(found, default=None)


async def _absolute(ctx: Context, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with relative times made absolute, the CIs named by their codes, and rules read."""
    params = dict(arguments)
    for name, value in params.items():
        check_text(name, value)
    if "time_range" in params:
        params["time_range"] = parse_range(params["time_range"], now=ctx.now, tz=ctx.tz)
    if "as_of" in params:
        params["as_of"] = ctx.moment(params["as_of"])
    if params.get("where") is not None:
        params["where"] = absolute_where(params["where"], tz=ctx.tz)
    if params.get("ci") is not None and not isinstance(params["ci"], str):
        params["ci"] = codes_of(params["ci"])
    if "rule" in params:  # read here, so that the record holds the rule and not the name of a file that may change
        params["rule"] = await sync.in_thread(_cep.read_rules, params["rule"])
    return params


def _completeness(value: Any, notes: Notes) -> dict[str, Any]:
    """Whether *value* is all there is, by what the tool has noted."""
    return {
        "status": "truncated" if notes.left_out else COMPLETE,
        "returned": value.height if isinstance(value, pl.DataFrame) else value.number_of_nodes(),
        "total": notes.total,
        "left_out": notes.left_out,
        "warnings": notes.warnings,
    }


def _refuse_incomplete(record: Provenance) -> None:
    status, left_out = record.completeness.status, record.completeness.left_out
    if status != COMPLETE:
        cut = tuple(f"{item['count']} {item['what']} left out by {item['why']}" for item in left_out)
        raise IncompleteResult(record.tool, status, cut)


def told(value: Any) -> Any:
    """*value* as plain JSON for a record."""
    if isinstance(value, TimeRange):
        return str(value)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Mapping):
        return {str(key): told(inner) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((told(inner) for inner in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [told(inner) for inner in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _call_id(tool: Tool[..., Any], params: Any, tenant: str, engine: str, version: str, as_of: str) -> str:
    """The same question on the same data has the same id, so that a report is the same when it is run again.

    The moment is part of the question: the code or tag that a point is shown under is the one of that moment.
    """
    text = json.dumps([tool.name, tool.version, params, tenant, engine, version, as_of], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _kept_place() -> Callable[[Provenance], None]:
    """Take the next place in the order of asking, whatever the order of the answers; what is returned fills it."""
    calls = _calls.get()
    if calls is None:
        return lambda record: None
    place = len(calls)
    calls.append(None)
    return lambda record: calls.__setitem__(place, record)


def recording() -> tuple[list[Provenance | None], Callable[[], None]]:
    """Keep the provenance of each call from here on, in the order of asking, until the returned function is called."""
    calls: list[Provenance | None] = []
    token = _calls.set(calls)
    return calls, lambda: _calls.reset(token)
