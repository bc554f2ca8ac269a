"""Tasks that run in greenlets, so that plain code inside them can wait while their task really awaits."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from typing import Any

_greenlet: Any = None  # the module, when there is something to drive
_era = object()  # another one after a fork


def load() -> Any:
    """The module greenlet, which is not imported before it is needed."""
    global _greenlet
    if _greenlet is None:
        import greenlet as _greenlet
    return _greenlet


def forget() -> None:
    """Drive nothing any more that was driven before a fork."""
    global _era
    _era = object()


def task_factory(
    loop: asyncio.AbstractEventLoop, coro: Any, *, context: Context | None = None, **more: Any
) -> asyncio.Task[Any]:
    """A task whose coroutine is driven."""
    context = copy_context() if context is None else context
    driven: Any = drive(coro, context)
    driven.__name__ = getattr(coro, "__name__", type(coro).__name__)
    driven.__qualname__ = getattr(coro, "__qualname__", driven.__name__)
    task: asyncio.Task[Any] = asyncio.Task(driven, loop=loop, context=context, **more)
    # A task that is cancelled before it began never gets to its coroutine, which would warn that nobody awaited it.
    task.add_done_callback(lambda _: coro.close())
    return task


@types.coroutine
def _suspend(wish: Any) -> Generator[Any, Any, Any]:
    return (yield wish)


async def drive(
    coro: Any, context: Context | None = None, *, beside: Callable[[], AbstractContextManager[None]] | None = None
) -> Any:
    """Run *coro* in a greenlet of its own, and await for it what it wishes.

    Args:
        coro: What to run.
        context: The very context of the current task; known where it makes its tasks itself.
        beside: What has to be kept up while plain code in *coro* waits.
    """
    __tracebackhide__ = True
    greenlet = load()
    worker: Any = greenlet.greenlet(step_through)
    worker.gr_context = greenlet.getcurrent().gr_context if context is None else context
    worker.drives = _era, asyncio.current_task()
    worker.beside = beside
    wish = worker.switch(coro)
    while not worker.dead:
        try:
            answer = await _suspend(wish)
        except BaseException as error:  # noqa: BLE001  it is the coroutine's
            worker.parent = greenlet.getcurrent()
            wish = worker.throw(error)
        else:
            worker.parent = greenlet.getcurrent()
            wish = worker.switch(answer)
    return wish


def step_through(coro: Any) -> Any:
    """Run *coro* to its end in the greenlet of a task, at whatever depth of plain calls; the driver awaits."""
    __tracebackhide__ = True
    worker: Any = _greenlet.getcurrent()
    step, value = coro.send, None
    while True:
        try:
            wish = step(value)
        except StopIteration as stop:
            return stop.value
        finally:
            del value  # an error must not be held by a frame of its own traceback
        try:
            step, value = coro.send, worker.parent.switch(wish)
        except BaseException as error:  # noqa: BLE001  it is the coroutine's
            step, value = coro.throw, error


def is_driven() -> bool:
    """Whether this code runs in the greenlet of the current task, so that the task can await for it."""
    if _greenlet is None:
        return False
    era, task = getattr(_greenlet.getcurrent(), "drives", (None, None))
    return era is _era and task is asyncio.current_task()
