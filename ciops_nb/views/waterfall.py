"""Where the time of a run went: its spans as the rows of a waterfall, and these as a picture.

All is plain functions: the widget (``views.widgets.waterfall``) and the picture are drawn from the same rows. Nothing
here looks at a clock.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import polars as pl

from ciops_nb.answers import describe, record
from ciops_nb.errors import BadParameter
from ciops_nb.execution.record import Failed, Recorded
from ciops_nb.execution.trace import Span
from ciops_nb.recipes.evidence import counted
from ciops_nb.recipes.run import Run
from ciops_nb.views.svg import Palette, palette, short, shorten, text_columns, visible

__all__ = [
    "Ghost",
    "Row",
    "Told",
    "Waterfall",
    "account",
    "as_text",
    "beside",
    "critical_path",
    "differs",
    "from_chrome",
    "from_frame",
    "lasted",
    "matched",
    "most_at_once",
    "picture",
    "read",
    "ticks",
    "waterfall",
    "waterfall_svg",
]  # fmt: skip

_KINDS = ("run", "step", "tool", "query")
_COLUMNS = (
    "span_id", "parent_id", "kind", "name", "start_at", "duration_ms", "rows", "bytes", "cached", "retries", "source",
    "status", "error", "call_id",
)  # fmt: skip
_CHROME = {"name": "name", "kind": "cat", "ts": "ts", "dur": "dur"}
_UNTOLD = {"cached": False, "retries": 0}  # where a file does not tell
_FINE = ("ok", "complete")
_MICRO = 1_000  # files and frames tell the start to the microsecond
_LATEST = 2**62
_LINES = 400  # of the text; a picture has fewer rows
_PICTURED = 60


# ── what is drawn ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Told:
    """Spans, and what is known of them beside.

    Attributes:
        spans: In any order.
        title: What they are of.
        calls: What was asked and answered, by call id, where that is known.
        slack_ns: How exactly the spans tell their times.
        timed: Whether they tell any.
        fixed: Whether the times are data, read from a file, and not a measurement that differs each time.
        note: What a reader has to know of them.
    """

    spans: tuple[Span, ...]
    title: str = "trace"
    calls: Mapping[str, Recorded | Failed] = field(default_factory=dict)
    slack_ns: int = 0
    timed: bool = True
    fixed: bool = False
    note: str = ""

    def params(self, span: Span) -> str | None:
        """What was asked, as JSON; None if that is not known."""
        known = self.calls.get(span.call_id or "")
        return None if known is None else json.dumps(known.call.params, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True)
class Ghost:
    """The span of the previous run in the same place; *same* is False if it is known to have had other parameters."""

    start_ns: int
    duration_ns: int
    same: bool


@dataclass(frozen=True)
class Row:
    """One span in the order of the tree.

    Attributes:
        span: The span.
        up: The id of the row that it is under.
        level: 1 at the top.
        inside: How many spans are below.
        start_ns: Since the first of all began.
        critical: Whether it is on the critical path.
        ghost: What it was in the previous run.
        marks: What is to be said of it, as kind and words, the most important first.
    """

    span: Span
    up: str | None
    level: int
    inside: int
    start_ns: int
    critical: bool
    ghost: Ghost | None
    marks: tuple[tuple[str, str], ...]

    @property
    def time(self) -> str:
        """How long it took, in words, and how that differs from the previous run."""
        took = self.span.duration_ns
        if self.ghost is None:
            return lasted(took)
        before = self.ghost.duration_ns
        if self.span.status == "running":
            return f"{lasted(took)}, before {lasted(before)}"
        return f"{lasted(took)}, {differs(took, before)}"


@dataclass(frozen=True)
class Waterfall:
    """Rows in the order of the tree, and what is to be said of the whole.

    Attributes:
        rows: A row for each span.
        total_ns: The length of the time axis.
        title: What it is of.
        counted: In words, how many calls there were and how they ended.
        measured: In words, how long it took.
        notes: What a reader has to know.
        timed: Whether any times are known.
    """

    rows: tuple[Row, ...]
    total_ns: int
    title: str
    counted: tuple[str, ...]
    measured: tuple[str, ...]
    notes: tuple[str, ...]
    timed: bool = True


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read(source: Any) -> Told:
    """What *source* tells: a run, a frame as of ``ops.trace.frame()``, spans, or the path of a Chrome trace.

    Raises:
        BadParameter: it is none of these, or cannot be read.
    """
    if isinstance(source, Told):
        return source
    if isinstance(source, Run):
        return _from_run(source)
    if isinstance(source, (str, Path)):
        return from_chrome(source)
    if hasattr(source, "columns"):
        return from_frame(source)
    if isinstance(source, (list, tuple)) and all(isinstance(item, Span) for item in source):
        return Told(tuple(source))
    hint = "Give a run, ops.trace.frame(), or the path of what ops.trace.chrome(path) wrote"
    raise BadParameter("run", source, "is nothing that has spans", hint)


def _from_run(run: Run) -> Told:
    known: dict[str, Recorded | Failed] = {entry.call.id: entry for entry in run.recorder.failures}
    known.update((entry.call.id, entry) for entry in run.recorded)
    spans = run.spans
    if spans:
        return Told(spans, f"{run.recipe}, {run.status}", known)
    title = f"{run.recipe}, {run.status}"
    if run.status == "running":
        return Told((), title, note="The run has not begun: there is no span yet.")
    note = (
        "This run was read from a file, or its trace was cleared: no times are known. "
        "Its calls stand in the order of asking, as their provenance tells."
    )
    return Told(tuple(_untimed(run)), title, known, timed=False, note=note)


def _untimed(run: Run) -> Iterable[Span]:
    ended = {"done": "ok", "failed": "error"}.get(run.status, run.status)
    error = None if run.error is None else str(run.error)  # of a file it is a RuntimeError, with the name of its own
    if run.error is not None and type(run.error) is not RuntimeError:
        error = f"{type(run.error).__name__}: {error}"
    yield Span("run", None, "run", run.recipe, 0, 0, None, None, False, 0, None, ended, error, None, 0)
    for number, entry in enumerate(run.recorded, start=1):
        answer = entry.answer
        yield Span(
            f"call {number}", "run", "tool", entry.call.tool, number, 0, answer.rows, answer.size, answer.cached,
            answer.retries, answer.source, answer.status, None, entry.call.id, 0,
        )  # fmt: skip
    for number, failed in enumerate(run.recorder.failures, start=len(run.recorded) + 1):
        problem = f"{type(failed.error).__name__}: {failed.error}"
        yield Span(
            f"call {number}", "run", "tool", failed.call.tool, number, 0, None, None, False, 0, failed.call.source,
            "error", problem, failed.call.id, 0,
        )  # fmt: skip


def from_frame(frame: Any) -> Told:
    """The spans of a frame with the columns of ``ops.trace.frame()``, pandas or polars.

    Raises:
        BadParameter: a column is missing, or holds what none of a trace does.
    """
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        problem = f"has no column {', '.join(missing)}"
        raise BadParameter("run", f"frame of {len(frame)} rows", problem, "Give it as ops.trace.frame() returned it")
    try:
        given = frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame[list(_COLUMNS)])
        told = given.select(
            *(name for name in _COLUMNS if name not in ("start_at", "duration_ms")),
            ts=pl.col("start_at").cast(pl.Datetime("us", "UTC")).dt.epoch("us"),
            dur=pl.col("duration_ms") * 1e3,
        )
        rows = told.rows(named=True)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        problem = f"cannot be read: {' '.join(str(error).split())[:200]}"
        hint = "Give it as ops.trace.frame() returned it"
        raise BadParameter("run", f"frame of {len(frame)} rows", problem, hint) from None
    spans = tuple(_span(row, f"row {number}", "frame") for number, row in enumerate(rows))
    return Told(_once(spans, "frame"), "trace", slack_ns=_MICRO)


def from_chrome(path: str | Path) -> Told:
    """The spans of a file that ``ops.trace.chrome(path)`` wrote (Trace Event Format, complete events).

    Raises:
        BadParameter: there is no such file, or it was written by something else, or is damaged.
    """
    place, hint = str(path), "Give a file that ops.trace.chrome(path) wrote"
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadParameter("trace", place, f"cannot be read ({error.strerror or error})", "Check the path") from None
    except (ValueError, RecursionError) as error:
        raise BadParameter("trace", place, f"is no JSON ({error})", hint) from None
    events = told.get("traceEvents") if isinstance(told, dict) else None
    if not isinstance(events, list):
        raise BadParameter("trace", place, "has no list traceEvents", hint)
    spans = []
    for number, event in enumerate(events):
        if not isinstance(event, dict) or event.get("ph") != "X" or not isinstance(event.get("args"), dict):
            raise BadParameter("trace", place, f"event {number} is no complete event (X) with args", hint)
        outer = {ours: event.get(theirs) for ours, theirs in _CHROME.items()}
        spans.append(_span({**_UNTOLD, **event["args"], **outer}, f"event {number}", place))
    return Told(_once(tuple(spans), place), Path(path).name, slack_ns=_MICRO, fixed=True)


def _span(told: Mapping[str, Any], where: str, place: str) -> Span:
    """A span of what a file or frame tells, refused where it tells what no trace does."""

    def refuse(name: str, wanted: str) -> BadParameter:
        problem = f"{where}: {name} is {told.get(name)!r}, not {wanted}"
        return BadParameter("trace", place, problem, "Write it anew with ops.trace.chrome(path)")

    def text(name: str, *, needed: bool = False) -> str | None:
        value = told.get(name)
        if not (isinstance(value, str) or (value is None and not needed)):
            raise refuse(name, "a text")
        return value

    def whole(name: str) -> int | None:
        value = told.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LATEST):
            raise refuse(name, "a count")
        return value

    def nanos(name: str) -> int:
        value = told.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _LATEST / 1e3:
            raise refuse(name, "a time in microseconds")  # NaN is refused with them
        return round(value * 1e3)

    if told.get("kind") not in _KINDS:
        raise refuse("kind", f"one of {', '.join(_KINDS)}")
    if not isinstance(told.get("cached"), bool):
        raise refuse("cached", "true or false")
    return Span(
        text("span_id", needed=True) or "", text("parent_id"), told["kind"], text("name", needed=True) or "",
        nanos("ts"), nanos("dur"), whole("rows"), whole("bytes"), told["cached"], whole("retries") or 0,
        text("source"), text("status", needed=True) or "", text("error"), text("call_id"), 0,
    )  # fmt: skip


def _once(spans: tuple[Span, ...], place: str) -> tuple[Span, ...]:
    twice = [span_id for span_id, count in Counter(span.span_id for span in spans).items() if count > 1]
    if twice:
        problem = f"two spans have the id {twice[0]!r}"
        raise BadParameter("trace", place, problem, "Write it anew with ops.trace.chrome(path)")
    return spans


# ── the tree ────────────────────────────────────────────────────────────────────────────────────────────────────────

_Below = dict[str | None, list[Span]]


def _end(span: Span) -> int:
    return span.start_ns + span.duration_ns


def _by_start(span: Span) -> tuple[int, str]:
    return span.start_ns, span.span_id


def _tree(spans: Iterable[Span]) -> _Below:
    """The spans under each, in the order of starting; under None those whose parent is not there.

    Of spans that are under each other, as only a file can say, the first is at the top.
    """
    ordered = sorted(spans, key=_by_start)
    known = {span.span_id for span in ordered}
    below: _Below = defaultdict(list)
    for span in ordered:
        below[span.parent_id if span.parent_id in known and span.parent_id != span.span_id else None].append(span)
    reached = _reached(below, (span.span_id for span in below[None]))
    if len(reached) < len(known):
        for span in ordered:
            if span.span_id not in reached:
                below[span.parent_id].remove(span)
                below[None].append(span)
                reached |= _reached(below, [span.span_id])
        below[None].sort(key=_by_start)
    return below


def _reached(below: _Below, roots: Iterable[str]) -> set[str]:
    found, waiting = set[str](), list(roots)
    while waiting:
        found.add(here := waiting.pop())
        waiting.extend(span.span_id for span in below.get(here, ()))
    return found


def critical_path(spans: Iterable[Span], *, slack_ns: int = 0) -> frozenset[str]:
    """The ids of the spans that determined when all was over.

    Walked backwards: of what is inside of a span, the one that ended last is on the path; then the one that ended last
    before that one began, and so on, until nothing ended earlier; and so inside of each that was found. Of several that
    ended at the same moment it is the one that began first. What went on after its parent had ended is not on the path:
    nobody waited for it. As far as spans tell, the end would have come sooner only if some span on the path had been
    shorter: what began late because of something else is not known to them.

    This is the path of Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures",
    USENIX ATC 2022, without what clocks of several machines need: there, children that outlive their parent are cut.

    Args:
        spans: In any order; those without a parent are taken as parts of one whole.
        slack_ns: How exactly their times are told: what ended that little later than the next began ended before it.
    """
    return _critical(_tree(spans), slack_ns)


def _critical(below: _Below, slack_ns: int) -> frozenset[str]:
    found = set[str]()
    waiting: list[tuple[str | None, int]] = [(None, max(map(_end, below[None]), default=0))]
    while waiting:
        parent, until = waiting.pop()
        for span in sorted(below.get(parent, ()), key=lambda span: (-_end(span), *_by_start(span))):
            if _end(span) <= until + slack_ns:
                found.add(span.span_id)
                waiting.append((span.span_id, _end(span)))
                until = min(until, span.start_ns)
    return frozenset(found)


def most_at_once(spans: Iterable[Span]) -> int:
    """How many of *spans* went on at the same time, at the most; one that begins as another ends is after it."""
    moments = sorted(chain.from_iterable(((s.start_ns, 1), (_end(s), -1)) for s in spans if s.duration_ns))
    now = most = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


def beside(spans: Iterable[Span], span: Span) -> tuple[Span, ...]:
    """Those of *spans* with the same parent as *span* that went on while it did, in the order of starting."""
    found = (other for other in spans if other.parent_id == span.parent_id and other.span_id != span.span_id)
    return tuple(sorted((o for o in found if o.start_ns < _end(span) and span.start_ns < _end(o)), key=_by_start))


def _cut(spans: Iterable[Span], within: Span) -> Iterable[Span]:
    """The parts of *spans* that are within a span."""
    for span in spans:
        start, end = max(span.start_ns, within.start_ns), min(_end(span), _end(within))
        if start < end:
            yield replace(span, start_ns=start, duration_ns=end - start)


def _covered(spans: Iterable[Span]) -> int:
    """How many nanoseconds at least one of *spans* went on."""
    total, reached = 0, -1
    for span in sorted(spans, key=_by_start):
        total += max(0, _end(span) - max(reached, span.start_ns))
        reached = max(reached, _end(span))
    return total


def matched(now: Told, previous: Told) -> dict[str, tuple[Span, bool]]:
    """The span of *previous* in the same place as each of *now*, and whether that had the same parameters if known.

    The same place is under the same parent: first the same kind, name and parameters, of equal ones the first to the
    first and so on; then, of what is left, the same kind and name in the order of starting, since the parameters of two
    runs may differ (a time that is *now*). What has no such span is not in the answer.
    """
    return _matched(now, previous, _tree(now.spans), _tree(previous.spans))


def _matched(now: Told, previous: Told, ours: _Below, theirs: _Below) -> dict[str, tuple[Span, bool]]:
    found: dict[str, tuple[Span, bool]] = {}
    waiting: list[tuple[str | None, str | None]] = [(None, None)]
    while waiting:
        here, there = waiting.pop()
        for span, other, same in _pairs(ours.get(here, []), theirs.get(there, []), now, previous):
            found[span.span_id] = other, same
            waiting.append((span.span_id, other.span_id))
    return found


def _pairs(mine: list[Span], others: list[Span], now: Told, before: Told) -> Iterable[tuple[Span, Span, bool]]:
    left = list(mine)
    for exact in (True, False):
        places: dict[tuple[str, ...], list[Span]] = defaultdict(list)
        for span in reversed(others):
            places[_place(span, before, exact)].append(span)
        unmatched, taken = [], set[str]()
        for span in left:
            there = places.get(_place(span, now, exact))
            if there:
                other = there.pop()
                taken.add(other.span_id)
                asked = {now.params(span), before.params(other)}
                yield span, other, len(asked) == 1 or None in asked
            else:
                unmatched.append(span)
        left, others = unmatched, [span for span in others if span.span_id not in taken]


def _place(span: Span, told: Told, exact: bool) -> tuple[str, ...]:
    return (span.kind, span.name, told.params(span) or "") if exact else (span.kind, span.name)


# ── the rows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def waterfall(source: Any, previous: Any = None) -> Waterfall:
    """The rows of *source*, with those of *previous* as ghosts; each is what ``read`` takes."""
    told, before = read(source), None if previous is None else read(previous)
    below = _tree(told.spans)
    critical = _critical(below, told.slack_ns) if told.timed else frozenset[str]()
    ghosts: dict[str, Ghost] = {}
    notes = [told.note] if told.note else []
    if before is not None:
        ghosts, said = _ghosts(told, before, below)
        notes += said
    origin = min((span.start_ns for span in below[None]), default=0)
    rows = _rows(below, critical, ghosts, origin)
    ends = [row.start_ns + row.span.duration_ns for row in rows] if told.timed else []
    ends += [ghost.start_ns + ghost.duration_ns for ghost in ghosts.values()]
    known = {span.span_id for span in told.spans}
    lost = sum(span.parent_id is not None and span.parent_id not in known for span in told.spans)
    # A run may have been begun inside of another: then the one span at the top has its parent elsewhere.
    if lost and len(below[None]) > 1:
        notes.append(f"{counted(lost, 'span')} at the top had a parent that is not here: it goes on, or was let go.")
    measured = _measured(told, rows, before) if told.timed and rows else ()
    return Waterfall(
        tuple(rows), max(ends, default=0), visible(told.title), _counted(rows), measured, tuple(notes), told.timed
    )


def _rows(below: _Below, critical: frozenset[str], ghosts: Mapping[str, Ghost], origin: int) -> list[Row]:
    found: list[tuple[Span, str | None, int]] = []
    waiting: list[tuple[Span, str | None, int]] = [(span, None, 1) for span in reversed(below[None])]
    while waiting:
        span, up, level = waiting.pop()
        found.append((span, up, level))
        waiting.extend((child, span.span_id, level + 1) for child in reversed(below.get(span.span_id, [])))
    inside: Counter[str] = Counter()
    for span, up, _ in reversed(found):
        if up is not None:
            inside[up] += inside[span.span_id] + 1
    return [
        Row(
            span, up, level, inside[span.span_id], span.start_ns - origin, span.span_id in critical,
            ghosts.get(span.span_id), _marks(span),
        )
        for span, up, level in found
    ]  # fmt: skip


def _ghosts(told: Told, before: Told, below: _Below) -> tuple[dict[str, Ghost], list[str]]:
    if not before.spans:
        return {}, ["Of the previous run no span is known."]
    if not (told.timed and before.timed):
        which = "this run" if before.timed else "the previous run"
        return {}, [f"Nothing is compared: no times are known of {which}."]
    theirs = _tree(before.spans)
    found = _matched(told, before, below, theirs)
    origin = min(span.start_ns for span in theirs[None])
    ghosts = {here: Ghost(other.start_ns - origin, other.duration_ns, same) for here, (other, same) in found.items()}
    notes = ["Dashed outlines are the previous run."] if ghosts else []
    seen = {other.span_id for other, _ in found.values()}
    gone = Counter(visible(s.name) for s in sorted(before.spans, key=_by_start)
                   if s.kind != "query" and s.span_id not in seen)  # fmt: skip
    if gone:
        names = [name if count == 1 else f"{name} ({count} times)" for name, count in gone.items()]
        notes.append(f"Only in the previous run: {_listed(names)}.")
    others = sum(not same for _, same in found.values())
    if others:
        notes.append(f"{counted(others, 'call')} had other parameters in the previous run.")
    return ghosts, notes


def _marks(span: Span) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    if span.status == "error":
        name = visible((span.error or "").partition(":")[0])
        found.append(("error", f"error: {name}" if name.isidentifier() else "error"))
    elif span.status == "fallback":
        found.append(("fallback", f"fallback: {visible(span.source)}" if span.source else "fallback"))
    elif span.status not in _FINE:
        kind = span.status if span.status in ("cancelled", "running", "truncated") else "other"
        found.append((kind, visible(span.status) or "no status"))
    if span.cached:
        found.append(("cached", "cached"))
    if span.retries:
        found.append(("retries", counted(span.retries, "retry", "retries")))
    return tuple(found)


def _counted(rows: Sequence[Row]) -> tuple[str, ...]:
    calls = [row.span for row in rows if row.span.kind == "tool"]
    cached = sum(span.cached for span in calls)
    states = Counter(span.status for span in calls)
    return (
        counted(len(calls), "call"),
        f"{cached or 'none'} from the cache",
        counted(states["error"], "error") if states["error"] else "no errors",
        *(f"{states[state]} {state}" for state in ("cancelled", "running") if states[state]),
    )


def _measured(told: Told, rows: Sequence[Row], before: Told | None) -> tuple[str, ...]:
    took = _whole(told.spans)
    whole = f"{lasted(took)} in all"
    if any(span.status == "running" for span in told.spans):
        whole = f"{lasted(took)} so far"
    elif before is not None and before.timed and before.spans:
        whole += f" ({differs(took, _whole(before.spans))} than before)".replace("as long than", "as long as")
    calls = [row for row in rows if row.span.kind == "tool"]
    on = [row.span for row in calls if row.critical]
    most = most_at_once(row.span for row in calls)
    return (
        whole,
        f"{counted(len(on), 'call')} on the critical path {'takes' if len(on) == 1 else 'take'} {lasted(_covered(on))}",
        *([f"at most {most} at once"] if most > 1 else []),
    )


def _whole(spans: Sequence[Span]) -> int:
    return max(map(_end, spans), default=0) - min((span.start_ns for span in spans), default=0)


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def lasted(nanos: int) -> str:
    """A length of time in words that fit beside a bar: ``0.42 ms``, ``148 ms``, ``2.35 s``, ``3 min 20 s``."""
    ms = nanos / 1e6
    if ms < 999.5:
        digits = max(0, 1 - math.floor(math.log10(ms))) if nanos else 0
        return f"{f'{ms:.{digits}f}'.rstrip('0').rstrip('.') if digits else f'{ms:.0f}'} ms"
    seconds = ms / 1e3
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def differs(now: int, before: int) -> str:
    """How *now* differs from *before*: ``12 ms longer``, ``0.3 s shorter``, ``as long``."""
    gap = lasted(abs(now - before))
    if lasted(now) == lasted(before):
        return "as long"
    return f"{gap} {'longer' if now > before else 'shorter'}"


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def account(told: Told, span_id: str, row: Row | None = None) -> list[tuple[str, str]]:
    """All that is known of one span, as names and texts; *row* adds what the waterfall says of it."""
    span = next((span for span in told.spans if span.span_id == span_id), None)
    if span is None:
        return [("", f"There is no span {visible(span_id)} in this trace.")]
    known = told.calls.get(span.call_id or "")
    said: list[tuple[str, str | None]] = [
        (span.kind, visible(span.name)),
        ("status", visible(span.status) or "not told"),
        ("error", visible(span.error, keep="\n") if span.error else None),
    ]
    if told.timed:
        below = [other for other in told.spans if other.parent_id == span_id]
        own = span.duration_ns - _covered(_cut(below, span))
        others = [visible(other.name) for other in beside(told.spans, span)]
        said += [
            ("time", _when(told, span)),
            ("of its own", lasted(own) if below else None),
            ("at the same time", _listed(others) or None),
        ]
    if row is not None:
        ghost = row.ghost
        if ghost is not None:
            how = "" if ghost.same else ", asked with other parameters"
            said.append(("previous run", f"{lasted(ghost.duration_ns)}{how}"))
        said += [("critical path", "on it" if row.critical else None)]
        said += [("inside", counted(row.inside, "span") if row.inside else None)]
    said += [
        ("rows", None if span.rows is None else f"{span.rows:,}"),
        ("bytes", None if span.bytes is None else f"{span.bytes:,}"),
        ("from the cache", "yes" if span.cached else None),
        ("retries", str(span.retries) if span.retries else None),
        ("source", visible(span.source) if span.source else None),
    ]
    if known is not None:
        said.append(("parameters", "\n".join(_plain(*item) for item in known.call.params.items()) or "none"))
    elif span.kind == "tool":
        why = "known once it is answered" if span.status == "running" else "not told by this trace"
        said.append(("parameters", why))
    if isinstance(known, Recorded):
        said += _provenance(known)
    else:
        said.append(("call id", visible(span.call_id) if span.call_id else None))
    return [(name, text) for name, text in said if text is not None]


def _when(told: Told, span: Span) -> str:
    start = span.start_ns - min(other.start_ns for other in told.spans)
    so_far = " so far" if span.status == "running" else ""
    return f"{lasted(span.duration_ns)}{so_far}, begun {lasted(start)} after the first"


def _provenance(entry: Recorded) -> list[tuple[str, str]]:
    told = record(entry.call, entry.answer, started_at=entry.started_at, duration_ms=entry.duration_ms)
    whole = told["completeness"]
    said = [
        ("provenance", visible(describe(told))),
        ("call id", told["call_id"]),
        ("tool version", str(told["tool_version"])),
        ("completeness", _completeness(whole)),
    ]
    said += [("left out", visible(f"{cut['count']:,} {cut['what']}: {cut['why']}")) for cut in whole["left_out"]]
    if told["fallback"]:
        said.append(("fallback", visible(f"{told['fallback']['source']}: {told['fallback']['reason']}")))
    return said + [("warning", visible(text, keep="\n")) for text in told["warnings"]]


def _completeness(whole: Mapping[str, Any]) -> str:
    total = "an unknown number" if whole["total"] is None else f"{whole['total']:,}"
    return f"{whole['status']}: {whole['returned']:,} of {total}"


def _plain(name: str, value: Any) -> str:
    return visible(f"{name}: {json.dumps(value, ensure_ascii=False, sort_keys=True)}")


def as_text(shown: Waterfall, *, times: bool) -> str:
    """The waterfall in words, a line for each span in the order of the tree.

    Args:
        shown: The waterfall.
        times: Whether durations and queries are told. They differ each time a run is run: how many queries a tool needs
            may hang on what was measured before.
    """
    rows = [row for row in shown.rows if times or row.span.kind != "query"]
    said = (*shown.counted, *shown.measured) if times else shown.counted
    lines = [f"Trace of {shown.title}: {', '.join(said)}"]
    lines += [f"{'  ' * min(row.level, 40)}{_line(row, shown, times)}" for row in rows[:_LINES]]
    if len(rows) > _LINES:
        lines.append(f"  … and {counted(len(rows) - _LINES, 'more span', 'more spans')}")
    return "\n".join([*lines, *(shown.notes if times or not shown.timed or not rows else ())])


def _line(row: Row, shown: Waterfall, times: bool) -> str:
    span = row.span
    said = [] if span.rows is None else [counted(span.rows, "row")]
    said += [words for _, words in row.marks] or [visible(span.status)]
    if times and shown.timed:
        said += [row.time, *(["on the critical path"] if row.critical else [])]
    name = visible(span.name)
    return f"{name if name == span.kind else f'{span.kind} {name}'}: {', '.join(said)}"


# ── the picture ─────────────────────────────────────────────────────────────────────────────────────────────────────

_WIDE, _NAMES, _ROW, _SIZE = 860.0, 236.0, 20.0, 10.0
_FONTS = "'DejaVu Sans', Verdana, 'Segoe UI', Helvetica, Arial, sans-serif"


def waterfall_svg(spans: Any, previous: Any = None, theme: str = "light", *, prefix: str = "waterfall") -> str:
    """The waterfall of *spans* as one ``<svg>`` element; the same spans give the same bytes.

    At most sixty rows are drawn: what failed, then calls on the critical path, then the longest calls, then queries,
    with what they are under. How many are not is written below.

    Args:
        spans: Spans, or whatever ``read`` takes.
        previous: The same of the previous run, for ghosts.
        theme: ``light`` or ``dark``.
        prefix: Put before every id: must differ between two pictures of one page.

    Raises:
        BadParameter: one of them cannot be read, or there is no such theme.
    """
    return picture(waterfall(spans, previous), theme, prefix=prefix)


def picture(shown: Waterfall, theme: str = "light", *, prefix: str = "waterfall") -> str:
    """*shown* as ``waterfall_svg`` draws it."""
    colours = palette(theme)
    rows, left_out = _chosen(shown.rows)
    head = _wrapped(", ".join((*shown.counted, *shown.measured)))
    notes = list(chain.from_iterable(map(_wrapped, shown.notes)))
    if left_out:
        notes += [f"{counted(left_out, 'more span is', 'more spans are')} not drawn."]
    top = 24 + 14 * len(head) + (22 if shown.timed and rows else 6)
    bottom = top + _ROW * len(rows)
    height = bottom + 14 * len(notes) + 10
    draw = _Pen(colours)
    draw.box(0, 0, _WIDE, height, fill=colours.surface)
    draw.text(12, 18, shown.title, colours.ink, font_weight="bold", font_size=12)
    for number, line in enumerate(head):
        draw.text(12, 34 + 14 * number, line, colours.muted)
    plot = _Plot.of(shown, rows)
    if shown.timed and rows:
        _axis(draw, plot, top, bottom)
    opened = {row.up for row in rows}
    for number, row in enumerate(rows):
        hidden = bool(row.inside) and row.span.span_id not in opened
        _draw_row(draw, plot, row, top + _ROW * number, shown.timed, hidden)
    for number, line in enumerate(notes):
        draw.text(12, bottom + 14 * (number + 1), line, colours.muted)
    title = f"Trace of {shown.title}"
    said = ". ".join([", ".join((*shown.counted, *shown.measured)), *notes])
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-labelledby": f"{prefix}-title {prefix}-desc",
        "viewBox": f"0 0 {short(_WIDE)} {short(height)}", "width": short(_WIDE), "height": short(height),
        "font-family": _FONTS, "font-size": short(_SIZE),
    }  # fmt: skip
    told = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    labels = f'<title id="{prefix}-title">{escape(title)}</title><desc id="{prefix}-desc">{escape(said)}</desc>'
    return f"<svg {told}>{labels}{''.join(draw.parts)}</svg>"


def _worth(row: Row) -> tuple[bool, bool, bool, int, int]:
    return row.span.status != "error", row.span.kind == "query", not row.critical, -row.span.duration_ns, row.start_ns


def _chosen(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """At most as many of *rows* as a picture has, in their order, and how many are left out."""
    if len(rows) <= _PICTURED:
        return list(rows), 0
    known = {row.span.span_id: row for row in rows}
    wanted = set[str]()
    for row in sorted(rows, key=_worth):
        chain_up, up = [row], row.up
        while up is not None and up not in wanted:
            chain_up.append(known[up])
            up = known[up].up
        more = {r.span.span_id for r in chain_up} - wanted
        if len(wanted) + len(more) <= _PICTURED:
            wanted |= more
    return [row for row in rows if row.span.span_id in wanted], len(rows) - len(wanted)


@dataclass(frozen=True)
class _Plot:
    """From nanoseconds to where they are."""

    left: float
    width: float
    total_ns: int
    label: float

    @classmethod
    def of(cls, shown: Waterfall, rows: Sequence[Row]) -> _Plot:
        """As much room for the words beside the bars as they need, but not more than half of the picture."""
        label = min(300.0, 16 + max((_broad(row) for row in rows), default=0.0))
        return cls(_NAMES, _WIDE - _NAMES - label - 12, max(1, shown.total_ns), label)

    def x(self, nanos: int) -> float:
        return self.left + self.width * nanos / self.total_ns


class _Pen:
    """Writes shapes and escaped text."""

    def __init__(self, colours: Palette) -> None:
        self.colours, self.parts = colours, list[str]()

    def shape(self, tag: str, **attributes: Any) -> None:
        told = "".join(
            f" {name.replace('_', '-')}={quoteattr(short(value) if isinstance(value, (int, float)) else value)}"
            for name, value in attributes.items()
        )
        self.parts.append(f"<{tag}{told}/>")

    def box(self, x: float, y: float, width: float, height: float, **look: Any) -> None:
        self.shape("rect", x=x, y=y, width=width, height=height, **look)

    def path(self, points: Sequence[tuple[float, float]], **look: Any) -> None:
        self.shape("path", d="M" + "L".join(f"{short(x)} {short(y)}" for x, y in points), **look)

    def text(self, x: float, y: float, text: str, fill: str, **look: Any) -> None:
        told = "".join(f" {name.replace('_', '-')}={quoteattr(str(value))}" for name, value in look.items())
        self.parts.append(f'<text x="{short(x)}" y="{short(y)}" fill="{fill}"{told}>{escape(visible(text))}</text>')


def _width(text: str, size: float = _SIZE) -> float:
    return text_columns(text) * size * 0.6


def _wrapped(text: str) -> list[str]:
    """*text* in lines of the width of the picture."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if _width(longer) <= _WIDE - 24 or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return [shorten(line, (_WIDE - 24) / (_SIZE * 0.6)) for line in lines if line]


