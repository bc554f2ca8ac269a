"""Whether something runs: the states of a panel and the steps between them, without any widget.

::

    idle ── start ──> running ── it ends ──> done, failed, cancelled ── start ──> running
                         └── cancel ──> cancelling ── it ends ──> done, failed, cancelled

A start while one runs is refused and not queued. All of it may be asked for from any thread, several at once; what
takes time (a source may be slow to say what it has, before anything has begun) is done on the home loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ciops_nb import sync
from ciops_nb.errors import BadParameter
from ciops_nb.recipes.run import Run

__all__ = ["Control", "Now", "State"]

State = Literal["idle", "running", "cancelling", "done", "failed", "cancelled"]
Begin = Callable[[Any, Mapping[str, Any], Run | None], Coroutine[Any, Any, Run]]


@dataclass(frozen=True)
class Now:
    """How it stands. *turn* counts the starts, *change* every step; a greater one is later.

    *run* is the one of this turn: None as long as it has not begun, and where it could not begin, which *error* tells.
    *before* is the latest earlier run of the same recipe that was begun.
    """

    state: State = "idle"
    turn: int = 0
    change: int = 0
    recipe: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None
    before: Run | None = None
    error: BaseException | None = None

    @property
    def going(self) -> bool:
        """Whether something runs."""
        return self.state in ("running", "cancelling")


class Control:
    """Starts, cancels and watches one run after the other.

    Args:
        begin: Begins a run, on the home loop: ``begin(recipe, params, resume)``, where *resume* is a run or None.
        told: Told of each step, in the thread that made it, without any lock held. Two steps made at once may be told
            out of order: their ``change`` says which was later.
    """

    def __init__(self, begin: Begin, *, told: Callable[[Now], object] = lambda now: None) -> None:
        self._begin, self._told = begin, told
        self._lock = threading.Lock()
        self._now = Now()
        # Only touched on the home loop: what is being done, and what of it was cancelled already.
        self._work: asyncio.Task[Any] | None = None
        self._hit: asyncio.Task[Any] | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def now(self) -> Now:
        """How it stands."""
        return self._now

    def start(self, recipe: Any, params: Mapping[str, Any], *, resume: Run | None = None) -> Now:
        """Start *recipe*, a name or a function, and come back at once.

        Args:
            recipe: What to run.
            params: Its parameters.
            resume: An earlier run: what was answered there is not asked again.

        Raises:
            BadParameter: one runs already.
        """
        name = recipe if isinstance(recipe, str) else recipe.__name__
        with self._lock:
            old = self._now
            if old.going:
                doing = "being cancelled" if old.state == "cancelling" else "running"
                raise BadParameter("recipe", name, f"{old.recipe} is still {doing}", "Wait for its end, or cancel it")
            earlier = old.run if old.run is not None else old.before
            before = earlier if earlier is not None and earlier.recipe == name else None
            now = self._now = Now("running", old.turn + 1, old.change + 1, name, dict(params), before=before)
            sync.start(lambda: self._carry(recipe, now, resume), name=f"panel: {name}")
        self._told(now)
        return now

    def cancel(self) -> bool:
        """Ask what runs to stop, and come back at once; False if there was nothing to ask."""
        with self._lock:
            if self._now.state != "running":
                return False
            now = self._now = replace(self._now, state="cancelling", change=self._now.change + 1)
            # Scheduled after what it cancels, and so done after that has taken its first step.
            sync.start(lambda: self._stop(now.turn), name=f"panel: cancel {now.recipe}")
        self._told(now)
        return True

    async def wait(self) -> Now:
        """Wait, on the home loop, until nothing runs."""
        while self._now.going:
            ended = asyncio.get_running_loop().create_future()
            self._waiting.add(ended)
            try:
                if self._now.going:
                    await ended
            finally:
                self._waiting.discard(ended)
        return self._now

    # ── on the home loop ────────────────────────────────────────────────────────────────────────────────────────────

    async def _carry(self, recipe: Any, now: Now, resume: Run | None) -> None:
        try:
            beginning = self._work = asyncio.create_task(self._begin(recipe, now.params, resume))
            run = await _outcome(beginning)
            self._work = run.task
            if self._step(run=run).state == "cancelling":
                self._cancel()  # it was asked to stop before there was a run that could hear it
            await run.wait()
            self._end(run.status, run.error)
        except asyncio.CancelledError:
            self._end("cancelled", None)
        except Exception as error:  # noqa: BLE001  whatever it is, it is why the run did not begin, and is shown
            self._end("failed", error)

    async def _stop(self, turn: int) -> None:
        await asyncio.sleep(0)  # what was begun just now takes its first step: else its coroutine would never run
        if self._now.turn == turn and self._now.going:
            self._cancel()

    def _cancel(self) -> None:
        """Cancel what is being done, each thing once: a second time would cut its clean-up short."""
        if self._work is not None and self._hit is not self._work and not self._work.done():
            self._hit = self._work
            self._work.cancel()

    def _end(self, state: State, error: BaseException | None) -> None:
        self._work = self._hit = None
        self._step(state=state, error=error)
        for ended in self._waiting:
            if not ended.done():
                ended.set_result(None)

    def _step(self, **changes: Any) -> Now:
        with self._lock:
            now = self._now = replace(self._now, change=self._now.change + 1, **changes)
        self._told(now)
        return now


async def _outcome(task: asyncio.Task[Run]) -> Run:
    """What *task* gives, or raises: CancelledError where it, and not who waits for it, was cancelled."""
    await asyncio.wait([task])
    return task.result()
