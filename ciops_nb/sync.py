"""The one crossing from ordinary code into the event loop.

Every call, awaited or blocked for, runs on one *home loop* in one daemon thread, so that locks, sessions and pools
belong to one loop whichever way they were reached:

- awaited from another loop: scheduled at home and waited for there; cancellation goes along;
- awaited at home: a plain await;
- blocked for (``.sync``): scheduled at home, and only the caller's thread waits;
- blocked for by plain code that runs at home (a recipe calls a helper that asks a tool): the tasks of the home loop
  run in greenlets, so such a call lets its own task really await. This is the way of SQLAlchemy's ``greenlet_spawn``.

Nothing happens on import: loop, thread and greenlets come with the first call, and nothing of the caller's is patched.

What may surprise: work runs in another thread than the caller's (sqlite3 and pyplot mind that); stopping means
cancelling, and at most two seconds of waiting for the clean-up; and a blocking call made at home is a point where other
tasks may run, so holding a ``threading.Lock`` over it can deadlock.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import inspect
import os
import signal
import sys
import threading
import time
import traceback
import types
import warnings
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import Context, ContextVar, copy_context
from queue import Empty, SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar

from ciops_nb.errors import ToolTimedOut

__all__ = ["Call", "Twin", "block", "call", "in_thread", "on_home_loop", "run", "twin"]

P = ParamSpec("P")
R = TypeVar("R")

_GRACE = 2.0  # seconds that cancelled work is given to clean up
_SILENCE, _ANSWER = 4.0, 1.0  # seconds a caller waits before it asks whether the home loop turns, and for the answer
_TICK = 0.1  # seconds between looks for the stop button
_THREADS = min(4, (os.cpu_count() or 1) + 1)  # polars and duckdb bring threads of their own; more only compete

_MISSING: Any = object()


# ── a pool for work that would hold up the loop ─────────────────────────────────────────────────────────────────────


class _Pool(ThreadPoolExecutor):
    """A bounded pool in daemon threads: an exit would join those of Python's own, however long their work takes.

    It inherits only because an event loop takes nothing else as its default executor.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._guard = threading.Lock()
        self._busy: set[Future[Any]] = set()
        self._size = size
        self._alive = 0
        self._spare = 0  # threads that wait for a job, less the jobs that wait for a thread

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        job = functools.partial(fn, *args, **kwargs)
        with self._guard:
            self._spare -= 1
            self._grow()
            if self._alive:
                self._jobs.put((future, job))
                return future
            self._spare += 1
        self._run(future, job)
        return future

    def _grow(self) -> None:
        if self._spare < 0 and self._alive < self._size:
            with contextlib.suppress(RuntimeError):  # no thread can be started while the interpreter exits
                threading.Thread(target=Context().run, args=(self._work,), name="ciops-work", daemon=True).start()
                self._alive += 1
                self._spare += 1

    def _work(self) -> None:
        _here.pool = self
        while True:
            self._run(*self._jobs.get())
            with self._guard:
                if self._alive > self._size:
                    self._alive -= 1
                    return
                self._spare += 1

    def _run(self, future: Future[Any], job: Callable[[], Any]) -> None:
        self._busy.add(future)
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001  handed over as it is; this thread serves others too
                future.set_exception(error)
        self._busy.discard(future)

    @contextlib.contextmanager
    def lend(self) -> Iterator[None]:
        """One thread more while one of them blocks for a call, which may itself need a thread."""
        with self._guard:
            self._size += 1
            self._grow()
        try:
            yield
        finally:
            with self._guard:
                self._size -= 1

    def give_up(self, future: Future[Any]) -> None:
        """One thread more while the work of *future*, for which nobody waits any more, keeps one.

        Without it a source that stalls would take all threads, and no other source could answer.
        """
        if future.running():
            with self._guard:
                self._size += 1
                self._grow()
            future.add_done_callback(self._take_back)

    def _take_back(self, _: Future[Any]) -> None:
        with self._guard:
            self._size -= 1

    def finish(self, deadline: float) -> None:
        """Drop what has not begun, and wait until *deadline* for what has."""
        with contextlib.suppress(Empty):
            while True:
                self._jobs.get_nowait()[0].cancel()
        wait(set(self._busy), max(0.0, deadline - time.monotonic()))


