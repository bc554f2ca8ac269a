"""Running a recipe: from its name and parameters to a run, which can be watched, cancelled, resumed and compared."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import json
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import polars as pl

import ciops_nb
from ciops_nb import plugins, sync
from ciops_nb.answers import COMPLETE, Provenance, record
from ciops_nb.errors import BadParameter, UnknownTool
from ciops_nb.estate.names import nearest
from ciops_nb.execution.keep import difference, digest, plain
from ciops_nb.execution.record import Recorded, Recorder
from ciops_nb.execution.trace import Span, Trace
from ciops_nb.recipes.findings import Findings
from ciops_nb.tools.params import told
from ciops_nb.tools.scope import codes_of

if TYPE_CHECKING:
    from ciops_nb.session import Ops

    Status: TypeAlias = Literal["running", "done", "failed", "cancelled"]
else:  # jedi 0.20 breaks down at a property that returns a Literal, and then completes nothing of a run
    Status = str

__all__ = [
    "Progress", "Run", "Settings", "all_recipes", "begin", "compare", "find_recipe", "parts", "recipe", "run_recipe",
]  # fmt: skip

Recipe: TypeAlias = Callable[..., Coroutine[Any, Any, Findings]]

_OURS = ("blast_radius", "inventory", "lookup", "path", "rule_review", "triage", "what_changed")
_recipes: dict[str, Recipe] = {}


def recipe(function: Recipe) -> Recipe:
    """Make an async function ``(ops, ..., *, ...) -> Findings`` a recipe under its own name.

    Defined again in the same place, as when the cell of a notebook is run again, it takes the place of what was there.

    Raises:
        TypeError: the name is taken, it is not an async function, or there is no docstring.
    """
    name = function.__name__
    there = _recipes.get(name)
    if there is not None and (there.__module__, there.__qualname__) != (function.__module__, function.__qualname__):
        raise TypeError(f"there is a recipe {name!r} already, in {there.__module__}")
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"recipe {name}: write it as async def")
    if not function.__doc__:
        raise TypeError(f"recipe {name}: write a docstring")
    _recipes[name] = function
    return function


def all_recipes() -> dict[str, Recipe]:
    """Every recipe by its name: those of this package, of other packages, and of the notebook."""
    for name in _OURS:
        importlib.import_module(f"ciops_nb.recipes.{name}")
    plugins.load("ciops_nb.recipes")
    return dict(sorted(_recipes.items()))


def find_recipe(name: str) -> Recipe:
    """The recipe called *name*.

    Raises:
        UnknownTool: there is none.
    """
    known = all_recipes()
    if name not in known:
        raise UnknownTool(name, nearest(name, known), f"There are: {', '.join(known)}.")
    return known[name]


@dataclass(frozen=True)
class Settings:
    """How the session was opened that a run belongs to: elsewhere the same recipe may find something else."""

    frames: Literal["pandas", "polars"] = "pandas"
    tz: str = "UTC"
    strict: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a run is: calls asked and answered, and the tools that are being waited for."""

    asked: int
    answered: int
    waiting: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.answered} of {self.asked} calls answered" + (
            f", waiting for {', '.join(dict.fromkeys(self.waiting))}" if self.waiting else ""
        )


