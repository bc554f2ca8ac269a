"""Which source is asked first: by what is known of the sources, and by what the call needs.

A source is asked in the order in which it was configured, but for two reasons, each told with the choice:

- its circuit is open: it failed several times in a row a short while ago, and is asked last until that while is over
  (M. Nygard, Release It!, 2007, "Circuit Breaker");
- it is slow or fails often now, and another one holds all the data that is asked for.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Choice", "Health", "choose", "stand_ins"]

_RECENT = 20  # outcomes that are remembered of a source
_OPENS_AFTER = 3  # failures in a row
_OPEN_SECONDS = 30.0
_SLOWER = 2.0  # times as slow as the other: less is noise
_FAILS_OFTEN = 0.5
_ENOUGH = 5  # outcomes before anything is made of them


class Health:
    """What is known of one source: its latest outcomes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outcomes: deque[bool] = deque(maxlen=_RECENT)
        self._took: dict[str, deque[float]] = {}
        self._failed_in_a_row = 0
        self._failed_at = 0.0

    def note(self, tool: str, ok: bool, seconds: float) -> None:
        """Remember that *tool* was answered, or not, after *seconds*."""
        self._outcomes.append(ok)
        if ok:
            self._failed_in_a_row = 0
            self._took.setdefault(tool, deque(maxlen=_RECENT)).append(seconds)
        else:
            self._failed_in_a_row += 1
            self._failed_at = self._clock()

    @property
    def open_for(self) -> float:
        """Seconds until it is asked again in its turn, 0 while its circuit is closed."""
        if self._failed_in_a_row < _OPENS_AFTER:
            return 0.0
        return max(0.0, self._failed_at + _OPEN_SECONDS - self._clock())

    @property
    def failures(self) -> int:
        """How often it failed in a row."""
        return self._failed_in_a_row

    @property
    def error_rate(self) -> float | None:
        """The share of its latest calls that failed; None while there are too few to tell."""
        return self._outcomes.count(False) / len(self._outcomes) if len(self._outcomes) >= _ENOUGH else None

    def latency(self, tool: str) -> float | None:
        """The median seconds of its latest answers to *tool*; None if there is none."""
        took = self._took.get(tool)
        return statistics.median(took) if took else None

    def steady_latency(self, tool: str) -> float | None:
        """The same, but None while there are too few to tell."""
        return self.latency(tool) if len(self._took.get(tool, ())) >= _ENOUGH else None


@dataclass(frozen=True)
class Choice:
    """A source in its turn, and the reason for that turn; *seconds* is what it usually takes, None if not known."""

    source: str
    reason: str
    seconds: float | None


def choose(
    tool: str,
    names: Sequence[str],
    health: dict[str, Health],
    *,
    needs_until: datetime | None = None,
    holds_until: dict[str, datetime | None] | None = None,
) -> list[Choice]:
    """The sources in the order in which they are to be asked.

    Args:
        tool: Which question.
        names: The sources as configured, the best first.
        health: What is known of each.
        needs_until: The latest time that the call asks for; None if that cannot be told.
        holds_until: Up to when each source has data.
    """
    first, *others = names
    reasons = {first: "configured first", **dict.fromkeys(others, "configured after it")}
    ready = [name for name in names if not health[name].open_for]
    waiting = [name for name in names if health[name].open_for]
    for name in waiting:
        known = health[name]
        reasons[name] = f"failed {known.failures} times in a row; asked last for another {known.open_for:.0f} s"
    if ready and ready[0] == first:
        better = _better(tool, first, others, health, needs_until, holds_until or {})
        if better is not None:
            name, reasons[name] = better
            ready = [name, *(other for other in ready if other != name)]
    return [Choice(name, reasons[name], health[name].latency(tool)) for name in [*ready, *waiting]]


def _better(
    tool: str,
    first: str,
    others: Sequence[str],
    health: dict[str, Health],
    needs_until: datetime | None,
    holds_until: dict[str, datetime | None],
) -> tuple[str, str] | None:
    """Another source that may stand in for *first* because it has all that is asked, if *first* does badly."""
    for name, reason in stand_ins(tool, [first, *others], health).items():
        held = holds_until.get(name)
        if needs_until is not None and held is not None and held >= needs_until:
            return name, f"has data up to {held:%Y-%m-%dT%H:%MZ}, and {reason}"
    return None


def stand_ins(tool: str, names: Sequence[str], health: dict[str, Health]) -> dict[str, str]:
    """The sources that do better than the first of *names*, with the reason: those whose data are worth a look."""
    first, *others = names
    found = {}
    if health[first].open_for:
        return {}
    for name in others:
        if health[name].open_for:
            continue
        failing = health[first].error_rate
        slow, quick = health[first].steady_latency(tool), health[name].steady_latency(tool)
        if failing is not None and failing >= _FAILS_OFTEN:
            found[name] = f"{failing:.0%} of the calls of {first} failed"
        elif slow is not None and quick is not None and slow > _SLOWER * quick:
            found[name] = f"answers in {quick:.2g} s where {first} takes {slow:.2g} s"
    return found