# ── the home loop, and spares that stand in for it ──────────────────────────────────────────────────────────────────


class _Home:
    """One event loop in one daemon thread."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.loop = _new_loop()
        self.loop.set_default_executor(_get_pool())
        self.warned = False
        self._closing = False
        # An empty context: what the first caller has set must not be seen by all later ones.
        self.thread = threading.Thread(
            target=Context().run, args=(self._live,), name=f"ciops-home-{level}" if level else "ciops-home", daemon=True
        )
        self.thread.start()

    def _live(self) -> None:
        _here.home = self
        while not self._closing:
            # A SystemExit in some task of a tool's ends that task, and not the loop of all others.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()

    def close(self, deadline: float) -> None:
        """Cancel what runs, wait for it until *deadline*, stop."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(lambda: self.loop.create_task(self._finish(deadline)))
        self.thread.join(max(0.0, deadline - time.monotonic()) + 0.5)
        if not self.thread.is_alive():
            self.loop.close()

    async def _finish(self, deadline: float) -> None:
        try:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=max(0.0, deadline - time.monotonic()))
            await self.loop.shutdown_asyncgens()
        finally:
            self._closing = True
            self.loop.stop()


class _Here(threading.local):
    """What this thread is: the thread of a loop of ours, or one of the pool's, or neither."""

    home: _Home | None = None
    pool: _Pool | None = None


_here = _Here()
_lock = threading.Lock()
_homes: list[_Home] = []  # the home loop first; each next one stands in while the thread of the one before is blocked
_pool: _Pool | None = None
_greenlet: Any = None  # the module, when there is a loop to use it
_era = object()  # another one after a fork
_inherited: list[Any] = []
_over = False


def _new_loop() -> asyncio.AbstractEventLoop:
    global _greenlet
    import greenlet as _greenlet

    # Not by policy: that may be a user's uvloop, and one loop is enough to be right on.
    # (mypy reads this for one platform, and a loop of the other is unknown to it)
    kind = "ProactorEventLoop" if sys.platform == "win32" else "SelectorEventLoop"
    loop: asyncio.AbstractEventLoop = getattr(asyncio, kind)()
    loop.set_task_factory(_task_factory)
    return loop


def _get_pool() -> _Pool:
    global _pool
    if _pool is None:
        _pool = _Pool(_THREADS)
    return _pool


def _get_home(level: int = 0) -> _Home:
    if level >= len(_homes):
        with _lock:
            while level >= len(_homes):
                _homes.append(_Home(len(_homes)))
    return _homes[level]


def _is_inline() -> bool:
    """Whether calls run where they are made: there is no other thread, and none can be started any more."""
    return _over or sys.platform == "emscripten" or not (_homes or threading.main_thread().is_alive())


def on_home_loop() -> bool:
    """Whether this code runs on the home loop (or on a spare one that stands in for it)."""
    return _here.home is not None


@atexit.register
def _at_exit() -> None:
    global _over
    _over = True
    deadline = time.monotonic() + _GRACE
    for home in reversed(_homes):  # one that stands in first: the one before waits for it
        home.close(deadline)
    _homes.clear()
    if _pool is not None:
        _pool.finish(deadline)


def _after_fork() -> None:
    global _here, _lock, _pool, _era
    # Loop and pool are still the parent's: keep them from being closed here, as their files are shared with it.
    _inherited.extend((*_homes, _pool))
    _homes.clear()
    _here, _lock, _pool, _era = _Here(), threading.Lock(), None, object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ── tasks of the home loop run in greenlets ─────────────────────────────────────────────────────────────────────────


def _task_factory(
    loop: asyncio.AbstractEventLoop, coro: Any, *, context: Context | None = None, **more: Any
) -> asyncio.Task[Any]:
    context = copy_context() if context is None else context
    driven: Any = _drive(coro, context)
    driven.__name__ = getattr(coro, "__name__", type(coro).__name__)
    driven.__qualname__ = getattr(coro, "__qualname__", driven.__name__)
    return asyncio.Task(driven, loop=loop, context=context, **more)


