"""What every wait needs: the stop button, the context that comes back, and warnings at the caller's line."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar
from pathlib import Path
from typing import Any

GRACE = 2.0  # seconds that cancelled work is given to clean up
TICK = 0.1  # seconds between looks for the stop button

_LOOPS = {
    "asyncio",
    "contextlib",
    "selectors",
    "tornado",
    "zmq",
    "ipykernel",
    "jupyter_client",
    "traitlets",
    "ciops_nb",
}
_TURNS = {"_run_once", "run_forever", "run_until_complete", "start"}  # where a loop begins, seen from what it calls
_MISSING: Any = object()
_OURS = str(Path(__file__).parent)


def warn(message: str) -> None:
    """Warn at the line that called into this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, RuntimeWarning, stacklevel=level)


def bring_back(before: Context, after: Context, *, but: ContextVar[Any] | None = None) -> None:
    """Set in this context what has changed from *before* to *after*."""
    for variable, value in after.items():
        if variable is not but and before.get(variable, _MISSING) is not value:
            variable.set(value)


_told_of_nest_asyncio = False


def warn_of_nest_asyncio() -> None:
    """Say once that the archived nest-asyncio loses cells on ipykernel 7, where both are in use."""
    global _told_of_nest_asyncio
    if _told_of_nest_asyncio or not hasattr(asyncio, "_nest_patched") or hasattr(asyncio, "_nest_asyncio2"):
        return
    version = str(getattr(sys.modules.get("ipykernel"), "__version__", "0"))
    if int(version.partition(".")[0]) >= 7:
        _told_of_nest_asyncio = True
        warn(
            f"nest-asyncio 1.x is applied, and under ipykernel {version} it loses cells that wait in the queue. "
            "Replace it by nest-asyncio2; .sync and %load_ext ciops_nb need neither."
        )


# ── the stop button ─────────────────────────────────────────────────────────────────────────────────────────────────


def _handler_to_stand_in_for() -> Callable[..., Any] | None:
    """The handler of SIGINT that is in force here; none outside the main thread, or where it is ignored or fatal."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    return handler if callable(handler) else None


def _only_schedules(handler: Any) -> bool:
    while isinstance(handler, functools.partial):
        handler = handler.func
    owner = getattr(handler, "__self__", None)
    module = getattr(handler, "__module__", None) or type(owner).__module__
    return str(module).partition(".")[0] in ("asyncio", "ipykernel", "uvloop")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and the stop button through while the main thread blocks inside a running loop.

    ``asyncio.run`` and ipykernel replace the handler of SIGINT by one that schedules a callback on their loop, which
    is the very loop that is blocked.
    """
    before = _handler_to_stand_in_for()
    if before is None or before is signal.default_int_handler:
        yield
        return
    blocking, only_schedules = True, _only_schedules(before)

    def interrupt(number: int, frame: types.FrameType | None) -> None:
        __tracebackhide__ = True
        if not (blocking and only_schedules):
            before(number, frame)
        if blocking:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        blocking = False  # in case an interrupt right here keeps the next line from running
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, before)


class StopButton:
    """Ctrl-C and the stop button while the main thread's loop turns: they end a wait, and not the loop.

    Raised wherever the main thread is just then, a KeyboardInterrupt would as likely end the loop, and a kernel with
    it. If the last press has not been heard yet, some other task or callback holds the loop up: that one is cancelled.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pressed: asyncio.Future[BaseException] = loop.create_future()
        self._pending = False

    def next(self) -> asyncio.Future[BaseException]:
        """Done, with what is to be raised, when the button is pressed after this."""
        if self._pressed.done():
            self._pressed = self._loop.create_future()
        return self._pressed

    def _hear(self, error: BaseException) -> None:
        self._pending = False
        if not self._pressed.done():
            self._pressed.set_result(error)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Take the interrupts meanwhile."""
        before = _handler_to_stand_in_for()
        if before is None:
            yield
            return
        only_schedules = _only_schedules(before)

        def interrupt(number: int, frame: types.FrameType | None) -> None:
            if self._pending and not _is_of_a_loop(frame):
                raise asyncio.CancelledError("the stop button was pressed twice")  # which a loop survives
            error: BaseException = KeyboardInterrupt()
            if not only_schedules:
                try:
                    before(number, frame)
                except BaseException as raised:  # noqa: BLE001  it is for the one who waits
                    error = raised.with_traceback(None)
            self._pending = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._hear, error)

        signal.signal(signal.SIGINT, interrupt)
        try:
            with ticking(self._loop):
                yield
        finally:
            if signal.getsignal(signal.SIGINT) is interrupt:
                signal.signal(signal.SIGINT, before)


def _is_of_a_loop(frame: types.FrameType | None) -> bool:
    """Whether a loop or a kernel is at work, and not something that they have called."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if module not in _LOOPS:
            return False
        if frame.f_code.co_name in _TURNS:
            return True
        frame = frame.f_back
    return True


class _Ticker:
    """Wakes an idle loop now and then: a kernel's stop button is only seen by a loop that turns (ipykernel#881)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting = 0
        self._handle: asyncio.TimerHandle | None = None

    def tick(self) -> None:
        self._handle = self.loop.call_later(TICK, self.tick) if self.waiting else None

    def enter(self) -> None:
        self.waiting += 1
        if self._handle is None:
            self.tick()


_ticker: _Ticker | None = None  # of the loop in the main thread, which alone gets signals


@contextlib.contextmanager
def ticking(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Keep *loop* from sleeping long, where it is the one of the main thread."""
    global _ticker
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if _ticker is None or _ticker.loop is not loop:
        _ticker = _Ticker(loop)
    ticker = _ticker
    ticker.enter()
    try:
        yield
    finally:
        ticker.waiting -= 1
