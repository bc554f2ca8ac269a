"""The layer that keeps answers: in memory, for a time, bounded by bytes, and one flight for equal calls."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.execution.call import Answer, Call, Runner
from ciops_nb.flights import Flights
from ciops_nb.present import as_frames

__all__ = ["Cache", "Kept"]

_MOST_BYTES = 128 * 1024 * 1024


@dataclass
class _Entry:
    tool: str
    answer: Answer
    size: int
    at: float
    ttl: float
    hits: int = 0


class Kept:
    """The answers that are kept: ``ops.cache``. The least recently used go first when there are too many bytes.

    An empty answer is an answer. One of a fallback is never kept.
    """

    def __init__(self, *, frames: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._frames, self._clock = frames, clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._most = _MOST_BYTES
        self._ttl: float | None = None
        self._lock = threading.Lock()  # asked on the home loop, cleared and explained from any thread

    def configure(self, *, ttl: float | None = None, max_bytes: int | None = None) -> None:
        """Change how long and how much is kept, from now on.

        Args:
            ttl: Seconds an answer of any tool is kept, instead of the tool's own; 0 switches the cache off.
            max_bytes: How many bytes the answers may take together.

        Raises:
            BadParameter: a number is below 0.
        """
        for name, value in (("ttl", ttl), ("max_bytes", max_bytes)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
                raise BadParameter(name, value, "is not a number of at least 0", "0 keeps nothing")
        with self._lock:
            self._ttl = self._ttl if ttl is None else float(ttl)
            self._most = self._most if max_bytes is None else int(max_bytes)
            self._evict()

    def ttl(self, call: Call) -> float:
        """Seconds the answer of *call* may be kept."""
        return call.ttl if self._ttl is None else self._ttl

    def get(self, call: Call) -> Answer | None:
        """The kept answer of *call*, if it is not too old."""
        with self._lock:
            entry = self._fresh(call)
            if entry is None:
                return None
            entry.hits += 1
            self._entries.move_to_end(call.key)
            return replace(entry.answer, cached=True, age=self._clock() - entry.at)

    def holds(self, call: Call) -> bool:
        """Whether *call* would be answered from here; looking does not count as using."""
        with self._lock:
            return self._fresh(call) is not None

    def put(self, call: Call, answer: Answer) -> None:
        """Keep *answer*, unless it is larger than all that may be kept."""
        size = answer.size
        with self._lock:
            self._drop(call.key)
            if size <= self._most:
                self._entries[call.key] = _Entry(call.tool, answer, size, self._clock(), self.ttl(call))
                self._bytes += size
                self._evict()

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def explain(self) -> Any:
        """What is kept.

        Returns:
            A frame with key, tool, age and ttl (seconds), bytes and hits, the least recently used first.
        """
        with self._lock:
            now = self._clock()
            rows = [
                (key, entry.tool, now - entry.at, entry.ttl, entry.size, entry.hits)
                for key, entry in self._entries.items()
                if now - entry.at < entry.ttl
            ]
        schema = {
            "key": pl.String(), "tool": pl.String(), "age": pl.Float64(), "ttl": pl.Float64(), "bytes": pl.Int64(),
            "hits": pl.Int64(),
        }  # fmt: skip
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        return as_frames(frame, self._frames)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<{len(self)} answers, {self._bytes:,} of at most {self._most:,} bytes>"

    def _fresh(self, call: Call) -> _Entry | None:
        entry = self._entries.get(call.key)
        if entry is None:
            return None
        if self._clock() - entry.at >= min(entry.ttl, self.ttl(call)):
            self._drop(call.key)
            return None
        return entry

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size

    def _evict(self) -> None:
        while self._bytes > self._most:
            self._drop(next(iter(self._entries)))


class Cache:
    """Answers from ``Kept`` what it can; calls that are equal and come together are one."""

    def __init__(self, inner: Runner, kept: Kept) -> None:
        self._inner, self._kept = inner, kept
        self._flights: Flights[Answer] = Flights()

    async def __call__(self, call: Call) -> Answer:
        if self._kept.ttl(call) <= 0 or call.data_version is None:
            return await self._inner(call)
        found = self._kept.get(call)
        if found is not None:
            return found
        joined = call.key in self._flights
        answer = await self._flights.join(call.key, partial(self._fly, call))
        return replace(answer, cached=True, age=0.0) if joined else answer

    async def _fly(self, call: Call) -> Answer:
        answer = await self._inner(call)
        # Data that changed between the question and its answer are not those that the key names.
        if answer.fallback is None and answer.steady and answer.data_version == call.data_version:
            self._kept.put(call, answer)
        return answer
