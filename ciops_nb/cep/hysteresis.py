"""A comparison with two limits: it begins at the one and ends at the other."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ciops_nb.cep.parts import COMPARED, Part, Sources, breadth, matching
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints

__all__ = ["Latched"]

_CELLS = 4_000_000


class Latched:
    """Holds from where the value compares as asked with *limit*, for as long as it compares so with *clear*.

    A value that is missing ends it. At the first tick nothing holds that did not begin there.
    """

    def __init__(self, left: Part, op: str, limit: float, clear: float, grid: Grid) -> None:
        self._left, self._compare, self._limit, self._clear = left, COMPARED[op], limit, clear
        self._grid = grid
        self.labels, self.on, self.breadth = left.labels, matching(left), breadth(left)

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._left.at(ticks)
        begun, ended = self._turns
        asked = np.arange(len(self.labels))[:, None] * (self._grid.count + 1) + ticks
        open_ = np.searchsorted(begun, asked, side="right") > np.searchsorted(ended, asked, side="right")
        return value, there & open_

    @cached_property
    def _turns(self) -> tuple[Ints, Ints]:
        """Where it begins and ends, as numbers by series and then tick; each beginning has its end."""
        width = max(1, _CELLS // self.breadth)
        count = self._grid.count
        row = np.arange(len(self.labels))[:, None] * (count + 1)
        before = np.zeros(len(self.labels), dtype=np.bool_)
        begun, ended = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for begin in range(0, count, width):
            ticks = np.arange(begin, min(begin + width, count), dtype=np.int64)
            holds = self._latched(*self._left.at(ticks), before)
            last = np.concatenate([before[:, None], holds[:, :-1]], axis=1)
            begun.append((row + ticks)[holds & ~last])
            ended.append((row + ticks)[last & ~holds])
            before = holds[:, -1]
        ended.append((row[:, 0] + count)[before])
        return np.sort(np.concatenate(begun)), np.sort(np.concatenate(ended))

    def _latched(self, value: Floats, there: Bools, before: Bools) -> Bools:
        set_ = there & self._compare(value, self._limit)
        kept = there & self._compare(value, self._clear)
        place = np.arange(value.shape[1])
        last_set = np.maximum.accumulate(np.where(set_, place, -1), axis=1)
        last_end = np.maximum.accumulate(np.where(kept | set_, -1, place), axis=1)
        return (last_set > last_end) | ((last_end < 0) & before[:, None])

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._left.sources(series, ticks)