@types.coroutine
def _suspend(wish: Any) -> Generator[Any, Any, Any]:
    return (yield wish)


async def _drive(coro: Any, context: Context) -> Any:
    """Run *coro* in a greenlet of its own, and await for it what it wishes."""
    __tracebackhide__ = True
    worker: Any = _greenlet.greenlet(_step_through)
    worker.gr_context = context
    worker.drives = _era, asyncio.current_task()
    wish = worker.switch(coro)
    while not worker.dead:
        try:
            answer = await _suspend(wish)
        except BaseException as error:  # noqa: BLE001  it is the coroutine's
            worker.parent = _greenlet.getcurrent()
            wish = worker.throw(error)
        else:
            worker.parent = _greenlet.getcurrent()
            wish = worker.switch(answer)
    return wish


def _step_through(coro: Any) -> Any:
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


def _is_driven() -> bool:
    """Whether this code runs in the greenlet of the current task, so that the task can await for it."""
    if _greenlet is None:
        return False
    era, task = getattr(_greenlet.getcurrent(), "drives", (None, None))
    return era is _era and task is asyncio.current_task()


# ── one call on its way ─────────────────────────────────────────────────────────────────────────────────────────────

_calling: ContextVar[weakref.ref[_Crossing[Any]] | None] = ContextVar("ciops_calling", default=None)


class _Crossing(Generic[R]):
    """One call that another thread waits for; *tell* is called, from the home thread, when it has ended."""

    def __init__(
        self, home: _Home, make: Callable[[], Coroutine[Any, Any, R]], name: str, tell: Callable[[], None]
    ) -> None:
        self.home, self.name = home, name
        self.finished = False
        self.inner: _Crossing[Any] | None = None  # what a callback of this call's blocks the home thread for
        self._make, self._tell = make, tell
        self._before = copy_context()
        self._context = copy_context()
        self._context.run(_calling.set, weakref.ref(self))
        self._task: asyncio.Task[None] | None = None
        self._begun = self.cancelled = False
        self._result: Any = None
        self._error: BaseException | None = None

    def start(self) -> None:
        self.home.loop.call_soon_threadsafe(self._begin, context=self._context)

    def _begin(self) -> None:
        if self.cancelled:
            self._end(asyncio.CancelledError())
        else:
            self._task = self.home.loop.create_task(self._main(), name=self.name, context=self._context)

    async def _main(self) -> None:
        self._begun = True
        try:
            self._result = await self._make()
        except BaseException as error:  # noqa: BLE001  handed over as it is; a SystemExit must not end the loop
            trace = error.__traceback__
            self._end(error.with_traceback(trace.tb_next if trace else None))
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        self._error = error
        self.finished = True
        self._tell()

    def cancel(self) -> None:
        self.cancelled = True
        inner = self.inner
        if inner is not None:
            inner.cancel()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs any more
            self.home.loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._task is not None and not self.finished:
            self._task.cancel()
            if not self._begun:  # then its body will never run, and cannot say so
                self._end(asyncio.CancelledError())

    def bring_back(self) -> None:
        """Set in this context what the call has set in its own."""
        for variable, value in self._context.items():
            if variable is not _calling and self._before.get(variable, _MISSING) is not value:
                variable.set(value)

    def outcome(self) -> R:
        """The result or the error."""
        __tracebackhide__ = True
        self.bring_back()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # it must not be held by a frame of its own traceback
        result: R = self._result
        return result


