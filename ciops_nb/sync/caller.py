"""``run``, and what lets it wait on the loop of the caller instead of the home loop.

A loop cannot turn while plain code on it waits, unless that code runs in a greenlet (a cell after
``%load_ext ciops_nb``), or the loop was made to turn inside itself (nest-asyncio2). Where neither is so, we say so.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Literal, TypeVar

from ciops_nb.errors import BadParameter, CannotWait
from ciops_nb.sync import cell, driven, notebook
from ciops_nb.sync.crossing import block, on_home_loop
from ciops_nb.sync.waiting import StopButton, bring_back, warn_of_nest_asyncio

R = TypeVar("R")

_OPT_IN = (
    "Await it; or load the extension in a cell of its own (%load_ext ciops_nb) and run this cell again; or, on a loop "
    "of asyncio's own, call ciops_nb.sync.use_running_loop() once."
)


def run(coro: Coroutine[Any, Any, R], *, timeout: float | None = None, where: Literal["home", "caller"] = "home") -> R:
    """Wait for *coro* and return its result, in a notebook or out of one.

    Args:
        coro: The coroutine to run.
        timeout: Seconds after which it is cancelled.
        where: ``"home"`` runs it on the loop of ciops_nb, which always works. ``"caller"`` runs it on the loop that
            runs in this thread, for work that is bound to it: a queue made in a cell, a session opened there. That
            takes ``%load_ext ciops_nb`` or ``use_running_loop()`` beforehand.

    Raises:
        TypeError: *coro* is not a coroutine.
        BadParameter: *where* is something else.
        CannotWait: no loop runs here, or plain code cannot wait on it; *coro* has not been started.
        ToolTimedOut: it took longer than *timeout* seconds; it has been cancelled.

    Example:
        >>> async def answer() -> int:
        ...     return 42
        >>> run(answer())
        42
    """
    __tracebackhide__ = True
    if not isinstance(coro, Coroutine):
        hint = (
            "call the function first" if inspect.iscoroutinefunction(coro) else "give it the call of an async function"
        )
        raise TypeError(f"run() waits for a coroutine, and got {coro!r}: {hint}")
    make, name = functools.partial(_run_on, coro), getattr(coro, "__qualname__", type(coro).__name__)
    try:
        if where == "home":
            return block(make, name=name, timeout=timeout)
        if where == "caller":
            return _run_here(make, name, timeout)
        raise BadParameter("where", where, "a coroutine runs at home or on the loop of the caller", "Say one of these.")
    finally:
        if isinstance(coro, types.CoroutineType) and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
            coro.close()  # cancelled before it began


async def _run_on(coro: Coroutine[Any, Any, R]) -> R:
    __tracebackhide__ = True
    return await coro


def use_running_loop() -> None:
    """Let ``run(..., where="caller")`` wait on the loop that runs here.

    Call it in a cell or a coroutine. Where cells run in greenlets (after ``%load_ext ciops_nb``) there is nothing to
    do. Else, and if the loop is asyncio's own, nest-asyncio2 is applied: that patches asyncio for the whole process and
    cannot be undone, and waits that lie in one another end in reverse order. What was applied before is used as it is.

    Raises:
        CannotWait: no loop runs here, or it is not asyncio's own (uvloop): load the extension, or await.
    """
    loop = _running_loop("A coroutine")
    if driven.is_driven() or on_home_loop() or notebook.is_being_loaded():
        return
    warn_of_nest_asyncio()
    if _turns_inside_itself(loop):
        _repair(loop)
        return
    if not isinstance(loop, asyncio.BaseEventLoop):
        raise CannotWait("a coroutine", f"{type(loop).__module__} cannot turn inside itself", _OPT_IN)
    import nest_asyncio2

    nest_asyncio2.apply(loop)


def _running_loop(name: str) -> asyncio.AbstractEventLoop:
    loop = asyncio._get_running_loop()
    if loop is None:
        raise CannotWait(name, "No loop runs here", "Leave out where= and let it run at home.")
    return loop


def _turns_inside_itself(loop: asyncio.AbstractEventLoop) -> bool:
    return hasattr(loop, "_nest_patched")  # by nest-asyncio or by nest-asyncio2


def _repair(loop: asyncio.AbstractEventLoop) -> None:
    """Give a loop that nest-asyncio 1.x has patched the methods of its successor.

    Those of 1.x throw away what is to run in a context that is in use, and ipykernel 7 runs all cells in one context:
    the cells that wait in the queue would get neither a reply nor an error.
    """
    if hasattr(loop, "_nest_deferred"):
        return
    import nest_asyncio2

    class Bare(BaseSelectorEventLoop):
        """Has not been patched by anybody: it inherits from what 1.x leaves alone."""

    bare = Bare()
    nest_asyncio2._patch_loop(bare)
    bare.close()
    for name in ("run_forever", "run_until_complete", "_run_once", "_nest_deferred"):
        setattr(type(loop), name, getattr(Bare, name))


def _run_here(make: Callable[[], Coroutine[Any, Any, R]], name: str, timeout: float | None) -> R:
    __tracebackhide__ = True
    loop = _running_loop(name)
    if driven.is_driven():
        return block(make, name=name, timeout=timeout) if on_home_loop() else cell.wait(make, name, timeout)
    warn_of_nest_asyncio()
    if not _turns_inside_itself(loop) or on_home_loop():
        raise CannotWait(name, f"The loop that runs here ({type(loop).__module__}) stands still meanwhile", _OPT_IN)
    _repair(loop)
    return _turn_inside(loop, make, name, timeout)


def _turn_inside(
    loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, R]], name: str, timeout: float | None
) -> R:
    __tracebackhide__ = True
    # A copy: this context is in use, and what is to run in one that is waits until it is not (nest-asyncio2), or fails.
    before, context = copy_context(), copy_context()
    stop = StopButton(loop)
    # Held before the task can begin: an interrupt that is raised wherever the loop is just then may take a callback
    # with it that somebody waits for.
    with stop.held():
        task = asyncio.Task(cell.caught(make), loop=loop, name=name, context=context)
        waiting = cell.caught(lambda: cell.until_ended(task, stop, name, timeout))
        try:
            cell.outcome(loop.run_until_complete(waiting))
        except BaseException:
            if not task.cancelling():  # the loop was stopped
                task.cancel()
            cell.tell_of(task, name)
            raise
        finally:
            bring_back(before, context)
    return cell.outcome(task.result())  # type: ignore[no-any-return]
