"""Waiting in the greenlet of a cell: its task really awaits, and the loop of the notebook turns meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ciops_nb.errors import ToolTimedOut
from ciops_nb.sync import driven
from ciops_nb.sync.waiting import GRACE, StopButton, warn

R = TypeVar("R")

Outcome = tuple[Any, BaseException | None]


def wait(make: Callable[[], Coroutine[Any, Any, R]], name: str, timeout: float | None) -> R:
    """Run ``make()`` in a task of the loop that runs here, and wait for its result in the greenlet of this cell."""
    __tracebackhide__ = True
    worker = driven.load().getcurrent()
    task = asyncio.Task(
        caught(make), loop=asyncio.get_running_loop(), name=name, context=worker.gr_context
    )  # in this very context: nothing else runs in it while this waits
    stop = StopButton(asyncio.get_running_loop())
    with worker.beside() if worker.beside is not None else contextlib.nullcontext(), stop.held():
        try:
            driven.step_through(until_ended(task, stop, name, timeout))
        except BaseException:
            tell_of(task, name)
            raise
    result: R = outcome(task.result())
    return result


async def until_ended(task: asyncio.Task[Outcome], stop: StopButton, name: str, seconds: float | None) -> None:
    """Wait for *task*; the stop button, which is held, or the end of the time cancels it, and is raised after that."""
    __tracebackhide__ = True
    try:
        pressed = await _first(task, stop, seconds)
        if not task.done():
            raise pressed.result() if pressed.done() else ToolTimedOut(name, seconds or 0.0)
    except BaseException:
        await _give_up(task, stop)
        raise


async def _first(
    task: asyncio.Task[Outcome],
    stop: StopButton,
    seconds: float | None,
) -> asyncio.Future[BaseException]:
    """Wait until the task has ended, the stop button is pressed or the time is over."""
    pressed = stop.next()
    both: set[asyncio.Future[Any]] = {task, pressed}
    await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return pressed


async def _give_up(task: asyncio.Task[Outcome], stop: StopButton) -> None:
    """Cancel, wait a moment for the clean-up; one more interrupt ends that wait."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await _first(task, stop, GRACE)


def tell_of(task: asyncio.Task[Outcome], name: str) -> None:
    """Warn of a task that goes on although the wait for it has ended; to be called where that is told to the caller."""
    if not task.done():
        warn(f"{name} was cancelled, but goes on in the background")


async def caught(make: Callable[[], Coroutine[Any, Any, Any]]) -> Outcome:
    """What ``make()`` gives or raises: a SystemExit that a task raises would end its loop."""
    __tracebackhide__ = True
    try:
        return await make(), None
    except BaseException as error:  # noqa: BLE001  handed over as it is
        trace = error.__traceback__
        return None, error.with_traceback(trace.tb_next if trace else None)


def outcome(of: Outcome) -> Any:
    """The result, or the error as it was raised."""
    __tracebackhide__ = True
    result, error = of
    if error is not None:
        try:
            raise error
        finally:
            del error, of  # it must not be held by a frame of its own traceback
    return result
