"""Samples as an expression sees them: the newest one of each series, or a function of a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ciops_nb.cep.promql.parts import NAME, Part, Sources
from ciops_nb.cep.promql.tree import Matcher
from ciops_nb.cep.samples import Bools, Floats, Ints, Labels, Samples, Seen

__all__ = ["Beneath", "Instant", "Windowed", "Windows", "fitting"]

Beneath: TypeAlias = Callable[[Ints, Ints], Sources]


def fitting(samples: Samples, matchers: Sequence[Matcher]) -> Samples:
    """The series of one metric that *matchers* accept."""
    met = np.ones(len(samples.labels), dtype=np.bool_)
    if not all(one.accepts([samples.metric])[0] for one in matchers if one.name == NAME):
        met[:] = False
    known = [dict(labels) for labels in samples.labels]
    for one in matchers:
        if one.name != NAME:
            texts = [labels.get(one.name, "") for labels in known]
            distinct = sorted(set(texts))
            accepted = dict(zip(distinct, one.accepts(distinct), strict=True))
            met &= np.array([accepted[text] for text in texts], dtype=np.bool_)
    return samples.of(met.tolist())


def _named(samples: Samples) -> list[Labels]:
    if not samples.metric:  # those of a subquery have their names already
        return list(samples.labels)
    return [((NAME, samples.metric), *labels) for labels in samples.labels]


def _records(samples: Samples, rows: Ints, numbers: Ints) -> Sources:
    return [
        [
            {
                "metric": samples.metric,
                "ts": ts,
                "value": value,
                "ci_code": dict(samples.labels[row]).get("ci"),
            }
        ]
        for row, ts, value in zip(
            rows.tolist(), samples.ts[numbers].tolist(), samples.value[numbers].tolist(), strict=True
        )
    ]


class _Seeing:
    """Some metrics, seen from each tick, or from one moment whatever the tick (*pinned*).

    *beneath* says on what a sample rests that was made from others: of pairs of series and moment.
    """

    def __init__(self, seens: Sequence[Seen], pinned: bool, beneath: Beneath | None = None) -> None:
        self._seens, self._pinned, self._beneath = seens, pinned, beneath
        self.labels: Sequence[Labels] = [labels for seen in seens for labels in _named(seen.samples)]

    def _stacked(self, ticks: Ints, of: Callable[[Seen, Ints, Ints], tuple[Floats, Bools]]) -> tuple[Floats, Bools]:
        """*of* each metric for pairs of series and tick, as matrices."""
        values, theres = [np.empty((0, len(ticks)))], [np.empty((0, len(ticks)), dtype=np.bool_)]
        for seen in self._seens:
            count = len(seen.samples.labels)
            value, there = of(seen, np.repeat(np.arange(count, dtype=np.int64), len(ticks)), np.tile(ticks, count))
            values.append(value.reshape(count, len(ticks)))
            theres.append(there.reshape(count, len(ticks)))
        return np.concatenate(values), np.concatenate(theres)

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        """The newest sample of each."""
        found: Sources = [[] for _ in series]
        begin = 0
        for seen in self._seens:
            samples = seen.samples
            places = np.flatnonzero((series >= begin) & (series < begin + len(samples.labels)))
            rows = series[places] - begin
            newest = seen.bounds(rows, ticks[places] * (not self._pinned))[1] - 1
            moments = samples.ts[newest]
            records = self._beneath(rows, moments) if self._beneath else _records(samples, rows, newest)
            for place, one in zip(places.tolist(), records, strict=True):
                found[place] = one
            begin += len(samples.labels)
        return found


class Instant(_Seeing):
    """The newest sample of each series within the look-back, or its time in seconds (*stamped*)."""

    def __init__(self, seens: Sequence[Seen], *, pinned: bool, stamped: bool = False) -> None:
        super().__init__(seens, pinned)
        self._stamped = stamped

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        def newest(seen: Seen, series: Ints, pairs: Ints) -> tuple[Floats, Bools]:
            low, high = seen.bounds(series, pairs)
            there = high > low
            there[there] = ~seen.samples.stale[high[there] - 1]
            value = np.full(len(there), np.nan)
            place = high[there] - 1
            value[there] = seen.samples.ts[place] / 1e6 if self._stamped else seen.samples.value[place]
            return value, there

        if self._pinned:
            value, there = self._stacked(np.zeros(1, dtype=np.int64), newest)
            shape = (len(self.labels), len(ticks))
            return np.broadcast_to(value, shape).copy(), np.broadcast_to(there, shape).copy()
        return self._stacked(ticks, newest)


@dataclass(frozen=True)
class Windows:
    """Windows that are not empty: the samples from *low* up to before *high*.

    Attributes:
        edge: Where each window ends, in the time of ``seen.ts``.
        now: The tick it is for.
        given: The scalars beside it.
    """

    seen: Seen
    low: Ints
    high: Ints
    edge: Ints
    now: Ints
    given: tuple[Floats, ...]

    @property
    def value(self) -> Floats:
        return self.seen.samples.value


class Windowed(_Seeing):
    """A function of the window of each series; windows with fewer than *least* samples give nothing."""

    def __init__(
        self,
        seens: Sequence[Seen],
        function: Callable[[Windows], Floats],
        *,
        pinned: bool,
        least: int = 1,
        scalars: Sequence[Part] = (),
        clock: Callable[[Ints], Ints],
        beneath: Beneath | None = None,
    ) -> None:
        super().__init__(seens, pinned, beneath)
        self._function, self._least, self._scalars, self._clock = function, least, scalars, clock

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        given = [part.at(ticks)[0][0] for part in self._scalars]

        def windows(seen: Seen, series: Ints, pairs: Ints) -> tuple[Floats, Bools]:
            at = np.zeros_like(pairs) if self._pinned else pairs
            low, high = seen.bounds(series, at)
            there = high - low >= self._least
            count = len(pairs) // max(1, len(ticks))
            value = np.full(len(there), np.nan)
            with np.errstate(all="ignore"):  # the arithmetic of NaN and Inf is wanted as it is
                value[there] = self._function(
                    Windows(
                        seen,
                        low[there],
                        high[there],
                        seen.grid.moments(at[there]),
                        self._clock(pairs[there]),
                        tuple(np.tile(one, count)[there] for one in given),
                    )
                )
            return value, there

        return self._stacked(ticks, windows)
