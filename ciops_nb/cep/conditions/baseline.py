"""A value that is far from what it usually is: the conditions of anomaly triggers.

What is usual comes from the values at earlier ticks, never from the one that is judged. A baseline that does not vary
at all has no spread: then any other value is far from it, and an equal one is not; what only rounding can tell apart
(a billionth of the centre) counts as equal, and *least* says what is too little to matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, StrictFloat, model_validator

from ciops_nb.cep.conditions.base import Condition, Read
from ciops_nb.cep.conditions.metric import Operand
from ciops_nb.cep.fields import Duration, Parts
from ciops_nb.cep.parts import Part, Sources
from ciops_nb.cep.samples import Bools, Floats, Grid, Ints, Labels, Samples, Seen, gather
from ciops_nb.cep.world import World
from ciops_nb.errors import BadRule
from ciops_nb.estate.times import micros_of

__all__ = ["Baseline"]

Method = Literal["zscore", "iqr", "ema", "seasonal"]

_ROUNDING = 1e-9
_MOST_CELLS = 50_000_000  # series times ticks: some 17 GB


class Baseline(Condition):
    """A metric deviates from its own past.

    Attributes:
        baseline: The metric, with whatever selects and aggregates it.
        method: ``zscore``: from the mean of the window by so many standard deviations (of the whole population).
            ``iqr``: beyond the quartiles of the window by so many times their distance (Tukey's fences). ``ema``: from
            the exponentially weighted mean of all values since a window before the first tick, by so many of its
            standard deviations.
            ``seasonal``: from the mean of the values one, two, ... *season* ago, by so many standard deviations.
        window: How far back the past reaches (default 1h; for ``seasonal`` four seasons).
        deviations: How far is too far (default 3; for ``iqr`` 1.5).
        side: Whether it has to lie above, below, or either.
        season: How long it takes until the same is usual again.
        alpha: For ``ema``, the weight of the newest value.
        least: The smallest difference that matters, in the unit of the metric.
        points: How many earlier values there have to be; with fewer nothing is said.
    """

    KIND: ClassVar[str] = "baseline"
    PARTS: ClassVar[Parts] = {"baseline": Operand}

    baseline: Operand
    method: Method = "zscore"
    window: Duration | None = None
    deviations: Annotated[StrictFloat, Field(gt=0)] | None = None
    side: Literal["above", "below", "either"] = "either"
    season: Duration | None = None
    alpha: Annotated[StrictFloat, Field(gt=0, lt=1)] | None = None
    least: Annotated[StrictFloat, Field(ge=0)] = 0.0
    points: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Baseline:
        if (self.season is not None) != (self.method == "seasonal"):
            raise ValueError("'season' goes with 'method: seasonal'. Write both, such as season: 7d")
        if (self.alpha is not None) and self.method != "ema":
            raise ValueError("'alpha' goes with 'method: ema'. Leave it out")
        if self.season is not None and self._window < 2 * self.season:
            raise ValueError("'window' holds less than two seasons. Let it reach further back")
        return self

    @property
    def _window(self) -> timedelta:
        if self.window is not None:
            return self.window
        return timedelta(hours=1) if self.season is None else 4 * self.season

    def reads(self) -> Iterator[Read]:
        read = self.baseline.read()
        # One tick more than the window, and ticks may be a day apart at most for this to be enough.
        yield dataclasses.replace(read, offset=read.offset + self._window + timedelta(days=1))

    def part(self, world: World) -> Part:
        back = -(-micros_of(self._window) // world.grid.step) + 1
        grid = Grid(world.grid.start - back * world.grid.step, world.grid.step, world.grid.count + back)
        inner = self.baseline.selected(dataclasses.replace(world, grid=grid))
        if grid.count * max(1, len(inner.labels)) > _MOST_CELLS:
            problem = f"looks at {grid.count:,} ticks of {len(inner.labels):,} series, more than fit into memory"
            raise BadRule("baseline", problem, "Ask for a shorter window or range, longer steps or fewer series")
        return _Deviating(self, inner, grid, back)

    def usual(self, values: Floats, grid: Grid) -> _Usual:
        """What was usual before each tick; *values* are NaN where there is none."""
        if self.season is not None:
            return _seasons(values, micros_of(self.season), self._window // self.season, grid)
        if self.method == "ema":
            return _weighted(values, 0.1 if self.alpha is None else self.alpha)
        seen = Seen(_as_samples(values, grid), grid, micros_of(self._window), grid.step)
        ticks = np.arange(grid.count, dtype=np.int64)
        count = np.nan_to_num(gather(seen, "count", ticks)[0])
        if self.method == "zscore":
            mean = gather(seen, "avg", ticks)[0]
            return _Usual(mean, mean, gather(seen, "stddev", ticks)[0], count)
        low, high = gather(seen, "p25", ticks)[0], gather(seen, "p75", ticks)[0]
        return _Usual(low, high, high - low, count)

    def too_far(self, values: Floats, usual: _Usual) -> Bools:
        deviations = self.deviations or (1.5 if self.method == "iqr" else 3.0)
        points = self.points or (2 if self.method == "seasonal" else 10)
        found = np.zeros(values.shape, dtype=np.bool_)
        with np.errstate(all="ignore"):
            for side, apart, base in (
                ("above", values - usual.high, usual.high),
                ("below", usual.low - values, usual.low),
            ):
                if self.side in (side, "either"):
                    matters = np.maximum(self.least, _ROUNDING * np.abs(base))
                    found |= (apart > deviations * usual.spread) & (apart > matters)
        return found & (usual.count >= points)


@dataclass(frozen=True)
class _Usual:
    """Between what values lay, how far they spread, and how many there were: matrices of series by ticks."""

    low: Floats
    high: Floats
    spread: Floats
    count: Floats


class _Deviating:
    """The series that deviate at a tick, with their values; *inner* is asked for *back* earlier ticks too."""

    def __init__(self, asked: Baseline, inner: Part, grid: Grid, back: int) -> None:
        self._inner, self._back = inner, back
        self.labels: Sequence[Labels] = inner.labels
        values, there = inner.at(np.arange(grid.count, dtype=np.int64))
        usual = asked.usual(np.where(there & np.isfinite(values), values, np.nan), grid)
        self._far = (asked.too_far(values, usual) & there)[:, back:]

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        return self._inner.at(ticks + self._back)[0], self._far[:, ticks]

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._inner.sources(series, ticks + self._back)


def _as_samples(values: Floats, grid: Grid) -> Samples:
    series, ticks = np.nonzero(~np.isnan(values))
    nameless: tuple[Labels, ...] = ((),) * len(values)
    found = values[series, ticks]
    return Samples("", nameless, series, grid.moments(ticks), found, np.zeros(len(found), dtype=np.bool_))


def _seasons(values: Floats, season: int, seasons: int, grid: Grid) -> _Usual:
    """Mean and deviation of the values whole seasons ago, each at the last tick that was then."""
    count, total, squares = (np.zeros(values.shape) for _ in range(3))
    base = np.full(values.shape, np.nan)  # values are taken from the first one, so that equal ones do not deviate
    for number in range(1, seasons + 1):
        then = np.full(values.shape, np.nan)
        shift = -(-number * season // grid.step)
        then[:, shift:] = values[:, : max(0, grid.count - shift)]
        there = ~np.isnan(then)
        base = np.where(np.isnan(base), then, base)
        apart = np.where(there, then - base, 0.0)
        count, total, squares = count + there, total + apart, squares + apart * apart
    with np.errstate(all="ignore"):
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean * mean, 0.0))
    return _Usual(base + mean, base + mean, spread, count)


def _weighted(values: Floats, alpha: float) -> _Usual:
    """Exponentially weighted mean and deviation of all values before, by pandas' and polars' definition."""
    column = pl.Series(values.ravel()).fill_nan(None)
    frame = pl.DataFrame({"x": column, "of": np.repeat(np.arange(len(values)), values.shape[1])})
    x = pl.col("x")
    mean = x.ewm_mean(alpha=alpha, adjust=False, ignore_nulls=True)
    spread = x.ewm_std(alpha=alpha, adjust=False, bias=True, ignore_nulls=True)
    found = frame.select(
        mean=mean.forward_fill().shift(1).over("of"),
        spread=spread.forward_fill().shift(1).over("of"),
        count=x.is_not_null().cum_sum().shift(1, fill_value=0).over("of"),
    )
    centre, width, number = (found[name].cast(pl.Float64).to_numpy().reshape(values.shape) for name in found.columns)
    return _Usual(centre, centre, width, number)