def ticks(total_ns: int, most: int = 5) -> list[int]:
    """Round moments from 0 to *total_ns*, at most *most* steps apart."""
    if total_ns <= 0:
        return [0]
    rough = total_ns / most
    power = 10 ** math.floor(math.log10(rough))
    step = max(1, math.ceil(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)))
    return list(range(0, total_ns + 1, step))


def _axis(draw: _Pen, plot: _Plot, top: float, bottom: float) -> None:
    for moment in ticks(plot.total_ns):
        x = plot.x(moment)
        draw.path([(x, top - 4), (x, bottom)], stroke=draw.colours.faint, stroke_width=0.6, fill="none")
        anchor = "middle" if moment else "start"
        draw.text(x, top - 8, lasted(moment), draw.colours.muted, text_anchor=anchor, font_size=9)


def _label(row: Row) -> str:
    return "  ".join([row.time, *(words for _, words in row.marks), *(["critical"] if row.critical else [])])


def _broad(row: Row) -> float:
    return _width(_label(row)) + 13 * (len(row.marks) + row.critical)


def _draw_row(draw: _Pen, plot: _Plot, row: Row, y: float, timed: bool, hidden: bool) -> None:
    colours, middle = draw.colours, y + _ROW / 2
    indent = 12 + 12 * min(row.level - 1, 8)
    name = visible(row.span.name) + (f" (+{row.inside:,})" if hidden else "")
    look = {"font_weight": "bold"} if row.span.kind == "run" else {}
    draw.text(indent, middle + 3.5, shorten(name, (_NAMES - indent - 8) / (_SIZE * 0.6)), colours.ink, **look)
    x = plot.left
    if timed:
        x = _bar(draw, plot, row, middle)
    _beside_bar(draw, row, x + 6, middle, _WIDE - 8, timed)


