"""One flight for equal questions: who asks while the answer is in the making waits for the same one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

__all__ = ["Flights"]

T = TypeVar("T")


class _Flight(Generic[T]):
    """One thing in the making, or made, and how many wait for it."""

    def __init__(self, future: asyncio.Future[T]) -> None:
        self.future, self.waiting = future, 0


class Flights(Generic[T]):
    """Things in the making, by their keys.

    One that fails is forgotten, and one that nobody waits for any more ends: it may have stalled, and then who asks
    next must not wait for it too.

    Args:
        keep: Hold what was made until it is dropped; otherwise it is forgotten when those who waited have it.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._flights: dict[str, _Flight[T]] = {}

    async def join(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """What *key* stands for, by ``make()`` if nobody is at it."""
        flight = self._flights.get(key)
        if flight is None:
            # A task of its own: a caller that is cancelled must not take the answer from the others.
            flight = self._flights[key] = _Flight(asyncio.ensure_future(make()))
            flight.future.add_done_callback(partial(self._land, key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.future)
        except asyncio.CancelledError:
            if flight.waiting == 1 and not flight.future.done():
                self._forget(key, flight)  # who comes now starts anew
                flight.future.cancel()
                await asyncio.wait([flight.future])  # its clean-up is waited for
            raise
        finally:
            flight.waiting -= 1

    def has(self, key: str) -> bool:
        """Whether *key* is made; one that is in the making is not."""
        flight = self._flights.get(key)
        return flight is not None and flight.future.done()

    def drop(self, key: str) -> None:
        """Let go of *key*; those who wait for it still get it."""
        self._flights.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    def _forget(self, key: str, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _land(self, key: str, flight: _Flight[T], done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None or not self._keep:
            self._forget(key, flight)