class Run:
    """What a recipe asked, was answered and found. One that was started can be awaited, watched and cancelled.

    Attributes:
        id: The same for the same recipe, parameters and data.
        recipe, params: What was run, with defaults filled in and as plain JSON.
        tenant, estate, engine, data_version: On what.
        settings: How the session was opened.
        ciops_version: By which release.
        status: running, done, failed or cancelled. A run that did not end well keeps the calls that did.
        error: What made it fail, else None.
    """

    def __init__(
        self,
        name: str,
        params: Mapping[str, Any],
        recorder: Recorder,
        *,
        tenant: str,
        estate: str,
        engine: str,
        data_version: str | None,
        settings: Settings = Settings(),
        ciops_version: str = ciops_nb.__version__,
    ) -> None:
        self.recipe, self.params, self.recorder = name, params, recorder
        self.tenant, self.estate, self.engine, self.data_version = tenant, estate, engine, data_version
        self.settings, self.ciops_version = settings, ciops_version
        self.error: BaseException | None = None
        self._status: Status = "running"
        self._findings: Findings | None = None
        self.task: asyncio.Task[None] | None = None
        self._trace: Trace | None = None
        self._root = ""

    @property
    def id(self) -> str:
        text = json.dumps(
            [self.recipe, self.params, self.tenant, self.engine, self.data_version, self.ciops_version], sort_keys=True
        )
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    @property
    def status(self) -> Status:
        """How it stands, or how it ended."""
        # A task that is cancelled before its first step ends without running a line that could say so.
        unsaid = self._status == "running" and self.task is not None and self.task.cancelled()
        return "cancelled" if unsaid else self._status

    @property
    def findings(self) -> Findings:
        """What it found.

        Raises:
            BadParameter: it still runs, or was cancelled.
            The error of the recipe: it failed.
        """
        if self._findings is not None:
            return self._findings
        if self.error is not None:
            raise self.error
        hint = "Await it" if self.status == "running" else "Run it again with resume=run: what was answered is kept"
        raise BadParameter("run", f"{self.recipe} {self.id}", f"is {self.status} and has no findings", hint)

    @property
    def now(self) -> datetime:
        """What time it was for the run."""
        return self.recorder.now

    @property
    def recorded(self) -> tuple[Recorded, ...]:
        """The calls that were answered, with their answers, in the order of asking."""
        return self.recorder.recorded

    @property
    def calls(self) -> tuple[Provenance, ...]:
        """The provenance of each call that was answered, in the order of asking."""
        return tuple(
            record(entry.call, entry.answer, started_at=entry.started_at, duration_ms=entry.duration_ms)
            for entry in self.recorded
        )

    @property
    def progress(self) -> Progress:
        """How far it is."""
        waiting = self.recorder.waiting
        return Progress(self.recorder.asked, self.recorder.asked - len(waiting), waiting)

    @property
    def completeness(self) -> str:
        """``complete`` if every call was, else the first other status; ``partial`` if it did not come to its end."""
        if self.status != "done":
            return "partial"
        return next((entry.answer.status for entry in self.recorded if entry.answer.status != COMPLETE), COMPLETE)

    @property
    def trace(self) -> Any:
        """The spans of this run, as ``ops.trace.frame()`` gives those of the session."""
        if self._trace is None:
            problem = (
                "was read from a file that holds no spans" if self.task is None else "has not begun: it has no spans"
            )
            raise BadParameter("run", f"{self.recipe} {self.id}", problem, "Run it")
        return self._trace.frame(root=self._root)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans of this run, those that still go on among them; none if it has not begun or is from a file."""
        return () if self._trace is None else self._trace.inside(self._root)

    @property
    def wait(self) -> sync.Twin[..., Run]:
        """Wait until it has ended, however it ends: ``await run.wait()`` or ``await run``, or ``run.wait.sync()``."""

        async def wait() -> Run:
            if self.task is not None:
                await asyncio.wait([self.task])
            return self

        return sync.twin(wait)

    def __await__(self) -> Generator[Any, Any, Run]:
        return self.wait().__await__()

    def cancel(self) -> None:
        """Ask it to stop, from any thread; it is over once it has cleaned up. What was answered is kept."""
        task = self.task
        if task is not None and not task.done():
            task.get_loop().call_soon_threadsafe(task.cancel)

    def report(self, path: str | Path, *, explorer: bool = False) -> Path:
        """Write the report as one HTML file that reads without scripts and without a network.

        Args:
            path: The file. One that is there is replaced.
            explorer: Put an explorer below each picture of a topology, for readers who allow scripts: half a megabyte
                more, and some mail filters refuse scripts.

        Raises:
            BadParameter: the file cannot be written there.
        """
        # Views stand above recipes and import them; this one step goes up, and only when it is asked for.
        written: Path = importlib.import_module("ciops_nb.views.report").write(self, Path(path), explorer=explorer)
        return written

    def save(self, path: str | Path) -> Path:
        """Write the run as one file, with all answers, that ``ciops_nb.replay`` runs again without the estate.

        Equal runs give equal bytes; a file that was there is replaced when the new one is whole.

        Raises:
            BadParameter: the file cannot be written there, or a part of the findings cannot be written down.
        """
        from ciops_nb.recipes.bundle import save

        return save(self, Path(path))

    def end(self, status: Status, findings: Findings | None = None, error: BaseException | None = None) -> None:
        """Say how it ended."""
        self._status, self._findings, self.error = status, findings, error

    async def carry_out(self, ops: Ops, function: Recipe, params: Mapping[str, Any]) -> None:
        """Run *function*, and note how it ended."""
        try:
            with self.recorder.on(), ops.trace.span("run", self.recipe) as span:
                self._trace, self._root = ops.trace, span.id
                found = await function(ops, **params)
                if not isinstance(found, Findings):
                    raise TypeError(f"recipe {self.recipe} returned a {type(found).__name__}, not Findings")
        except asyncio.CancelledError:
            self.end("cancelled")
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001  how it failed; findings raise it
            self.end("failed", error=error)
        else:
            self.end("done", found)

    def __repr__(self) -> str:
        calls = f"{len(self.recorded)} calls"
        if self.status == "running":
            return f"<Run {self.id} of {self.recipe}: running, {self.progress}>"
        failed = f", {type(self.error).__name__}: {self.error}" if self.error is not None else ""
        return f"<Run {self.id} of {self.recipe}: {self.status}, {calls}, {self.completeness}{failed}>"


async def begin(
    ops: Ops,
    which: str | Recipe,
    params: Mapping[str, Any],
    *,
    resume: Any = None,
    record: Any = None,
    replay: bool = False,
) -> Run:
    """Start a recipe on a session, on the home loop.

    Args:
        ops: The session.
        which: The name of a recipe, or the function itself.
        params: Its parameters.
        resume: A run, the file or the folder of one: what was answered there is not asked again.
        record: A new folder where each answer is written down as it comes.
        replay: Answer as *resume* was answered, whatever the data were by then.

    Raises:
        UnknownTool: no recipe has that name.
        BadParameter: a parameter is missing or unknown, or *record* cannot be made.
        BadBundle: *resume* cannot be read.
    """
    from ciops_nb.recipes.bundle import Journal, earlier

    function = find_recipe(which) if isinstance(which, str) else which
    name = function.__name__
    filled = _bind(name, function, ops, params)
    if filled.get("ci") is not None and not isinstance(filled["ci"], str):
        filled["ci"] = codes_of(filled["ci"])  # so that the run can say of what it was, and be run again
    before = None if resume is None else earlier(resume)
    now = await ops.now() if before is None else before.now
    known = () if before is None else before.recorded
    failed = before.recorder.failures if before is not None and replay else ()
    run = Run(
        name, told(filled), Recorder(now, known=known, failed=failed, replay=replay), tenant=ops.tenant,
        estate=ops.name, engine=ops.engine, data_version=ops.data_version(),
        settings=Settings(ops.frames, str(ops.tz), ops.strict),
    )  # fmt: skip
    if record is not None:
        run.recorder.keep = Journal(Path(record), run).write
    ops.remember(run)
    run.task = asyncio.create_task(run.carry_out(ops, function, filled), name=name)
    return run


async def run_recipe(ops: Ops, which: str | Recipe, params: Mapping[str, Any], **how: Any) -> Run:
    """Run a recipe to its end; cancelling the caller cancels the run. Arguments and errors as ``begin``."""
    run = await begin(ops, which, params, **how)
    assert run.task is not None
    try:
        await asyncio.wait([run.task])
    except asyncio.CancelledError:
        run.task.cancel()
        await asyncio.wait([run.task])
        raise
    return run


def _bind(name: str, function: Recipe, ops: Ops, params: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(function)
    known = list(signature.parameters)[1:]
    for key in params:
        if key not in known:
            near = nearest(key, known) or known
            raise BadParameter(key, params[key], f"recipe {name} has no such parameter", f"Use {' or '.join(near)}")
    try:
        bound = signature.bind(ops, **params)
    except TypeError as error:
        raise BadParameter(name, dict(params), f"needs it differently: {error}", f"It takes {signature}") from None
    bound.apply_defaults()
    return dict(list(bound.arguments.items())[1:])


# ── comparing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def compare(left: Run, right: Run) -> pl.DataFrame:
    """What differs between two runs, call by call: of the same question (tool and parameters) the answers.

    Returns:
        A frame with place, tool, params (JSON), status (same, differs, only_left, only_right) and what (the first
        difference), in the order of asking; a last row with tool null compares the findings.
    """
    sides = [{(entry.call.tool, _params(entry)): entry for entry in run.recorded} for run in (left, right)]
    rows: list[tuple[Any, ...]] = []
    for place, key in enumerate(dict.fromkeys([*sides[0], *sides[1]]), start=1):
        one, other = sides[0].get(key), sides[1].get(key)
        if one is None or other is None:
            status, what = ("only_right" if one is None else "only_left"), None
        else:
            what = difference(one.answer, other.answer)
            status = "same" if what is None else "differs"
        rows.append((place, *key, status, what))
    what = _findings_differ(left, right)
    rows.append((len(rows) + 1, None, None, "same" if what is None else "differs", what))
    schema = {"place": pl.Int64(), **dict.fromkeys(("tool", "params", "status", "what"), pl.String())}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _params(entry: Recorded) -> str:
    return json.dumps(entry.call.params, sort_keys=True)


def _findings_differ(left: Run, right: Run) -> str | None:
    if left.status != right.status:
        return f"the run is {left.status} against {right.status}"
    if left.status != "done":
        ours, theirs = (_problem(run) for run in (left, right))
        return None if ours == theirs else f"error: {ours} against {theirs}"
    return parts_differ(parts(left.findings), parts(right.findings))


def _problem(run: Run) -> str:
    # What was read from a file has the text of its error, with its name before it.
    return str(run.error) if type(run.error) is RuntimeError else f"{type(run.error).__name__}: {run.error}"


def parts(findings: Findings) -> list[tuple[str, str]]:
    """Everything that *findings* say, as names and texts; a frame or graph is told by its size and digest."""
    told = [(f"statement {number}" if number else "headline", statement.text)
            for number, statement in enumerate(findings.all_statements())]  # fmt: skip
    for number, section in enumerate(findings.sections, start=1):
        for name, value in (("title", section.title), ("text", section.text), ("body", _body(section.body))):
            told.append((f"section {number}, {name}", value))
    return told


def _body(body: Any) -> str:
    if hasattr(body, "columns") or hasattr(body, "nodes"):
        kind, size = ("graph", "nodes") if hasattr(body, "nodes") else ("frame", "rows")
        return f"{kind} of {len(body)} {size}, {digest(plain(body))}"
    # A figure has no equal but itself: what it was drawn from is compared.
    return type(body).__name__ if hasattr(body, "savefig") else str(body)


def parts_differ(ours: list[tuple[str, str]], theirs: list[tuple[str, str]]) -> str | None:
    """The first of two lists of ``parts`` in which they differ, None if they are the same."""
    for (name, a), (other, b) in zip(ours, theirs, strict=False):
        if name != other:
            return f"{name} against {other}"
        if a != b:
            return f"{name}: {a!r} against {b!r}"
    return None if len(ours) == len(theirs) else f"{len(ours)} parts against {len(theirs)}"
