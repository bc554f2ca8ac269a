"""The layer that keeps what a run asked and was answered, and answers from it when the run is resumed or replayed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ciops_nb.execution.call import Answer, Call, Runner

__all__ = ["Record", "Recorded", "Recorder", "place_of_next"]

_recorder: ContextVar[Recorder | None] = ContextVar("ciops_recorder", default=None)


@dataclass(frozen=True)
class Recorded:
    """One call of a run that was answered."""

    call: Call
    answer: Answer
    started_at: datetime
    duration_ms: float


class Recorder:
    """The calls of one run in the order of asking, whatever the order of the answers.

    Args:
        known: Answers by the keys of their calls, given instead of asking.
        keep: Told of each call when it is answered, such as to write it down.
    """

    def __init__(
        self, known: Mapping[str, Answer] | None = None, keep: Callable[[int, Recorded], Any] | None = None
    ) -> None:
        self._known, self._keep = dict(known or {}), keep
        self._places: list[Recorded | None] = []

    @property
    def recorded(self) -> tuple[Recorded, ...]:
        """The calls that were answered, each once, in the order in which they were first asked."""
        found = {entry.call.key: entry for entry in reversed(self._places) if entry is not None}
        return tuple(reversed(found.values()))

    @contextmanager
    def on(self) -> Iterator[Recorder]:
        """Record what is asked inside."""
        token = _recorder.set(self)
        try:
            yield self
        finally:
            _recorder.reset(token)

    def place(self) -> int:
        """A place in the order of asking, taken before anything is waited for."""
        self._places.append(None)
        return len(self._places) - 1

    async def ask(self, call: Call, inner: Runner) -> Answer:
        """Answer *call* from what is known, or by *inner*, and keep it at its place."""
        place = self.place() if call.place is None else call.place
        started, began = datetime.now(UTC), time.perf_counter()
        known = self._known.get(call.key)
        answer = await inner(call) if known is None else known
        entry = self._places[place] = Recorded(call, answer, started, (time.perf_counter() - began) * 1e3)
        if self._keep is not None:
            self._keep(place, entry)
        return answer


def place_of_next() -> int | None:
    """The place of a call that begins now in the run that is on; None if none is."""
    recorder = _recorder.get()
    return None if recorder is None else recorder.place()


class Record:
    """Lets the recorder of the run that is on, if one is, see each call."""

    def __init__(self, inner: Runner) -> None:
        self._inner = inner

    async def __call__(self, call: Call) -> Answer:
        recorder = _recorder.get()
        return await (self._inner(call) if recorder is None else recorder.ask(call, self._inner))