def _bar(draw: _Pen, plot: _Plot, row: Row, middle: float) -> float:
    """Draw the bar and its ghost; says where they end."""
    colours, span = draw.colours, row.span
    left, right = plot.x(row.start_ns), plot.x(row.start_ns + span.duration_ns)
    right = max(right, left + 1.5)
    high = {"tool": 10.0, "query": 5.0}.get(span.kind, 7.0)
    ends = right
    if row.ghost is not None:
        start, end = plot.x(row.ghost.start_ns), plot.x(row.ghost.start_ns + row.ghost.duration_ns)
        draw.box(
            start, middle - high / 2 - 2.5, max(end - start, 1.5), high + 5, fill="none", stroke=colours.muted,
            stroke_width=0.8, stroke_dasharray="3 2", rx=2,
        )  # fmt: skip
        between = start - right > 20 + _broad(row)
        ends = right if between else max(right, end)
    kind = row.marks[0][0] if row.marks else ""
    look: dict[str, Any] = {"fill": _colour(colours, row)}
    if kind in ("cached", "cancelled"):
        look = {"fill": colours.surface, "stroke": _colour(colours, row), "stroke_width": 1.4}
    if kind == "cancelled":
        look["stroke_dasharray"] = "2 2"
    draw.box(left, middle - high / 2, right - left, high, rx=1.5, **look)
    if kind == "running":
        draw.path([(right, middle - 5), (right + 6, middle), (right, middle + 5)], fill=_colour(colours, row))
        ends = max(ends, right + 6.0)
    if row.critical:
        draw.box(
            left - 1.5, middle - high / 2 - 1.5, right - left + 3, high + 3, fill="none", stroke=colours.ink,
            stroke_width=1.2, rx=2.5,
        )  # fmt: skip
    return ends


