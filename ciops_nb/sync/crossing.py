"""The home loop, and the ways there: blocking for a call, and awaiting it from another loop.

The spares stand in for the home loop while some callback of it blocks its thread. The pool takes what would hold it up.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import inspect
import os
import sys
import threading
import time
import traceback
import types
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import Context, ContextVar, copy_context
from queue import Empty, SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar

from ciops_nb.errors import CannotWait, ToolTimedOut
from ciops_nb.sync import cell, driven
from ciops_nb.sync.waiting import GRACE, TICK, bring_back, interruptible, ticking, warn, warn_of_nest_asyncio

__all__ = ["Call", "Twin", "block", "call", "in_thread", "limited", "on_home_loop", "twin"]

P = ParamSpec("P")
R = TypeVar("R")

_SILENCE, _ANSWER = 4.0, 1.0  # seconds a caller waits before it asks whether the home loop turns, and for the answer
_THREADS = min(4, (os.cpu_count() or 1) + 1)  # polars and duckdb bring threads of their own; more only compete


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
_inherited: list[Any] = []
_over = False


def _new_loop() -> asyncio.AbstractEventLoop:
    driven.load()  # now, and not in the midst of the first task
    # Not by policy: that may be a user's uvloop, and one loop is enough to be right on.
    # (mypy reads this for one platform, and a loop of the other is unknown to it)
    kind = "ProactorEventLoop" if sys.platform == "win32" else "SelectorEventLoop"
    loop: asyncio.AbstractEventLoop = getattr(asyncio, kind)()
    loop.set_task_factory(driven.task_factory)
    return loop


def _get_pool() -> _Pool:
    global _pool
    if _pool is None:
        _pool = _Pool(_THREADS)
    return _pool


def _get_home(level: int = 0) -> _Home:
    if level >= len(_homes):
        warn_of_nest_asyncio()
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
    deadline = time.monotonic() + GRACE
    for home in reversed(_homes):  # one that stands in first: the one before waits for it
        home.close(deadline)
    _homes.clear()
    if _pool is not None:
        _pool.finish(deadline)


def _after_fork() -> None:
    global _here, _lock, _pool
    # Loop and pool are still the parent's: keep them from being closed here, as their files are shared with it.
    _inherited.extend((*_homes, _pool))
    _homes.clear()
    _here, _lock, _pool = _Here(), threading.Lock(), None
    driven.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


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
        bring_back(self._before, self._context, but=_calling)

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
            warn(
                f"{self._crossing.name} has waited for {seconds:g} s, and the loop of ciops_nb does not turn: "
                f"something keeps it busy. Give such work to ciops_nb.sync.in_thread(). It is here:\n{stack}"
            )
        return _SILENCE

    def _hear(self) -> None:
        self._answered = True
        self._crossing.home.warned = False


async def limited(make: Callable[[], Awaitable[R]], name: str, timeout: float | None) -> R:  # noqa: ASYNC109  it is one
    """What ``make()`` gives, cancelled after *timeout* seconds; None lets it run.

    Raises:
        ToolTimedOut: it took longer; *name* is what is told of it.
    """
    __tracebackhide__ = True
    try:
        async with asyncio.timeout(timeout) as limit:
            return await make()
    except TimeoutError:
        if timeout is None or not limit.expired():  # one of its own
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
        raise CannotWait(name, "There are no threads in this browser")
    if driven.is_driven():
        if on_home_loop():
            return driven.step_through(limited(make, name, timeout))  # type: ignore[no-any-return]
        return cell.wait(functools.partial(_across, make, name), name, timeout)
    if _is_inline():
        return _run_inline(make, name, timeout)
    if _here.pool is not None:
        with _here.pool.lend():
            return _block_thread(make, name, timeout)
    return _block_thread(make, name, timeout)


def _run_inline(make: Callable[[], Coroutine[Any, Any, R]], name: str, timeout: float | None) -> R:
    __tracebackhide__ = True
    if asyncio._get_running_loop() is not None:
        raise CannotWait(name, "The interpreter is exiting, and a loop runs here")
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(limited(make, name, timeout))


def _block_thread(make: Callable[[], Coroutine[Any, Any, R]], name: str, timeout: float | None) -> R:
    __tracebackhide__ = True
    here = _here.home
    home = _get_home(0 if here is None else here.level + 1)
    waiter = threading.Lock()
    waiter.acquire()
    crossing = _Crossing(home, make, name, waiter.release)
    with interruptible(), _under_outer(crossing):
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
    while seconds > TICK:
        if waiter.acquire(timeout=TICK):
            return True
        seconds -= TICK
    return waiter.acquire(timeout=max(0.0, seconds))


def _give_up(crossing: _Crossing[Any], waiter: threading.Lock) -> None:
    """Cancel, wait a moment for the clean-up; one more interrupt ends that wait."""
    if not crossing.finished:  # else the interrupt came late, and there is nothing to wait for
        with contextlib.suppress(KeyboardInterrupt):
            crossing.cancel()
            _acquire(waiter, GRACE)
        if not crossing.finished:
            warn(f"{crossing.name} was cancelled, but goes on in the background")
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
    with ticking(loop), _watched(loop, crossing):
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


def start(make: Callable[[], Coroutine[Any, Any, R]], *, name: str) -> Future[R]:
    """Run ``make()`` on the home loop and come back at once: for callbacks, in which nobody must wait.

    Args:
        make: Makes the coroutine; called at home.
        name: What it is called in tasks.

    Returns:
        A future of ``concurrent.futures``; cancelling it cancels the work.
    """
    if _is_inline():
        raise CannotWait(name, "There is no other thread that it could run in")

    async def begin() -> R:
        task = asyncio.current_task()
        assert task is not None
        task.set_name(name)
        return await make()

    return asyncio.run_coroutine_threadsafe(begin(), _get_home().loop)


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
