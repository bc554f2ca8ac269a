"""Where the time went: a span for each run, step, tool call and engine query, and the layer that makes those of calls.

A trace never changes an answer: a hook that fails is a warning. Spans are kept in memory, the newest hundred thousand;
each that begins or has ended is also told to the hooks, such as the one that hands spans on to OpenTelemetry.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.execution.call import Answer, Call, Runner
from ciops_nb.present import as_frames

__all__ = ["Open", "Span", "Trace", "Traced"]

Kind = Literal["run", "step", "tool", "query"]
Hook = Callable[["Span"], object]
Begin = Callable[["Open"], Hook | None]

_MOST = 100_000
_TOLD = ("span_id", "parent_id", "rows", "bytes", "cached", "retries", "source", "status", "error", "call_id")
_open: ContextVar[Open | None] = ContextVar("ciops_span", default=None)


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of work that has ended; *start_ns* is since 1970."""

    span_id: str
    parent_id: str | None
    kind: Kind
    name: str
    start_ns: int
    duration_ns: int
    rows: int | None
    bytes: int | None
    cached: bool
    retries: int
    source: str | None
    status: str
    error: str | None
    call_id: str | None
    thread: int


class Open:
    """A stretch of work that goes on; what is known of it is filled in on the way."""

    __slots__ = (
        "bytes", "cached", "call_id", "id", "kind", "name", "parent", "retries", "rows", "source", "start_ns", "status",
    )  # fmt: skip

    def __init__(self, id: str, kind: Kind, name: str, parent: Open | None, start_ns: int) -> None:  # noqa: A002
        self.id, self.kind, self.name, self.parent, self.start_ns = id, kind, name, parent, start_ns
        self.rows: int | None = None
        self.bytes: int | None = None
        self.cached, self.retries = False, 0
        self.source: str | None = None
        self.call_id: str | None = None
        self.status = "ok"


