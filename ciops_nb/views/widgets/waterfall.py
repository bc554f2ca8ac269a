"""The waterfall of a run: where its time went, while it runs and after."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import anywidget
import traitlets

from ciops_nb import sync
from ciops_nb.errors import CannotWait
from ciops_nb.recipes.run import Run
from ciops_nb.views import waterfall
from ciops_nb.views.svg import visible
from ciops_nb.views.waterfall import Row, Told
from ciops_nb.views.widgets.twin import Twin, Twinned, asset, explained

__all__ = ["TraceWaterfall"]

_PERIOD = 0.2  # seconds between two looks at a run that goes on
_SHARE = 0.1  # of the home loop's time, at the most, for looking: a large trace is looked at less often
_FEW = 100  # rows that are sent again and again before all are


class TraceWaterfall(Twinned, anywidget.AnyWidget):  # type: ignore[misc]  # a bundle of its own is what Twinned is for
    """The spans of a run as a tree beside a time axis: calls, queries, what came from the cache, what failed.

    A run that goes on is followed until it ends or the widget is closed. Click a row, or press Enter on it, for its
    parameters, provenance and error; the arrow keys walk, fold and unfold. Queries are folded below their calls. The
    critical path is that of ``ciops_nb.views.waterfall.critical_path``.

    Where no kernel runs, a text stands for it, and a picture where the times are data: for a file. Those of a run are
    measured, so that each run of a notebook would give other bytes; ``picture=True`` wants them nevertheless.

    Args:
        run: A run, from ``ops.start`` or ``ops.run``; a frame, ``ops.trace.frame()``; or the path of a file that
            ``ops.trace.chrome(path)`` wrote. Setting ``widget.run`` later shows another one: the one before becomes
            the previous run if it is of the same recipe, and none was given.
        previous: What to compare with, of the same kinds: drawn as dashed outlines behind the bars.
        picture: Whether the static twin has a picture, whatever is shown.

    Attributes:
        selected: The id of the span that is selected, or None; can be set and observed.

    Raises:
        BadParameter: *run* or *previous* cannot be read.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    # All rows under a number, and those that have changed since: only these are sent while a run goes on.
    _rows = traitlets.Dict().tag(sync=True)
    _changed = traitlets.Dict().tag(sync=True)
    _head = traitlets.Dict().tag(sync=True)
    _details = traitlets.Dict().tag(sync=True)
    selected = traitlets.Unicode(None, allow_none=True).tag(sync=True)

    def __init__(self, run: Any, *, previous: Any = None, picture: bool | None = None, **kwargs: Any) -> None:
        # Traits are set under it, on the home loop. It is never waited for there: an observer of selected, which is
        # called by ipykernel's thread and may block for a call, holds it.
        self._lock = threading.RLock()
        self._closed = self._asked = False
        self._following: Future[None] | None = None
        self._given, self._picture = previous is not None, picture
        self._source, self._before = _source(run), _source(previous)
        self._number, self._sent = 0, dict[str, dict[str, Any]]()
        self._known: Told | None = None
        self._lines: dict[str, Row] = {}
        state = self._state()
        super().__init__(_esm=asset("waterfall.js"), _css=asset("waterfall.css"), **state, **kwargs)
        self.observe(self._on_selected, "selected")
        if self.selected is not None:
            self._explain()
        self._follow()

    # ── what is shown ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def run(self) -> Any:
        """What is shown."""
        return self._source

    @run.setter
    def run(self, run: Any) -> None:
        source = _source(run)
        with self._lock:
            old = self._source
            if not self._given and source is not old:
                self._before = old if _of_one_recipe(old, source) else None
            self._source = source
        self._follow()
        self.refresh()

    @property
    def previous(self) -> Any:
        """What it is compared with, or None."""
        return self._before

    @previous.setter
    def previous(self, previous: Any) -> None:
        source = _source(previous)
        with self._lock:
            self._before, self._given = source, source is not None
        self.refresh()

    def refresh(self) -> None:
        """Show how things stand now; from any thread, and at once: the work is done on the home loop."""
        with self._lock:
            if self._asked or self._closed:
                return
            self._asked = True
        self._at_home(self._show)

    def close(self) -> None:
        """Take it away, and follow the run no longer."""
        with self._lock:
            self._closed = True
            if self._following is not None:
                self._following.cancel()
            super().close()

    def twin(self) -> Twin:
        told, before = waterfall.read(self._source), None if self._before is None else waterfall.read(self._before)
        shown = waterfall.waterfall(told, before)
        fixed = told.fixed and (before is None or before.fixed)
        text = waterfall.as_text(shown, times=fixed)
        if not (fixed if self._picture is None else self._picture):
            return Twin(text)
        prefix = f"w{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
        return Twin(text, svg=waterfall.picture(shown, prefix=prefix))

    # ── following ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self) -> None:
        run = self._source
        if self._following is not None:
            self._following.cancel()
        if isinstance(run, Run) and run.status == "running" and run.task is not None:
            with contextlib.suppress(CannotWait):  # then nothing goes on either
                self._following = sync.start(partial(self._watch, run.task), name="TraceWaterfall")

    async def _watch(self, task: asyncio.Task[None]) -> None:
        while not task.done():
            began = time.perf_counter()
            await self._locked(self._show)
            pause = max(_PERIOD, (time.perf_counter() - began) / _SHARE)
            await asyncio.wait([task], timeout=pause)
        await self._locked(self._show)

    def _at_home(self, work: Callable[[], None]) -> None:
        try:
            sync.start(partial(self._locked, work), name="TraceWaterfall")
        except CannotWait:  # there is no other thread that it could be done in
            with self._lock:
                work()

    async def _locked(self, work: Callable[[], None]) -> None:
        while not self._lock.acquire(blocking=False):  # noqa: ASYNC110  no lock of threads tells a loop
            await asyncio.sleep(0.01)
        try:
            if not self._closed:
                work()
        finally:
            self._lock.release()

    def _show(self) -> None:
        self._asked = False
        try:
            state = self._state()
        except Exception as error:  # noqa: BLE001  who looks at it is told, in words
            state = {"_head": {**self._head, "problem": explained(error)}}
        for name, value in state.items():
            setattr(self, name, value)
        self._explain()

    # ── what the browser is told ────────────────────────────────────────────────────────────────────────────────────

    def _state(self) -> dict[str, Any]:
        told = waterfall.read(self._source)
        shown = waterfall.waterfall(told, self._before)
        self._known, self._lines = told, {row.span.span_id: row for row in shown.rows}
        rows = {row.span.span_id: _row(row) for row in shown.rows}
        changed = [row for span_id, row in rows.items() if self._sent.get(span_id) != row]
        state: dict[str, Any] = {}
        if not self._sent.keys() <= rows.keys() or len(changed) > max(_FEW, len(rows) // 2) or not self._number:
            self._number, self._sent, changed = self._number + 1, rows, []
            state["_rows"] = {"number": self._number, "rows": list(rows.values())}
        state["_changed"] = {"number": self._number, "rows": changed}
        state["_head"] = {
            "title": shown.title, "words": [*shown.counted, *shown.measured], "notes": list(shown.notes),
            "total": shown.total_ns, "timed": shown.timed, "problem": "",
        }  # fmt: skip
        return state

    def _on_selected(self, _: Any) -> None:
        self._at_home(self._explain)

    def _explain(self) -> None:
        span_id = self.selected
        if span_id is None or self._known is None:
            self._details = {}
            return
        try:
            items = waterfall.account(self._known, span_id, self._lines.get(span_id))
        except Exception as error:  # noqa: BLE001  as above
            items = [("problem", explained(error))]
        self._details = {"id": span_id, "items": [list(item) for item in items]}

    def set_state(self, sync_data: Any) -> None:
        """Take in what the browser says; ipywidgets cannot do that while another thread sets traits."""
        with self._lock:
            super().set_state(sync_data)


def _source(given: Any) -> Any:
    """A run as it is, since it may go on; anything else read, once."""
    return given if given is None or isinstance(given, Run) else waterfall.read(given)


def _of_one_recipe(old: Any, new: Any) -> bool:
    return isinstance(old, Run) and isinstance(new, Run) and old.recipe == new.recipe


def _row(row: Row) -> dict[str, Any]:
    span, ghost = row.span, row.ghost
    return {
        "id": span.span_id, "up": row.up, "level": row.level, "kind": span.kind, "name": visible(span.name),
        "start": row.start_ns, "took": span.duration_ns, "time": row.time, "critical": row.critical,
        "marks": [list(mark) for mark in row.marks],
        "ghost": None if ghost is None else [ghost.start_ns, ghost.duration_ns],
        "rows": span.rows,
    }  # fmt: skip