def _colour(colours: Palette, row: Row) -> str:
    kind = row.marks[0][0] if row.marks else ""
    by_mark = {
        "error": colours.vermillion, "cancelled": colours.muted, "fallback": colours.orange,
        "truncated": colours.purple, "cached": colours.green,
    }  # fmt: skip
    by_kind = {"tool": colours.blue, "query": colours.blue}
    return by_mark.get(kind) or by_kind.get(row.span.kind, colours.muted)


def _beside_bar(draw: _Pen, row: Row, x: float, middle: float, end: float, timed: bool) -> None:
    """The words right of a bar: how long, and each mark after its sign; what does not fit is shortened."""
    colours = draw.colours
    if timed:
        draw.text(x, middle + 3.5, row.time, colours.ink)
        x += _width(row.time) + 8
    said = [*row.marks, *([("critical", "critical")] if row.critical else [])]
    for number, (kind, words) in enumerate(said):
        rest = sum(13 + _width(later) + 8 for _, later in said[number + 1 :])
        room = max(3.0, (end - x - 12 - rest) / (_SIZE * 0.6))
        words = shorten(words, room)
        _sign(draw, kind, x, middle)
        draw.text(x + 12, middle + 3.5, words, colours.ink)
        x += 12 + _width(words) + 8


def _sign(draw: _Pen, kind: str, x: float, middle: float) -> None:
    """A sign of eight by eight for each kind of mark, told apart by its shape."""
    colours = draw.colours
    a, b, c, top, low = x, x + 4, x + 8, middle - 4, middle + 4
    line = {"fill": "none", "stroke_width": 1.6}
    if kind == "error":
        draw.path([(a, top), (c, low)], stroke=colours.vermillion, **line)
        draw.path([(c, top), (a, low)], stroke=colours.vermillion, **line)
    elif kind == "cached":
        draw.path([(b, top), (c, middle), (b, low), (a, middle), (b, top)], fill=colours.green)
    elif kind == "cancelled":
        draw.shape("circle", cx=b, cy=middle, r=3.5, stroke=colours.muted, **line)
        draw.path([(a + 1.5, low - 1.5), (c - 1.5, top + 1.5)], stroke=colours.muted, **line)
    elif kind == "running":
        draw.path([(a + 1, top), (c, middle), (a + 1, low)], fill=colours.blue)
    elif kind == "fallback":
        draw.path([(a, top), (b, top), (b, middle + 2)], stroke=colours.orange, **line)
        draw.path([(b - 3, middle + 1), (b + 3, middle + 1), (b, low + 1)], fill=colours.orange)
    elif kind == "retries":
        draw.path([(c - 1, middle - 2), (b, top), (a, middle), (b, low), (c - 1, middle + 2)],
                  stroke=colours.sky, **line)  # fmt: skip
        draw.path([(c + 1, top), (c, middle), (c - 4, middle - 2)], fill=colours.sky)
    elif kind == "critical":
        draw.box(a + 0.5, top + 1, 7, 6, stroke=colours.ink, rx=1.5, fill="none", stroke_width=1.3)
    else:  # truncated, partial, stale
        draw.path([(a, top), (c, top), (c, middle), (b, middle + 1.5), (a, middle), (a, top)], fill=colours.purple)