class _Watch:
    """Asks whether the home loop still turns, and says once that it does not."""

    def __init__(self, crossing: _Crossing[Any]) -> None:
        self._crossing = crossing
        self._asked = self._answered = False

    def look(self) -> float:
        """Ask, or look for the answer; gives the seconds until the next look."""
        home = self._crossing.home
        self._asked = not self._asked
        if self._asked:
            self._answered = False
            with contextlib.suppress(RuntimeError):
                home.loop.call_soon_threadsafe(self._hear)
            return _ANSWER
        if not self._answered and not home.warned:
            home.warned = True
            frame = sys._current_frames().get(home.thread.ident or 0)
            stack = "".join(traceback.format_stack(frame)) if frame else "(its thread has ended)"
            seconds = _SILENCE + _ANSWER
            _warn(
                f"{self._crossing.name} has waited for {seconds:g} s, and the loop of ciops_nb does not turn: "
                f"something keeps it busy. Give such work to ciops_nb.sync.in_thread(). It is here:\n{stack}"
            )
        return _SILENCE

    def _hear(self) -> None:
        self._answered = True
        self._crossing.home.warned = False


def _warn(message: str) -> None:
    """Warn at the line that called into this module."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, RuntimeWarning, stacklevel=level)


async def _limited(make: Callable[[], Coroutine[Any, Any, R]], name: str, timeout: float | None) -> R:  # noqa: ASYNC109  it is one
    __tracebackhide__ = True
    try:
        async with asyncio.timeout(timeout) as limit:
            return await make()
    except TimeoutError:
        if timeout is None or not limit.expired():
            raise
    raise ToolTimedOut(name, timeout)


# ── waiting without a loop, or in spite of one ──────────────────────────────────────────────────────────────────────


def block(make: Callable[[], Coroutine[Any, Any, R]], *, name: str, timeout: float | None = None) -> R:
    """Run ``make()`` on the home loop and wait for its result, in a running loop or out of one.

    Args:
        make: Makes the coroutine; called at home.
        name: What it is called in tasks, warnings and errors.
        timeout: Seconds after which it is cancelled.

    Raises:
        ToolTimedOut: it took longer than *timeout* seconds; it has been cancelled.
        KeyboardInterrupt: the caller was interrupted; the work has been cancelled and given 2 s to clean up.
    """
    __tracebackhide__ = True
    if sys.platform == "emscripten":
        raise RuntimeError(f"There are no threads in this browser, so {name} cannot be waited for: await it instead.")
    if _is_driven():
        return _step_through(_limited(make, name, timeout))  # type: ignore[no-any-return]
    if _is_inline():
        return _run_inline(make, name, timeout)
    if _here.pool is not None:
        with _here.pool.lend():
            return _block_thread(make, name, timeout)
    return _block_thread(make, name, timeout)


def _run_inline(make: Callable[[], Coroutine[Any, Any, R]], name: str, timeout: float | None) -> R:
    __tracebackhide__ = True
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(f"The interpreter is exiting, so {name} cannot be waited for beside this loop: await it.")
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(_limited(make, name, timeout))


def _block_thread(make: Callable[[], Coroutine[Any, Any, R]], name: str, timeout: float | None) -> R:
    __tracebackhide__ = True
    here = _here.home
    home = _get_home(0 if here is None else here.level + 1)
    waiter = threading.Lock()
    waiter.acquire()
    crossing = _Crossing(home, make, name, waiter.release)
    with _interruptible(), _under_outer(crossing):
        try:
            crossing.start()
            _wait(crossing, waiter, timeout)
        except BaseException:
            _give_up(crossing, waiter)
            raise
    return crossing.outcome()


def _wait(crossing: _Crossing[Any], waiter: threading.Lock, timeout: float | None) -> None:
    __tracebackhide__ = True
    end = float("inf") if timeout is None else time.monotonic() + timeout
    watch, pause = _Watch(crossing), _SILENCE
    while not _acquire(waiter, min(pause, end - time.monotonic())):
        if timeout is not None and time.monotonic() >= end:
            if crossing.finished:
                return
            raise ToolTimedOut(crossing.name, timeout)
        pause = watch.look()


def _acquire(waiter: threading.Lock, seconds: float) -> bool:
    __tracebackhide__ = True
    if sys.platform != "win32":
        return waiter.acquire(timeout=max(0.0, seconds))
    # A lock is not interruptible on Windows: look up now and then.
    while seconds > _TICK:
        if waiter.acquire(timeout=_TICK):
            return True
        seconds -= _TICK
    return waiter.acquire(timeout=max(0.0, seconds))


def _give_up(crossing: _Crossing[Any], waiter: threading.Lock) -> None:
    """Cancel, wait a moment for the clean-up; one more interrupt ends that wait."""
    if not crossing.finished:  # else the interrupt came late, and there is nothing to wait for
        with contextlib.suppress(KeyboardInterrupt):
            crossing.cancel()
            _acquire(waiter, _GRACE)
        if not crossing.finished:
            _warn(f"{crossing.name} was cancelled, but goes on in the background")
    if crossing.finished:
        crossing.bring_back()


@contextlib.contextmanager
def _under_outer(crossing: _Crossing[Any]) -> Iterator[None]:
    """Where a callback of some call blocks the home thread, cancelling that call has to reach this one."""
    reference = _calling.get() if _here.home is not None else None
    outer = reference() if reference is not None else None
    if outer is None:
        yield
        return
    outer.inner = crossing
    try:
        if outer.cancelled:
            crossing.cancel()
        yield
    finally:
        outer.inner = None


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and the stop button through while the main thread blocks inside a running loop.

    ``asyncio.run`` and ipykernel replace the handler of SIGINT by one that schedules a callback on their loop, which
    is the very loop that is blocked.
    """
    before = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if not callable(before) or before is signal.default_int_handler:  # not callable: ignored, or fatal, on purpose
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


