"""What a replay can see: the past as frames, made ready once for all of its rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING

from ciops_nb.cep.events import Events
from ciops_nb.cep.relations import Relations
from ciops_nb.cep.samples import Grid, Samples

if TYPE_CHECKING:
    from ciops_nb.cep.fired import Fired
    from ciops_nb.cep.promql import Matcher

__all__ = ["World"]

Find = Callable[[str, dict[str, tuple[str, ...]]], Samples]
Matching = Callable[[Sequence["Matcher"]], Sequence[Samples]]


@dataclass(frozen=True)
class World:
    """What one rule is judged by.

    Attributes:
        find: Gets the samples of a metric and a ``where``.
        matching: Gets the samples of every metric whose name fits matchers of PromQL.
        events: All events, those before the first tick and after the last one too.
        relations: All relations, of all times.
        grid: The ticks.
        lookback: How old a sample of a metric may be.
        zone: The zone of times of day that do not name one.
        start: The start of the replay, in microseconds since 1970.
        end: Its end, which belongs to it; no tick may lie there.
        fired: What the rules have found that others name, by id.
    """

    find: Find
    matching: Matching
    events: Events
    relations: Relations
    grid: Grid
    lookback: Callable[[str], timedelta]
    zone: tzinfo
    start: int
    end: int
    fired: Mapping[str, Fired] = field(default_factory=dict)
