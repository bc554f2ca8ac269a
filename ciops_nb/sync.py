"""The one crossing from ordinary code into the event loop.

Every call, awaited or blocked for, runs on one *home loop* in one daemon thread, so that locks, sessions and pools
belong to one loop whichever way they were reached:

- awaited from another loop: scheduled at home and waited for there; cancellation goes along;
- awaited at home: a plain await;
- blocked for (``.sync``): scheduled at home, and only the caller's thread waits;
- blocked for by plain code that runs at home (a recipe calls a helper that asks a tool): the tasks of the home loop
  run in greenlets, so such a call switches to the driver of its task, which really awaits. This is the way of
  SQLAlchemy's ``greenlet_spawn``.

Nothing happens on import: loop, thread and greenlet come with the first call, and nothing of the caller's is patched.
A nested blocking call is a point where other tasks may run: do not hold a ``threading.Lock`` over it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import html
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Call", "Twin", "block", "call", "in_thread", "on_home_loop", "run", "twin"]

P = ParamSpec("P")
R = TypeVar("R")

_GRACE = 2.0  # seconds that cancelled work is given to clean up
_SILENCE = 5.0  # seconds on a silent home loop before a waiting caller says so
_TICK = 0.1  # seconds between looks for the stop button
_THREADS = 4


class _Home:
    """One event loop in one daemon thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop()  # not by policy: that may be a user's uvloop
        self.loop.set_task_factory(_task_factory)
        self.pool = ThreadPoolExecutor(min(_THREADS, (os.cpu_count() or 1) + 1), thread_name_prefix=f"{name}-work")
        self.loop.set_default_executor(self.pool)
        # An empty context: what the first caller has set must not be seen by all later ones.
        self.thread = threading.Thread(target=Context().run, args=(self._live,), name=name, daemon=True)
        self.closing = False
        self.warned = False
        self.thread.start()

    def _live(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self.closing:
            # A SystemExit of a tool is handed to its caller; here it must not end the loop of all others.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()

    def is_here(self) -> bool:
        return threading.get_ident() == self.thread.ident

    def close(self) -> None:
        """Cancel what runs, wait for it a moment, stop."""
        ended = threading.Event()

        async def finish() -> None:
            try:
                tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                for task in tasks:
                    task.cancel()
                if tasks:
                    await asyncio.wait(tasks, timeout=_GRACE)
                await self.loop.shutdown_asyncgens()
            finally:
                self.closing = True
                self.loop.stop()
                ended.set()

        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(lambda: self.loop.create_task(finish()))
            if ended.wait(_GRACE + 1):
                self.thread.join(1)
        self.pool.shutdown(wait=False, cancel_futures=True)
        if not self.thread.is_alive():
            self.loop.close()


_lock = threading.Lock()
_home: _Home | None = None
_spare: _Home | None = None
_over = False  # the interpreter is exiting


def _get_home() -> _Home:
    global _home
    if sys.platform == "emscripten":
        raise RuntimeError("There are no threads in this browser, so nothing can be blocked for: await the call.")
    with _lock:
        if _home is None:
            _home = _Home("ciops-home")
        return _home


def _get_spare() -> _Home:
    """A second loop, for a blocking call from a callback of the home loop, which no greenlet can suspend."""
    global _spare
    with _lock:
        if _spare is None:
            _spare = _Home("ciops-spare")
        return _spare


@atexit.register
def _at_exit() -> None:
    global _home, _spare, _over
    _over = True
    homes, _home, _spare = (_home, _spare), None, None
    for home in homes:
        if home is not None:
            home.close()


def _after_fork() -> None:
    # The parent's loop is still the parent's: forget it, and close nothing of it.
    global _home, _spare, _lock
    _home = _spare = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ── tasks of the home loop run in greenlets ─────────────────────────────────────────────────────────────────────────


def _task_factory(
    loop: asyncio.AbstractEventLoop, coro: Any, *, context: Context | None = None, name: str | None = None, **more: Any
) -> asyncio.Task[Any]:
    context = copy_context() if context is None else context
    return asyncio.Task(_Driven(coro, context), loop=loop, context=context, name=name, **more)


class _Driven(Coroutine[Any, Any, Any]):
    """Drives a coroutine in a greenlet, and awaits for it what plain code inside blocks for."""

    def __init__(self, coro: Any, context: Context) -> None:
        self._steps = _drive(coro, context)
        self.__name__ = getattr(coro, "__name__", type(coro).__name__)
        self.__qualname__ = getattr(coro, "__qualname__", self.__name__)
        self.cr_frame = getattr(coro, "cr_frame", None)
        self.cr_code = getattr(coro, "cr_code", None)
        self.cr_running = False
        self.cr_await = None

    def send(self, value: Any) -> Any:
        return self._steps.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        return self._steps.throw(typ if val is None else val)

    def close(self) -> None:
        self._steps.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._steps


def _drive(coro: Any, context: Context) -> Generator[Any, Any, Any]:
    import greenlet

    def steps(step: Callable[[Any], Any], value: Any) -> tuple[str, Any]:
        parent = greenlet.getcurrent().parent
        assert parent is not None
        while True:
            try:
                yielded = step(value)
            except StopIteration as stop:
                return "returned", stop.value
            except BaseException as error:  # noqa: BLE001  handed to the driver as it is
                return "raised", error
            step, value = parent.switch(("suspended", yielded))

    worker = greenlet.greenlet(steps)
    worker.gr_context = context
    worker.ciops = True  # type: ignore[attr-defined]
    what, value = worker.switch(coro.send, None)
    while True:
        if what == "returned":
            return value
        if what == "raised":
            try:
                raise value
            finally:
                del value
        inner = _drive(value, context) if what == "blocked" else None
        try:
            answer = (coro.send, (yield value)) if inner is None else ("returned", (yield from inner))
        except BaseException as error:  # noqa: BLE001  it belongs to the coroutine
            answer = (coro.throw, error) if inner is None else ("raised", error)
        what, value = worker.switch(answer)


def _await_in_greenlet(coro: Coroutine[Any, Any, R]) -> R:
    import greenlet

    parent = greenlet.getcurrent().parent
    assert parent is not None
    what, value = parent.switch(("blocked", coro))
    if what == "raised":
        try:
            raise value
        finally:
            del value
    result: R = value
    return result


def _in_greenlet() -> bool:
    greenlet = sys.modules.get("greenlet")
    return greenlet is not None and getattr(greenlet.getcurrent(), "ciops", False)


def on_home_loop() -> bool:
    """Whether this code runs on the home loop."""
    return _home is not None and _home.is_here()


# ── one call, submitted to a home from another thread ───────────────────────────────────────────────────────────────


class _Submitted(Generic[R]):
    def __init__(self, home: _Home, make: Callable[[], Coroutine[Any, Any, R]], name: str) -> None:
        self.home, self.name = home, name
        self._make = make
        self._context = copy_context()
        self._before = copy_context()
        self._task: asyncio.Task[R] | None = None
        self._cancelled = False
        self._done: list[Callable[[], None]] = []
        self._guard = threading.Lock()
        self.finished = False
        self._result: Any = None
        self._error: BaseException | None = None
        home.loop.call_soon_threadsafe(self._start, context=Context())

    def _start(self) -> None:
        self._task = self.home.loop.create_task(self._main(), name=self.name, context=self._context)
        if self._cancelled:
            self._task.cancel()

    async def _main(self) -> None:
        __tracebackhide__ = True
        try:
            self._result = await self._make()
        except BaseException as error:  # noqa: BLE001  handed over as it is; a SystemExit must not end the loop
            trace = error.__traceback__
            self._error = error.with_traceback(trace.tb_next if trace else None)
        finally:
            with self._guard:
                self.finished = True
                waiting, self._done = self._done, []
            for tell in waiting:
                tell()

    def when_done(self, tell: Callable[[], None]) -> None:
        with self._guard:
            if not self.finished:
                self._done.append(tell)
                return
        tell()

    def cancel(self) -> None:
        self._cancelled = True

        def stop() -> None:
            if self._task is not None:
                self._task.cancel()

        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs any more
            self.home.loop.call_soon_threadsafe(stop)

    def outcome(self) -> R:
        """The result or the error, with what the call did to context variables done in this context too."""
        __tracebackhide__ = True
        for variable in self._context:
            value = self._context[variable]
            if self._before.get(variable, _MISSING) is not value:
                variable.set(value)
        if self._error is not None:
            error, self._error = self._error, None  # the frame in the error's traceback must not hold the error
            try:
                raise error
            finally:
                del error
        result: R = self._result
        return result


_MISSING: Any = object()


def call(make: Callable[[], Coroutine[Any, Any, R]], *, name: str) -> Call[R]:
    """An awaitable that runs ``make()`` on the home loop when it is awaited, from whichever loop."""
    return Call(make, name)


class Call(Coroutine[Any, Any, R]):
    """A call that has not run yet: await it.

    It passes for a coroutine in ``await``, ``asyncio.gather``, ``wait_for``, ``create_task`` and a ``TaskGroup``.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, R]], name: str) -> None:
        self._make = make
        self.__name__ = self.__qualname__ = name
        self._inner: Coroutine[Any, Any, R] | None = None

    def _coroutine(self) -> Coroutine[Any, Any, R]:
        if self._inner is None:
            self._inner = self._make() if on_home_loop() else _from_elsewhere(self._make, self.__name__)
        return self._inner

    def __await__(self) -> Generator[Any, Any, R]:
        return self._coroutine().__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine().send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        return self._coroutine().throw(typ if val is None else val)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()

    def __repr__(self) -> str:
        if self._inner is not None:
            return f"<call of {self.__name__}, under way or ended>"
        return f"{self.__name__}(...) has not run yet: write `await {self.__name__}(...)` or `{self.__name__}.sync(...)`"

    def _repr_html_(self) -> str:
        return f"<em>{html.escape(repr(self))}</em>"


async def _from_elsewhere(make: Callable[[], Coroutine[Any, Any, R]], name: str) -> R:
    __tracebackhide__ = True
    if _over:
        return await make()
    loop = asyncio.get_running_loop()
    submitted = _Submitted(_get_home(), make, name)
    ended = asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the caller's loop is gone, and with it who asked
            loop.call_soon_threadsafe(ended.set)

    submitted.when_done(tell)
    ticking = _ticking(loop) if threading.current_thread() is threading.main_thread() else contextlib.nullcontext()
    with ticking:
        try:
            await ended.wait()
        except asyncio.CancelledError as mine:
            submitted.cancel()
            while not submitted.finished:
                # Cancelled again while the work cleans up: it still has to end before its caller does.
                with contextlib.suppress(asyncio.CancelledError):
                    await ended.wait()
            raise mine
    return submitted.outcome()


@contextlib.contextmanager
def _ticking(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Wake an idle loop now and then: a kernel's stop button is only seen by a loop that turns (ipykernel#881)."""
    handle: asyncio.TimerHandle

    def tick() -> None:
        nonlocal handle
        handle = loop.call_later(_TICK, tick)

    handle = loop.call_later(_TICK, tick)
    try:
        yield
    finally:
        handle.cancel()


def block(make: Callable[[], Coroutine[Any, Any, R]], *, name: str, timeout: float | None = None) -> R:
    """Run ``make()`` on the home loop and wait for its result, in a running loop or out of one.

    Raises:
        TimeoutError: it took longer than *timeout* seconds; it has been cancelled.
        KeyboardInterrupt: the caller was interrupted; the work has been cancelled and given 2 s to clean up.
    """
    __tracebackhide__ = True
    if _over:
        return asyncio.run(_limited(make, timeout))
    home = _get_home()
    if home.is_here():
        if _in_greenlet():
            return _await_in_greenlet(_limited(make, timeout))
        home = _get_spare()
    submitted = _Submitted(home, make, name)
    waiter = threading.Lock()
    waiter.acquire()
    submitted.when_done(waiter.release)
    try:
        with _interruptible():
            _wait(waiter, submitted, timeout)
    except BaseException:
        # Finished already: the interrupt came late, and there is nothing to wait for.
        if not submitted.finished:
            submitted.cancel()
            if not waiter.acquire(timeout=_GRACE):
                warnings.warn(f"{name} was cancelled but goes on in the background", RuntimeWarning, stacklevel=2)
        raise
    return submitted.outcome()


async def _limited(make: Callable[[], Coroutine[Any, Any, R]], timeout: float | None) -> R:
    if timeout is None:
        return await make()
    return await asyncio.wait_for(make(), timeout)


def _wait(waiter: threading.Lock, submitted: _Submitted[Any], timeout: float | None) -> None:
    if timeout is not None:
        if not _acquire(waiter, timeout):
            raise TimeoutError(f"{submitted.name} gave no answer within {timeout:g} s and was cancelled")
        return
    while not _acquire(waiter, _SILENCE):
        _mind_silence(submitted)


def _acquire(waiter: threading.Lock, seconds: float) -> bool:
    if sys.platform != "win32":
        return waiter.acquire(timeout=seconds)
    # A lock is not interruptible on Windows: look up now and then.
    while seconds > 0:
        if waiter.acquire(timeout=min(_TICK, seconds)):
            return True
        seconds -= _TICK
    return False


def _mind_silence(submitted: _Submitted[Any]) -> None:
    home = submitted.home
    if home.warned:
        return
    answered = threading.Event()
    home.loop.call_soon_threadsafe(answered.set)
    if not answered.wait(1):
        home.warned = True
        frame = sys._current_frames().get(home.thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame else "(its thread has ended)"
        warnings.warn(
            f"{submitted.name} waits, and the loop of ciops_nb has been busy for {_SILENCE:g} s with:\n{stack}",
            RuntimeWarning,
            stacklevel=2,
        )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and the stop button through while the main thread blocks inside a running loop.

    ``asyncio.run`` and ipykernel replace the handler of SIGINT by one that schedules a callback on their loop, which
    is the very loop that is blocked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before in (signal.SIG_IGN, signal.default_int_handler, None):
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        module = getattr(before, "__module__", None) or type(getattr(before, "__self__", None)).__module__ or ""
        if callable(before) and not module.startswith(("asyncio", "ipykernel", "functools")):
            before(number, frame)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, before)


# ── what others call ────────────────────────────────────────────────────────────────────────────────────────────────


def run(coro: Coroutine[Any, Any, R], *, timeout: float | None = None) -> R:
    """Wait for *coro* and return its result, in a notebook or out of one.

    Args:
        coro: The coroutine to run, on the home loop.
        timeout: Seconds after which it is cancelled.

    Raises:
        TimeoutError: it took longer than *timeout*.
    """
    __tracebackhide__ = True
    if not isinstance(coro, Coroutine):
        raise TypeError(f"run() waits for a coroutine, such as ops.estate(); got a {type(coro).__name__}")

    async def main() -> R:
        return await coro

    return block(main, name=getattr(coro, "__qualname__", type(coro).__name__), timeout=timeout)


class Twin(Generic[P, R]):
    """An async function that can be called two ways: awaited, and ``.sync``."""

    def __init__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self.__name__: str = getattr(function, "__name__", "call")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        return Call(functools.partial(self._function, *args, **kwargs), self.__name__)

    def sync(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same call, waited for: in a notebook or out of one, with or without a running loop."""
        __tracebackhide__ = True
        return block(functools.partial(self._function, *args, **kwargs), name=self.__name__)

    def __repr__(self) -> str:
        return f"<{self.__name__}: await {self.__name__}(...) or {self.__name__}.sync(...)>"


def twin(function: Callable[P, Coroutine[Any, Any, R]]) -> Twin[P, R]:
    """Give an async function the two ways to be called: awaited on the home loop, and ``.sync``."""
    return Twin(function)


async def in_thread(function: Callable[..., R], *args: Any) -> R:
    """Run *function* in the bounded pool of the home loop, so that work for the processor does not hold up the loop."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, functools.partial(copy_context().run, function, *args))