def _only_schedules(handler: Any) -> bool:
    while isinstance(handler, functools.partial):
        handler = handler.func
    owner = getattr(handler, "__self__", None)
    module = getattr(handler, "__module__", None) or type(owner).__module__
    return str(module).partition(".")[0] in ("asyncio", "ipykernel", "uvloop")


# ── waiting on another loop ─────────────────────────────────────────────────────────────────────────────────────────


async def _across(make: Callable[[], Coroutine[Any, Any, R]], name: str) -> R:
    __tracebackhide__ = True
    if on_home_loop() or _is_inline():
        return await make()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the caller's loop is closed, and with it who asked
            loop.call_soon_threadsafe(ended.set)

    crossing = _Crossing(_get_home(), make, name, tell)
    with _ticking(loop), _watched(loop, crossing):
        try:
            crossing.start()
            await ended.wait()
        except asyncio.CancelledError as first:
            crossing.cancel()
            while not crossing.finished:
                try:
                    await ended.wait()
                except asyncio.CancelledError as again:
                    # anyio repeats its own at every turn of the loop, which would cancel the clean-up
                    if not again.args or first.args != again.args:
                        crossing.cancel()
            crossing.bring_back()
            raise
        except BaseException:
            crossing.cancel()
            raise
    return crossing.outcome()


