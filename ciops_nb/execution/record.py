"""The layer that keeps what a run asked and was answered, and answers from it when the run is resumed or replayed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ciops_nb.errors import CiopsError
from ciops_nb.execution.call import Answer, Call, Runner

__all__ = ["Failed", "Record", "Recorded", "Recorder", "current"]

_recorder: ContextVar[Recorder | None] = ContextVar("ciops_recorder", default=None)


@dataclass(frozen=True)
class Recorded:
    """One call of a run that was answered."""

    call: Call
    answer: Answer
    started_at: datetime
    duration_ms: float


@dataclass(frozen=True)
class Failed:
    """One call of a run that raised a named error: a recipe may have caught it, and gone on."""

    call: Call
    error: CiopsError


class Recorder:
    """The calls of one run in the order of asking, whatever the order of the answers.

    Args:
        now: What time it is for all calls of the run: relative times mean the same from its first call to its last.
        known: Calls that were answered before: their answers are given instead of asking.
        failed: Calls that raised: they raise the same again. Only a replay wants this; who resumes tries again.
        replay: Give them to equal questions whatever data these are of, and whatever the tool is by now: a run may have
            seen its data change, or a source that could not say what it had.
        keep: Told of each call when it is answered, such as to write it down.
    """

    def __init__(
        self,
        now: datetime,
        *,
        known: Iterable[Recorded] = (),
        failed: Iterable[Failed] = (),
        replay: bool = False,
        keep: Callable[[int, Recorded], Any] | None = None,
    ) -> None:
        self.now = now
        self.keep, known, failed = keep, tuple(known), tuple(failed)
        self._known = {entry.call.key: entry.answer for entry in known}
        self._raises = {entry.call.key: entry.error for entry in failed}
        calls = [*(entry.call for entry in known), *(entry.call for entry in failed)]
        self._then = {call.question: call for call in reversed(calls)} if replay else {}
        self._failures: dict[int, Failed] = {}
        self._places: list[Recorded | str | None] = []

    @property
    def recorded(self) -> tuple[Recorded, ...]:
        """The calls that were answered, each once, in the order in which they were first asked."""
        found = {entry.call.key: entry for entry in reversed(self._places) if isinstance(entry, Recorded)}
        return tuple(reversed(found.values()))

    @property
    def failures(self) -> tuple[Failed, ...]:
        """The calls that raised a named error and were not answered later, in the order of asking."""
        answered = {entry.call.key for entry in self._places if isinstance(entry, Recorded)}
        found = {entry.call.key: entry for _, entry in sorted(self._failures.items(), reverse=True)}
        return tuple(entry for entry in reversed(found.values()) if entry.call.key not in answered)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The tools that were asked and have not answered yet."""
        return tuple(entry for entry in self._places if isinstance(entry, str))

    @property
    def asked(self) -> int:
        """How many calls there were, answered or not."""
        return len(self._places)

    @contextmanager
    def on(self) -> Iterator[Recorder]:
        """Record what is asked inside."""
        token = _recorder.set(self)
        try:
            yield self
        finally:
            _recorder.reset(token)

    def place(self, tool: str) -> int:
        """A place in the order of asking, taken before anything is waited for."""
        self._places.append(tool)
        return len(self._places) - 1

    def recognised(self, call: Call) -> Call:
        """*call* itself, or in a replay as it was asked: so that it has the same key and the same id."""
        then = self._then.get(call.question) if self._then else None
        if then is None:
            return call
        return replace(call, engine=then.engine, data_version=then.data_version, user=then.user, edition=then.edition)

    def add(self, entry: Recorded | Failed) -> None:
        """Take in a call that was recorded before."""
        if isinstance(entry, Failed):
            self._failures[len(self._places)] = entry
        self._places.append(entry if isinstance(entry, Recorded) else None)

    def give_up(self, place: int) -> None:
        """The call of that place was not answered."""
        if isinstance(self._places[place], str):
            self._places[place] = None

    async def ask(self, call: Call, inner: Runner) -> Answer:
        """Answer *call* from what is known, or by *inner*, and keep it at its place."""
        place = self.place(call.tool) if call.place is None else call.place
        started, began = datetime.now(UTC), time.perf_counter()
        if call.key in self._raises:
            self._failures[place] = Failed(call, self._raises[call.key])
            raise self._raises[call.key]
        known = self._known.get(call.key)
        try:
            answer = await inner(call) if known is None else known
        except CiopsError as error:
            self._failures[place] = Failed(call, error)
            raise
        entry = self._places[place] = Recorded(call, answer, started, (time.perf_counter() - began) * 1e3)
        if self.keep is not None:
            self.keep(place, entry)
        return answer


def current() -> Recorder | None:
    """The recorder of the run that is on; None if none is."""
    return _recorder.get()


class Record:
    """Lets the recorder of the run that is on, if one is, see each call."""

    def __init__(self, inner: Runner) -> None:
        self._inner = inner

    async def __call__(self, call: Call) -> Answer:
        recorder = _recorder.get()
        return await (self._inner(call) if recorder is None else recorder.ask(call, self._inner))
