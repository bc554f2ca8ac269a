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
    with worker.beside() if worker.beside is not None else contextlib.nullcontext():
        driven.step_through(_until_ended(task, name, timeout))
    result: R = outcome(task)
    return result


async def _until_ended(task: asyncio.Task[Outcome], name: str, timeout: float | None) -> None:  # noqa: ASYNC109  it is one
    __tracebackhide__ = True
    stop = StopButton(asyncio.get_running_loop())
    with stop.held():
        try:
            pressed = await _first(task, stop, timeout)
            if not task.done():
                raise pressed.result() if pressed.done() else ToolTimedOut(name, timeout or 0.0)
        except BaseException:
            await _give_up(task, name, stop)
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


async def _give_up(task: asyncio.Task[Outcome], name: str, stop: StopButton) -> None:
    """Cancel, wait a moment for the clean-up; one more interrupt ends that wait."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await _first(task, stop, GRACE)
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


def outcome(task: asyncio.Task[Outcome]) -> Any:
    """The result, or the error as it was raised."""
    __tracebackhide__ = True
    result, error = task.result()
    if error is not None:
        try:
            raise error
        finally:
            del error, task  # it must not be held by a frame of its own traceback
    return result
