"""What a replay can see: the past as frames, made ready once for all of its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta, tzinfo

from ciops_nb.cep.samples import Grid, Samples

__all__ = ["World", "micros_of"]

Find = Callable[[str, dict[str, tuple[str, ...]]], Samples]


@dataclass(frozen=True)
class World:
    """What the conditions of one rule are judged by.

    Attributes:
        find: Gets the samples of a metric and a ``where``.
        grid: The ticks.
        lookback: How old a sample of a metric may be.
        zone: The zone of times of day that do not name one.
    """

    find: Find
    grid: Grid
    lookback: Callable[[str], timedelta]
    zone: tzinfo


def micros_of(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