class _Ticker:
    """Wakes an idle loop now and then: a kernel's stop button is only seen by a loop that turns (ipykernel#881)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting = 0
        self._handle: asyncio.TimerHandle | None = None

    def tick(self) -> None:
        self._handle = self.loop.call_later(_TICK, self.tick) if self.waiting else None

    def enter(self) -> None:
        self.waiting += 1
        if self._handle is None:
            self.tick()


_ticker: _Ticker | None = None  # of the loop in the main thread, which alone gets signals


@contextlib.contextmanager
def _ticking(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
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


@contextlib.contextmanager
def _watched(loop: asyncio.AbstractEventLoop, crossing: _Crossing[Any]) -> Iterator[None]:
    watch = _Watch(crossing)
    handle: asyncio.TimerHandle

    def look() -> None:
        nonlocal handle
        handle = loop.call_later(watch.look(), look)

    handle = loop.call_later(_SILENCE, look)
    try:
        yield
    finally:
        handle.cancel()


class Call(Coroutine[Any, Any, R]):
    """A call that has not run yet: await it.

    It passes for a coroutine in ``await``, ``asyncio.gather``, ``wait_for``, ``create_task`` and a ``TaskGroup``, on
    whichever loop, and runs on the home loop. One that is never awaited does nothing, and shows what to do.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, R]], name: str) -> None:
        self.__name__ = self.__qualname__ = name
        self._steps: Any = _across(make, name)
        self._awaited = False

    def __await__(self) -> Generator[Any, Any, R]:
        self._awaited = True
        steps: Generator[Any, Any, R] = self._steps.__await__()
        return steps

    def send(self, value: Any) -> Any:
        return self._steps.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        return self._steps.throw(typ if val is None else val)

    def close(self) -> None:
        self._steps.close()

    def __del__(self) -> None:
        if not self._awaited and self._state() == inspect.CORO_CREATED:
            self._steps.close()  # or Python would speak of an inner coroutine that nobody has heard of

    def __getattr__(self, name: str) -> Any:
        # anyio and debuggers ask a task's coroutine for these (`inspect.getcoroutinestate`)
        if name.startswith("cr_"):
            return getattr(self._steps, name)
        raise AttributeError(f"{self!r} has no attribute {name!r}")

    def _state(self) -> str:
        return inspect.getcoroutinestate(self._steps)

    def __repr__(self) -> str:
        state = self._state()
        if state == inspect.CORO_CREATED:
            return f"<{self.__name__}(...): not run yet: await it, or use .sync(...)>"
        return f"<{self.__name__}(...): {'ended' if state == inspect.CORO_CLOSED else 'under way'}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<code>{escape(repr(self))}</code>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


# ── what others call ────────────────────────────────────────────────────────────────────────────────────────────────


def call(make: Callable[[], Coroutine[Any, Any, R]], *, name: str) -> Call[R]:
    """An awaitable that runs ``make()`` on the home loop when it is awaited, from whichever loop.

    Args:
        make: Makes the coroutine; called at home.
        name: What it is called in tasks, warnings and errors.
    """
    return Call(make, name)


def run(coro: Coroutine[Any, Any, R], *, timeout: float | None = None) -> R:
    """Wait for *coro* and return its result, in a notebook or out of one.

    Args:
        coro: The coroutine to run, on the home loop.
        timeout: Seconds after which it is cancelled.

    Raises:
        TypeError: *coro* is not a coroutine.
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
    try:
        return block(
            functools.partial(_run_on, coro), name=getattr(coro, "__qualname__", type(coro).__name__), timeout=timeout
        )
    finally:
        if isinstance(coro, types.CoroutineType) and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
            coro.close()  # cancelled before it began


async def _run_on(coro: Coroutine[Any, Any, R]) -> R:
    __tracebackhide__ = True
    return await coro


class Twin(Generic[P, R]):
    """An async function that can be called two ways: awaited, and ``.sync``."""

    def __init__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._name: str = getattr(function, "__qualname__", type(function).__qualname__)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        return Call(functools.partial(self._function, *args, **kwargs), self._name)

    def sync(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same call, waited for: in a notebook or out of one, with or without a running loop."""
        __tracebackhide__ = True
        return block(functools.partial(self._function, *args, **kwargs), name=self._name)

    def __get__(self, instance: object, owner: type | None = None) -> Twin[..., R]:
        return self if instance is None else Twin(types.MethodType(self._function, instance))

    def __repr__(self) -> str:
        return f"<{self._name}: await {self._name}(...), or {self._name}.sync(...)>"


def twin(function: Callable[P, Coroutine[Any, Any, R]]) -> Twin[P, R]:
    """Give an async function the two ways to be called: awaited on the home loop, and ``.sync``.

    Example:
        >>> @twin
        ... async def double(number: int) -> int:
        ...     return 2 * number
        >>> double.sync(21)
        42
    """
    return Twin(function)


async def in_thread(function: Callable[..., R], *args: Any) -> R:
    """Run *function* in the bounded pool, so that work for the processor does not hold up the home loop.

    Context variables are carried in. Cancelling drops work that has not begun; work that has begun goes on to its end.
    """
    job = functools.partial(copy_context().run, function, *args)
    if _is_inline():
        return job()
    pool = _get_pool()
    future = pool.submit(job)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        pool.give_up(future)
        raise
