"""``connect`` and the session it returns: the tools as attributes, bound to one estate and one tenant."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import polars as pl

from ciops_nb import parameters, sync
from ciops_nb.answers import COMPLETE, attach, record
from ciops_nb.context import Context, Unseen
from ciops_nb.engines.protocol import Engine
from ciops_nb.engines.select import open_engine
from ciops_nb.errors import (
    BadParameter,
    EngineUnavailable,
    IncompleteResult,
    SessionClosed,
    TenantNeeded,
    ToolTimedOut,
)
from ciops_nb.estate.times import format_time, parse_time, parse_zone
from ciops_nb.execution import otel
from ciops_nb.execution.cache import Kept
from ciops_nb.execution.call import Answer, Call, Runner
from ciops_nb.execution.keep import whole
from ciops_nb.execution.record import current
from ciops_nb.execution.sources import Choice, Health, choose, stand_ins
from ciops_nb.execution.stack import build_runner
from ciops_nb.execution.trace import Trace
from ciops_nb.present import as_frames, load_pandas
from ciops_nb.registry import BoundTool, Tool, find_tool
from ciops_nb.source import Source
from ciops_nb.tools import cep as _cep
from ciops_nb.tools import ci as _ci
from ciops_nb.tools import estate as _estate
from ciops_nb.tools import graph as _graph
from ciops_nb.tools import history as _history
from ciops_nb.tools import metric as _metric
from ciops_nb.tools.params import absolute, needs_until, told
from ciops_nb.ways import Foreseen, foresee

if TYPE_CHECKING:
    from types import TracebackType

    from ciops_nb.recipes.run import Run

    _Frames: TypeAlias = Literal["pandas", "polars"]
else:  # jedi 0.20 breaks down at a property that returns a Literal, and then completes nothing of a session
    _Frames = str

__all__ = ["Ops", "connect"]

T = TypeVar("T")

_FIRST = "live"  # the name of the source that a session was opened on
_RUNS = 5  # that are remembered, with their answers
_PLAN = {
    "turn": pl.Int64(), "source": pl.String(), "engine": pl.String(), "cached": pl.Boolean(),
    "expected_ms": pl.Float64(), "route": pl.String(), "rows": pl.Int64(), "estimated_ms": pl.Float64(),
    "reason": pl.String(),
}  # fmt: skip


class Ops:
    """One estate and one tenant, ready to be asked. Every tool can be awaited, or called with ``.sync``.

    *opened_with* is what ``connect`` was given, as plain values, but for what it takes anyway.
    """

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
    cep_explain = _cep.cep_explain
    cep_sweep = _cep.cep_sweep
    cep_compare = _cep.cep_compare
    cep_inject = _cep.cep_inject
    estate = _estate.estate
    tenants = _estate.tenants

    def __init__(
        self, engine: Engine, tenant: str, *, frames: str, now: datetime | None, tz: str, strict: bool, user: str | None
    ) -> None:
        self._frames, self._strict, self._now = frames, strict, now
        self._can_hand_out = frames == "polars"
        self.tenant, self.user = tenant, user
        self._tz = parse_zone(tz)
        self._timeout: float | None = None
        self._closed = False
        self._runs: deque[Run] = deque(maxlen=_RUNS)
        self.opened_with: Mapping[str, Any] = {}
        self.trace, self.cache = Trace(frames=frames), Kept(frames=frames)
        self.trace.add_begin(otel.begin)
        self._sources: dict[str, Source] = {}
        self._health: dict[str, Health] = {}
        self._first = self._add_source(_FIRST, engine)
        self._name = engine.manifest.name  # read once: a run may begin while the estate is away
        self._runner = self._layers(on=())

    def _add_source(self, name: str, engine: Engine) -> Source:
        made = Source(name, engine, self.tenant, now=self._now, spans=self.trace)
        self._sources[name], self._health[name] = made, Health()
        return made

    def _layers(self, on: tuple[type[Exception], ...]) -> Runner:
        self._on = on
        return build_runner(self._ask, order=self._order, health=self._health, on=on, kept=self.cache, trace=self.trace)

    @property
    def source(self) -> str:
        """What the session was opened on."""
        return self._first.engine.source

    @property
    def name(self) -> str:
        """The name of the estate."""
        return self._name

    @property
    def tz(self) -> tzinfo:
        """The zone in which times without one are read."""
        return self._tz

    @property
    def frames(self) -> _Frames:
        """What tools return."""
        return "polars" if self._frames == "polars" else "pandas"

    @property
    def strict(self) -> bool:
        """Whether an answer that is not whole raises."""
        return self._strict

    @property
    def engine(self) -> str:
        """The name of the engine that reads the tables."""
        return self._first.engine.name

    def tool(self, name: str) -> BoundTool[..., Any]:
        """A tool by its name, third parties' included.

        Raises:
            UnknownTool: there is none.
        """
        return BoundTool(find_tool(name), self)

    @property
    def run(self) -> sync.Twin[..., Run]:
        """Run a recipe to its end: ``await ops.run("triage", ci=..., at=...)``, or ``ops.run.sync(...)``.

        Beside the recipe's own parameters it takes *resume* (an earlier run, a saved one, or the folder where one was
        recorded: what was answered there is not asked again) and *record* (a new folder where each answer is written
        down as it comes).

        Returns:
            A Run with status, findings, calls, trace, ``report(path)`` and ``save(path)``. One that failed is returned
            too: its findings raise what went wrong.
        """
        from ciops_nb.recipes.run import run_recipe

        async def run(recipe: Any, /, *, resume: Any = None, record: Any = None, **params: Any) -> Run:
            return await run_recipe(self, recipe, params, resume=resume, record=record)

        return sync.twin(run)

    def start(self, recipe: Any, /, *, resume: Any = None, record: Any = None, **params: Any) -> Run:
        """Start a recipe and return at once: the run can be awaited, watched (``run.progress``) and cancelled.

        Takes what ``run`` takes.
        """
        from ciops_nb.recipes.run import begin

        return sync.run(begin(self, recipe, params, resume=resume, record=record))

    def compare(self, left: Run, right: Run) -> Any:
        """What differs between two runs, call by call.

        Returns:
            A frame with place, tool, params (JSON), status (same, differs, only_left, only_right) and what (the first
            difference), in the order of asking; the last row, whose tool is null, compares the findings.
        """
        from ciops_nb.recipes.run import compare

        found = compare(left, right)
        return as_frames(found, self._frames)

    @property
    def suggest(self) -> sync.Twin[..., Any]:
        """Which recipes and tools answer a question in English: ``await ops.suggest("why is erp slow?")`` or ``.sync``.

        Returns:
            A frame with rank, call (the Python that asks it), kind (recipe, tool), name, params (JSON), score and
            reason, the best first. A question that is not understood gives one row without a call: its reason says so.
        """
        from ciops_nb.recipes.suggest import suggest

        async def ask(question: str, *, limit: int = 5) -> Any:
            found = await suggest(self, question, limit=limit)
            return as_frames(found, self._frames)

        return sync.twin(ask)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The latest runs of this session, those that failed or were cancelled among them."""
        return tuple(self._runs)

    def remember(self, run: Run) -> None:
        """Keep *run* among the latest."""
        self._runs.append(run)

    async def now(self, asked: str = "now", timeout: float | None = 300.0) -> datetime:  # noqa: ASYNC109  it is one
        """What time it is: that of the run that is on, else at the first source that can tell.

        Args:
            asked: What wants to know.
            timeout: Seconds that each source may take, if the session has no limit of its own.

        Raises:
            EngineUnavailable, ToolTimedOut: no source can tell.
        """
        recorder = current()
        if recorder is not None:
            return recorder.now
        failures: list[Exception] = []
        for turn in choose(asked, list(self._sources), self._health):
            began = time.perf_counter()
            try:
                limit = timeout if self._timeout is None else self._timeout
                return await sync.limited(self._sources[turn.source].now, asked, limit)
            except self._on as error:
                # What is known is told at once and says nothing of the source's health; that it fails does.
                self._health[turn.source].note(asked, False, time.perf_counter() - began)
                failures.append(error)
        raise failures[0]

    async def look(self, name: str, reading: Callable[[Context], Awaitable[T]]) -> T:
        """What *reading* makes of the source that the session was opened on, as tools see it.

        For views that read once and reckon often. Nothing is around it but the limit of time: no answer is kept,
        recorded or taken from another source.

        Args:
            name: What it is called where it takes too long.
            reading: A function of a Context; called on the home loop.

        Raises:
            SessionClosed, EngineUnavailable, ToolTimedOut
        """
        if self._closed:
            raise SessionClosed(self.source)
        ctx = self._first.context(await self.now(name), self._tz)
        return await sync.limited(lambda: reading(ctx), name, self._timeout)

    def data_version(self) -> str | None:
        """A short text that differs whenever the data does; None if the source cannot be reached and another can."""
        try:
            return self._first.version()
        except self._on:
            return None

    def fall_back_to(
        self,
        source: str | os.PathLike[str],
        *,
        name: str = "snapshot",
        on: tuple[type[Exception], ...] = (EngineUnavailable, ToolTimedOut),
    ) -> None:
        """Ask another estate where this one fails. Its answers say so, and are never kept.

        Args:
            source: As for ``connect``; it must have the tenant of this session.
            name: What the source is called in provenance and plans. Several are asked in the order of adding.
            on: The errors that lead to it; all others are raised at once.

        Raises:
            TenantNeeded: the other estate does not have this tenant.
            BadParameter: the name is taken, or *on* names no errors.
            EstateInvalid, EngineUnavailable: it cannot be opened.
        """
        if name in self._sources:
            raise BadParameter("name", name, "is the name of a source already", "Choose another")
        if not on or not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in on):
            raise BadParameter("on", on, "names no kinds of errors", "Such as (EngineUnavailable, ToolTimedOut)")
        engine = open_engine(source)
        try:
            check_tenant(engine, self.tenant)
        except BaseException:
            engine.close()
            raise
        self._add_source(name, engine)
        self._runner = self._layers(on)

    @property
    def timeout(self) -> float | None:
        """Seconds that any call may take, instead of the tool's own; None leaves each tool its own."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0):
            raise BadParameter(
                "timeout", seconds, "is not a number of seconds above 0", "None leaves each tool its own"
            )
        self._timeout = seconds

    @property
    def plan(self) -> sync.Twin[..., Any]:
        """How a call would be answered, without asking: ``await ops.plan("ci_search", keywords="erp")``, or ``.sync``.

        Returns:
            A frame with turn, source, engine, cached (it would come from the cache, and no source would be asked),
            expected_ms (what this tool usually takes there; null if it was not asked lately), route (cache; index: one
            that is there; build: an index is made first; portable: what is needed is read without one; tables: there
            is no index for it), rows (about how many the answer has), estimated_ms (by the sizes of the tables, and
            what was measured) and reason. The last three are null where the source cannot be reached, or a tool does
            not say what it reads.
        """

        async def plan(tool: str, /, *args: Any, **params: Any) -> Any:
            found = find_tool(tool)
            call = await self._call(found, found.arguments(*args, **params))
            cached = self.cache.holds(call)
            rows = []
            for turn, choice in enumerate(await self._order(call), start=1):
                kept = cached and choice.source == _FIRST
                foreseen = Foreseen("cache", 0.0, None, "") if kept else await self._foresee(found, call, choice.source)
                rows.append(
                    {
                        "turn": turn,
                        "source": choice.source,
                        "engine": self._sources[choice.source].engine.name,
                        "cached": kept,
                        "expected_ms": None if choice.seconds is None else choice.seconds * 1e3,
                        "route": foreseen.route,
                        "rows": foreseen.rows,
                        "estimated_ms": foreseen.ms,
                        "reason": "; ".join(filter(None, (choice.reason, foreseen.reason))),
                    }
                )
            return as_frames(pl.DataFrame(rows, schema=_PLAN), self._frames)

        return sync.twin(plan)

    async def _foresee(self, tool: Tool[..., Any], call: Call, source: str) -> Foreseen:
        """What is known beforehand of asking *source*."""
        if tool.work is None:
            return Foreseen(None, None, None, "")
        try:
            ctx = self._sources[source].context(call.now, self._tz)
            sizes = await sync.limited(ctx.sizes, call.tool, call.timeout)
            works = tool.work(call.arguments, sizes)
        except self._on as error:
            return Foreseen(None, None, None, f"cannot be reached now: {error}")
        except (AttributeError, LookupError, TypeError):  # the tool itself says what is wrong with them
            return Foreseen(None, None, None, "what it takes cannot be told from these parameters")
        return foresee(works, [ctx.shared.way(work, sizes) for work in works])

    async def call_tool(self, tool: Tool[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Ask *tool* through all layers, and put its provenance on the answer."""
        started, began, recorder = datetime.now(UTC), time.perf_counter(), current()
        place = None if recorder is None else recorder.place(tool.name)
        try:
            try:
                call = await self._call(tool, arguments, place)
            except BaseException:
                with self.trace.span("tool", tool.name):  # what cannot be asked is a call too
                    raise
            answer = await self._runner(call)
        finally:
            if recorder is not None and place is not None:
                recorder.give_up(place)
        if self._strict and answer.status != COMPLETE:
            cut = tuple(f"{item['count']} {item['what']} left out by {item['why']}" for item in answer.left_out)
            raise IncompleteResult(tool.name, answer.status, cut)
        told_of = record(call, answer, started_at=started, duration_ms=(time.perf_counter() - began) * 1e3)
        if not self._can_hand_out and isinstance(answer.value, pl.DataFrame):
            await sync.in_thread(load_pandas)  # the first time: not on the loop, on which others wait
            self._can_hand_out = True
        return attach(answer.handed_out(self._frames), told_of)

    async def _call(self, tool: Tool[..., Any], arguments: Mapping[str, Any], place: int | None = None) -> Call:
        if self._closed:
            raise SessionClosed(self.source)
        now = await self.now(tool.name, tool.timeout)
        known = await absolute(arguments, now=now, tz=self._tz)
        moment = known.get("as_of", now)
        call = Call(
            tool.name,
            tool.version,
            known,
            told(known),
            tenant=self.tenant,
            user=self.user,
            engine=self._first.engine.name,
            data_version=self.data_version(),
            source=_FIRST,
            ttl=tool.ttl,
            timeout=tool.timeout if self._timeout is None else self._timeout,
            edition=tool.edition,
            as_of=format_time(moment),
            live=moment is now and current() is None and self.is_live(),
            function=tool.function,
            now=now,
            place=place,
        )
        recorder = current()
        return call if recorder is None else recorder.recognised(call)

    def is_live(self) -> bool:
        """Whether its clock is that of the wall; False if the source cannot be reached."""
        try:
            return self._first.live
        except self._on:
            return False

    async def _ask(self, call: Call) -> Answer:
        """What is innermost: the tool on the source that the call names."""
        source = self._sources[call.source]
        version = source.version()
        ctx = source.context(call.now, self._tz)
        value = await call.function(ctx, **call.arguments)
        steady = source.version() == version
        if not steady:
            ctx.warn("the data changed while this was answered: some rows may be of before, and some of after")
        return Answer(
            whole(call.tool, value),
            engine=source.engine.name,
            data_version=version,
            as_of=call.as_of,
            source=call.source,
            total=ctx.notes.total,
            left_out=tuple(ctx.notes.left_out),
            warnings=tuple(ctx.notes.warnings),
            steady=steady,
        )

    async def aside(self) -> tuple[Context, datetime | None]:
        """What tools reach at the first source, for looking without asking: it leaves no span, and no answer is kept.

        Returns:
            The context, and what time it is there; None, and the wall clock in the context, where that would have to be
            looked up in the data first, which may take longer than the looking.

        Raises:
            SessionClosed, EngineUnavailable
        """
        if self._closed:
            raise SessionClosed(self.source)
        now = await self._first.now() if self._first.knows_now() else None
        context = self._first.context(datetime.now(UTC) if now is None else now, self._tz)
        return replace(context, spans=Unseen()), now

    async def _order(self, call: Call) -> list[Choice]:
        """The sources in their turn for *call*."""
        names = list(self._sources)
        holds: dict[str, datetime | None] = {}
        for name in stand_ins(call.tool, names, self._health):
            began = time.perf_counter()
            try:
                holds[name] = await sync.limited(self._sources[name].newest, call.tool, call.timeout)
            except self._on:
                self._health[name].note(call.tool, False, time.perf_counter() - began)
        return choose(call.tool, names, self._health, needs_until=needs_until(call.arguments), holds_until=holds)

    def close(self) -> None:
        """Let go of the estate; later calls raise SessionClosed."""
        if not self._closed:
            self._closed = True
            self.cache.clear()
            for source in self._sources.values():
                source.engine.close()

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
    parameters.check_flag("strict", strict)
    parameters.choose("frames", frames, ("pandas", "polars"))
    zone = parse_zone(tz)
    moment = None if now is None else parse_time(now, tz=zone, name="now")
    engine = open_engine(source)
    try:
        ops = Ops(engine, check_tenant(engine, tenant), frames=frames, now=moment, tz=tz, strict=strict, user=user)
    except BaseException:
        engine.close()
        raise
    given = {"source": os.fspath(source), "tenant": tenant, "frames": frames, "now": moment and format_time(moment),
             "tz": tz, "strict": strict, "user": user}  # fmt: skip
    usual = {"frames": "pandas", "tz": "UTC", "strict": False}
    ops.opened_with = {name: value for name, value in given.items() if value != usual.get(name)}
    return ops


def check_tenant(engine: Engine, tenant: str | None) -> str:
    """The tenant that is meant: the one named, or the only one.

    Raises:
        TenantNeeded: *engine* has several and none was named, or not the one named.
    """
    known = engine.tenants()
    if (tenant is None and len(known) > 1) or (tenant is not None and tenant not in known):
        raise TenantNeeded(tenant, known)
    return tenant if tenant is not None else known[0] if known else "default"
