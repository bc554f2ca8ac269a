"""Work that widgets ask for: begun in any thread, done on the home loop, so that no callback waits.

What is asked again before it is answered is of interest no more. ``Newest`` lets go of it at once, for what is read
anew; ``Following`` ends what it is at and then takes the newest, for what moves all the time.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from ciops_nb import sync

__all__ = ["Following", "Newest"]

R = TypeVar("R")
V = TypeVar("V")


class Newest:
    """Of several requests the newest is answered; those before it are cancelled, and shown no more.

    Args:
        name: What the work is called in tasks.
        lock: Held while an answer or an error is shown.
        failed: Shows an error.
        ended: Called in some thread when a request is no longer going: answered, failed or let go of.
    """

    def __init__(
        self,
        name: str,
        lock: AbstractContextManager[Any],
        failed: Callable[[Exception], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._name, self._lock, self._failed, self._ended = name, lock, failed, ended
        self._number, self._closed = 0, False
        self._going: Future[None] | None = None

    def ask(self, make: Callable[[], Coroutine[Any, Any, R]], show: Callable[[R], None]) -> None:
        """Begin with ``make()`` and come back; what it gives is for *show*."""
        with self._lock:
            if self._closed:
                return
            self._number += 1
            before = self._going
            self._going = sync.start(functools.partial(self._do, self._number, make, show), name=self._name)
            self._going.add_done_callback(lambda _: self._ended())
            if before is not None:
                before.cancel()

    def drop(self) -> None:
        """Let go of what was asked: it is shown no more."""
        with self._lock:
            self._number += 1
            going = self._going
        if going is not None:
            going.cancel()

    @property
    def is_going(self) -> bool:
        """Whether something was asked that is neither answered nor let go of."""
        return self._going is not None and not self._going.done()

    async def _do(self, number: int, make: Callable[[], Coroutine[Any, Any, R]], show: Callable[[R], None]) -> None:
        try:
            made = await make()
            await sync.in_thread(self._shown, number, show, made)  # whoever observes a trait may wait for us
        except Exception as error:  # noqa: BLE001  all of them are shown
            await sync.in_thread(self._shown, number, self._failed, error)

    def _shown(self, number: int, show: Callable[[Any], None], made: Any) -> None:
        with self._lock:
            if number == self._number and not self._closed:
                show(made)

    async def idle(self) -> None:
        """Wait until nothing is being asked."""
        while (going := self._going) is not None and not going.done():
            await asyncio.wait([asyncio.wrap_future(going)])

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._going is not None:
                self._going.cancel()


class Following(Generic[V, R]):
    """Of values that come faster than they can be worked on the newest is taken, and those between are dropped.

    Args:
        name: What the work is called in tasks.
        lock: Held while an answer or an error is shown.
        make: The work, done in a thread of the pool.
        show: Shows what came of it.
        failed: Shows an error.
    """

    def __init__(
        self,
        name: str,
        lock: threading.RLock,
        make: Callable[[V], R],
        show: Callable[[R], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._name, self._lock, self._make, self._show, self._failed = name, lock, make, show, failed
        self._wanted: list[V] = []  # at most one
        self._busy = self._closed = False
        self._going: Future[None] | None = None

    def want(self, value: V) -> None:
        """Work on *value* next, and come back."""
        with self._lock:
            if self._closed:
                return
            self._wanted = [value]
            if not self._busy:
                self._busy = True
                self._going = sync.start(self._work, name=self._name)

    def drop(self) -> None:
        """Forget what is wanted and not yet begun."""
        with self._lock:
            self._wanted = []

    async def _work(self) -> None:
        while value := await sync.in_thread(self._next):
            await sync.in_thread(self._one, value[0])

    def _next(self) -> list[V]:
        with self._lock:
            taken, self._wanted = self._wanted, []
            self._busy = bool(taken) and not self._closed
            return taken if self._busy else []

    def _one(self, value: V) -> None:
        try:
            made = self._make(value)
            with self._lock:
                if not self._closed:
                    self._show(made)
        except Exception as error:  # noqa: BLE001  all of them are shown
            with self._lock:
                if not self._closed:
                    self._failed(error)

    async def idle(self) -> None:
        """Wait until nothing is wanted or worked on."""
        while (going := self._going) is not None and not going.done():
            await asyncio.wait([asyncio.wrap_future(going)])

    def close(self) -> None:
        with self._lock:
            self._closed, self._wanted = True, []
            if self._going is not None:
                self._going.cancel()
