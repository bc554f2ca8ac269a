"""A part of ``%load_ext ciops_nb``: the cells of a notebook run in greenlets, so that plain code in them really waits.

While a cell waits (``.sync``, ``run(..., where="caller")``) its loop turns: tasks of the analyst's go on, and clicks on
widgets arrive, on whichever loop the kernel runs. ``%unload_ext ciops_nb`` undoes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from typing import Any

from ciops_nb.sync import driven
from ciops_nb.sync.waiting import warn_of_nest_asyncio

_CLICKS = {"comm_open", "comm_msg", "comm_close"}


class _Extension:
    """What is wrapped in one kernel: the handler that runs cells, and what an async cell is made a task of."""

    def __init__(self, kernel: Any) -> None:
        self._kernel, self._shell = kernel, kernel.shell
        self._active = True
        # The cell that loads us runs already, and not in a greenlet.
        self._loading = weakref.ref(asyncio.current_task() or self)
        self._handler = kernel.shell_handlers["execute_request"]
        self._run_cell = self._shell.run_cell_async
        beside = functools.partial(_clicks_of_ipykernel_6, kernel) if hasattr(kernel, "msg_queue") else None
        self._wrapped_handler = self._wrap_handler(beside)
        self._wrapped_run_cell = self._wrap_run_cell(beside)
        kernel.shell_handlers["execute_request"] = self._wrapped_handler
        self._shell.run_cell_async = self._wrapped_run_cell

    def _wrap_handler(self, beside: Callable[[], AbstractContextManager[None]] | None) -> Any:
        handler = self._handler

        @functools.wraps(handler)
        async def execute_request(*args: Any, **more: Any) -> Any:
            request = handler(*args, **more)
            return await (driven.drive(request, beside=beside) if self._active else request)

        return execute_request

    def _wrap_run_cell(self, beside: Callable[[], AbstractContextManager[None]] | None) -> Any:
        run_cell = self._run_cell

        @functools.wraps(run_cell)
        async def run_cell_async(*args: Any, **more: Any) -> Any:
            cell = run_cell(*args, **more)
            # An async cell becomes a task of its own; a plain one is run at once, inside of the handler's.
            own = getattr(_coroutine_of_task(), "cr_frame", None) is sys._getframe()
            return await (driven.drive(cell, beside=beside) if self._active and own else cell)

        return run_cell_async

    def unload(self) -> None:
        self._active = False  # in case somebody has wrapped what we wrapped
        if self._kernel.shell_handlers["execute_request"] is self._wrapped_handler:
            self._kernel.shell_handlers["execute_request"] = self._handler
        if self._shell.run_cell_async is self._wrapped_run_cell:
            del self._shell.run_cell_async

    def is_being_loaded(self) -> bool:
        return self._active and self._loading() is asyncio.current_task()


_extension: _Extension | None = None


def _coroutine_of_task() -> Any:
    task = asyncio.current_task()
    return task.get_coro() if task is not None else None


def load_ipython_extension(ipython: Any) -> None:
    """Wrap what runs cells; it has its effect from the next cell on."""
    global _extension
    kernel = getattr(ipython, "kernel", None)
    if not hasattr(kernel, "shell_handlers"):
        warnings.warn(
            "%load_ext ciops_nb leaves cells as they are here: there is no kernel of ipykernel's, and .sync needs none",
            RuntimeWarning,
            stacklevel=2,
        )
        return
    if _extension is None:
        warn_of_nest_asyncio()
        driven.load()
        _extension = _Extension(kernel)


def unload_ipython_extension(ipython: Any) -> None:
    """Undo it; it has its effect from the next cell on."""
    global _extension
    if _extension is not None:
        _extension.unload()
        _extension = None


def is_being_loaded() -> bool:
    """Whether this code is in the very cell that loads the extension, which does not run in a greenlet yet."""
    return _extension is not None and _extension.is_being_loaded()


# ── clicks while a cell waits ───────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _clicks_of_ipykernel_6(kernel: Any) -> Iterator[None]:
    """Handle the messages of widgets meanwhile: ipykernel 7 does so itself, 6 keeps them until the cell has ended."""
    queue = kernel.msg_queue
    put = queue.put_nowait

    def take(item: Any) -> None:
        if not _handle_click(kernel, item):
            put(item)

    waiting = [queue.get_nowait() for _ in range(queue.qsize())]
    queue.put_nowait = take
    try:
        for item in waiting:
            take(item)
        yield
    finally:
        del queue.put_nowait


def _handle_click(kernel: Any, item: Any) -> bool:
    """Handle what ipykernel 6 has put into its queue, if it comes from a widget."""
    _, dispatch, args = item
    if dispatch != kernel.dispatch_shell or kernel.session is None:
        return False
    idents, frames = kernel.session.feed_identities(args[0], copy=False)
    with contextlib.suppress(ValueError):  # a message that is not signed, say: ipykernel will tell of it
        kind = kernel.session.deserialize(frames, content=False, copy=False)["header"]["msg_type"]
        if kind in _CLICKS:
            _dispatch_click(kernel, kind, idents, kernel.session.deserialize(frames, copy=False))
            return True
    return False


def _dispatch_click(kernel: Any, kind: str, idents: Any, message: Any) -> None:
    """As ipykernel's ``dispatch_shell``, but what the waiting cell prints afterwards is still the cell's."""
    ident, parent = kernel._parent_ident["shell"], kernel.get_parent("shell")
    kernel.set_parent(idents, message, channel="shell")
    kernel._publish_status("busy", "shell")  # widgets hold their next message back until the last one was handled
    try:
        result = kernel.shell_handlers[kind](kernel.shell_stream, idents, message)
        if isinstance(result, Coroutine):
            asyncio.get_running_loop().create_task(result)
    except (Exception, asyncio.CancelledError, KeyboardInterrupt):
        kernel.log.error("Exception in message handler:", exc_info=True)
    finally:
        kernel._publish_status_and_flush("idle", "shell", kernel.shell_stream)
        kernel.set_parent(ident, parent, channel="shell")