class Trace:
    """The spans of a session: ``ops.trace``."""

    def __init__(self, *, frames: str = "pandas", clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._frames, self._clock = frames, clock
        self._spans: deque[Span] = deque(maxlen=_MOST)
        self._going: dict[str, tuple[Open, int]] = {}
        self._numbers = itertools.count(1)
        self._dropped = 0
        self._hooks: list[Hook] = []
        self._begins: list[Begin] = []
        # Wall time is read once: spans are placed by the clock that never goes back.
        self._since = time.time_ns() - clock()

    def add_hook(self, hook: Hook) -> None:
        """Tell *hook* of each span that ends from now on."""
        self._hooks.append(hook)

    def add_begin(self, begin: Begin) -> None:
        """Tell *begin* of each span that begins from now on; what it returns, if anything, is told of that span's end.

        Both are called where the span is: what they set in context variables holds inside of it.
        """
        self._begins.append(begin)

    @contextmanager
    def span(self, kind: Kind, name: str) -> Iterator[Open]:
        """Measure what is done inside, as a part of the span that is open here."""
        parent = _open.get()
        began, error = self._clock(), None
        # next() of a counter is one step of the interpreter: no two threads get the same number.
        span = Open(f"{next(self._numbers):08x}", kind, name, parent, self._since + began)
        token = _open.set(span)
        self._going[span.id] = (span, threading.get_ident())
        ends = [end for begin in self._begins if (end := _told(begin, span)) is not None]
        try:
            yield span
        except (asyncio.CancelledError, GeneratorExit):
            span.status = "cancelled"
            raise
        except BaseException as raised:
            span.status, error = "error", f"{type(raised).__name__}: {raised}"
            raise
        finally:
            _open.reset(token)
            self._keep(span, self._clock() - began, error, ends)

    def _keep(self, span: Open, took: int, error: str | None, ends: list[Hook]) -> None:
        ended = _as_it_is(span, took, error, threading.get_ident())
        self._dropped += len(self._spans) == _MOST
        self._spans.append(ended)
        del self._going[span.id]
        for hook in (*reversed(ends), *self._hooks):
            _told(hook, ended)

    @property
    def spans(self) -> tuple[Span, ...]:
        """What has ended, in the order of ending."""
        return tuple(self._spans)

    def inside(self, root: str) -> tuple[Span, ...]:
        """The span *root* and what was done inside of it, in the order of starting; may be asked from any thread.

        What still goes on is there too, with the status ``running`` and the time it has taken so far.
        """
        now = self._since + self._clock()
        known = {span.id: _as_it_is(span, max(0, now - span.start_ns), None, thread, "running")
                 for span, thread in list(self._going.values())}  # fmt: skip
        began = known[root].start_ns if root in known else None
        for span in reversed(self._spans.copy()):
            if span.span_id == root:
                began = span.start_ns
            if began is not None and span.start_ns + span.duration_ns < began:
                break  # and so had all before it
            known[span.span_id] = span  # one that ended between the two looks has ended
        return tuple(_inside(sorted(known.values(), key=_by_start), root))

    @property
    def dropped(self) -> int:
        """How many spans were let go because newer ones came."""
        return self._dropped

    def clear(self) -> None:
        """Forget all spans."""
        self._spans.clear()
        self._dropped = 0

    def frame(self, *, root: str | None = None) -> Any:
        """The spans.

        Args:
            root: Only the span with this id and what was done inside of it.

        Returns:
            A frame with span_id, parent_id, kind (run, step, tool, query), name, start_at, duration_ms, rows, bytes,
            cached, retries, source, status (ok, complete, truncated, fallback, error, cancelled), error and call_id, in
            the order of starting.
        """
        spans = sorted(self._spans, key=_by_start)
        if root is not None:
            spans = _inside(spans, root)
        names = [field.name for field in fields(Span) if field.name != "thread"]
        columns: dict[str, Any] = {name: [getattr(span, name) for span in spans] for name in names}
        schema: dict[str, Any] = dict.fromkeys(columns, pl.String()) | {
            "start_ns": pl.Int64(), "duration_ns": pl.Int64(), "rows": pl.Int64(), "bytes": pl.Int64(),
            "cached": pl.Boolean(), "retries": pl.Int64(),
        }  # fmt: skip
        frame = pl.DataFrame(columns, schema=schema).select(
            "span_id",
            "parent_id",
            "kind",
            "name",
            pl.from_epoch("start_ns", time_unit="ns").cast(pl.Datetime("us", "UTC")).alias("start_at"),
            (pl.col("duration_ns") / 1e6).alias("duration_ms"),
            *_TOLD[2:],
        )
        return as_frames(frame, self._frames)

    def summary(self) -> Any:
        """The calls of each tool.

        Returns:
            A frame with tool, count, errors, hit_rate (the share answered from the cache), p50_ms, p95_ms and p99_ms
            (linear between calls, as numpy does), by tool.
        """
        calls: dict[str, list[Span]] = {}
        for span in self._spans:
            if span.kind == "tool":
                calls.setdefault(span.name, []).append(span)
        rows = []
        for tool, spans in sorted(calls.items()):
            took = np.percentile([span.duration_ns / 1e6 for span in spans], [50, 95, 99])
            errors = sum(span.status == "error" for span in spans)
            rows.append((tool, len(spans), errors, sum(span.cached for span in spans) / len(spans), *took.tolist()))
        schema = {"tool": pl.String(), "count": pl.Int64(), "errors": pl.Int64()} | dict.fromkeys(
            ("hit_rate", "p50_ms", "p95_ms", "p99_ms"), pl.Float64()
        )
        return as_frames(pl.DataFrame(rows, schema=schema, orient="row"), self._frames)

    def chrome(self, path: str | Path) -> Path:
        """Write the spans for Perfetto or chrome://tracing (Trace Event Format, complete events).

        Raises:
            BadParameter: the file cannot be written there.
        """
        spans = sorted(self._spans, key=_by_start)
        threads = {ident: number for number, ident in enumerate(dict.fromkeys(span.thread for span in spans), start=1)}
        told = [
            {
                "ph": "X", "name": span.name, "cat": span.kind, "pid": 1, "tid": threads[span.thread],
                "ts": span.start_ns / 1e3, "dur": span.duration_ns / 1e3,
                "args": {name: getattr(span, name) for name in _TOLD if getattr(span, name) is not None},
            }
            for span in spans
        ]  # fmt: skip
        target = Path(path)
        try:
            target.write_text(json.dumps({"traceEvents": told, "displayTimeUnit": "ms"}), encoding="utf-8")
        except OSError as error:
            raise BadParameter("path", str(path), f"cannot be written ({error.strerror})", "Name another") from None
        return target

    def __len__(self) -> int:
        return len(self._spans)

    def __repr__(self) -> str:
        lost = f", {self._dropped} older ones let go" if self._dropped else ""
        return f"<{len(self)} spans{lost}>"


def _told(hook: Callable[[Any], Any], span: Open | Span) -> Any:
    try:
        return hook(span)
    except Exception as error:  # noqa: BLE001  an answer is not lost because somebody who watches fails
        warnings.warn(f"trace hook {hook!r} failed: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=4)
        return None


def _as_it_is(span: Open, took: int, error: str | None, thread: int, status: str | None = None) -> Span:
    return Span(
        span.id, span.parent.id if span.parent is not None else None, span.kind, span.name, span.start_ns, took,
        span.rows, span.bytes, span.cached, span.retries, span.source, status or span.status, error, span.call_id,
        thread,
    )  # fmt: skip


def _by_start(span: Span) -> tuple[int, str]:
    return span.start_ns, span.span_id


def _inside(spans: list[Span], root: str) -> list[Span]:
    """The span *root* and what was done inside of it; *spans* are in the order of starting."""
    ids, found = {root}, []
    for span in spans:
        if span.span_id == root or span.parent_id in ids:
            ids.add(span.span_id)
            found.append(span)
    return found


class Traced:
    """The outermost layer: a span for each call, whoever answers it."""

    def __init__(self, inner: Runner, trace: Trace) -> None:
        self._inner, self._trace = inner, trace

    async def __call__(self, call: Call) -> Answer:
        with self._trace.span("tool", call.tool) as span:
            span.call_id = call.id
            answer = await self._inner(call)
            span.rows, span.bytes, span.cached = answer.rows, answer.size, answer.cached
            span.retries, span.source, span.status = answer.retries, answer.source, answer.status
            return answer
