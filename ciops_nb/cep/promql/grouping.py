"""Aggregations: the series of a group put together at each tick, the best of them, or how often a value is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np

from ciops_nb.cep.promql.parts import NAME, Groups, Part, Refuse, Sources, chosen, in_chunks, only, without
from ciops_nb.cep.samples import Bools, Floats, Ints, Labels, quantiles
from ciops_nb.errors import BadRule

__all__ = ["Counted", "Ranked", "Reduced", "keys"]

_MOST_PAIRS = 1_000_000  # of a series and a value


def keys(labels: Sequence[Labels], names: Sequence[str], *, dropped: bool) -> list[Labels]:
    """The group of each series: by the labels *names*, or by all but them."""
    if dropped:
        return [without(one, (NAME, *names)) for one in labels]
    return [only(one, names) for one in labels]


class Reduced:
    """One value for each group."""

    def __init__(self, inner: Part, groups: Sequence[Labels], how: str, share: Part | None = None) -> None:
        self._inner, self._how, self._share = inner, how, share
        self._groups = Groups(groups)
        self.labels: Sequence[Labels] = self._groups.keys

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        value, there = self._inner.at(ticks)
        count = self._groups.count(there)
        with np.errstate(all="ignore"):  # the arithmetic of NaN and Inf is wanted as it is
            if self._share is not None:
                return self._quantile(value, there, self._share.at(ticks)[0][0]), count > 0
            return self._reduced(value, there, count), count > 0

    def _reduced(self, value: Floats, there: Bools, count: Ints) -> Floats:
        over, how = self._groups.over, self._how
        if how == "count":
            return count.astype(np.float64)
        if how == "group":
            return np.ones(count.shape)
        if how == "sum":
            return self._sum(value, there)
        missing = np.where(there, value, np.nan)
        most: Floats = over(np.fmax, missing)  # fmax and fmin pass over NaN, as Prometheus' max and min do
        if how == "max":
            return most
        least: Floats = over(np.fmin, missing)
        if how == "min":
            return least
        # From one of the values on, so that equal values have that value as their mean and do not deviate.
        apart = np.where(there, value - most[self._groups.of], 0.0) if len(count) else value
        mean = over(np.add, apart) / count
        if how == "avg":
            finite = np.isfinite(most) & np.isfinite(least)
            return np.where(finite, most + mean, self._sum(value, there) / count)
        squares = np.where(there, apart - mean[self._groups.of], 0.0) ** 2 if len(count) else value
        variance: Floats = np.where(count == 1, 0.0, over(np.add, squares) / count)  # a lone NaN or Inf too
        return np.sqrt(variance) if how == "stddev" else variance

    def _sum(self, value: Floats, there: Bools) -> Floats:
        total: Floats = self._groups.over(np.add, np.where(there, value, 0.0))
        return total

    def _quantile(self, value: Floats, there: Bools, share: Floats) -> Floats:
        found = np.empty((len(self.labels), value.shape[1]))
        inner = np.where((share >= 0) & (share <= 1), share, 0.0)
        for group in range(len(self.labels)):
            members = np.flatnonzero(self._groups.of == group)
            held = there[members].T
            found[group] = quantiles(np.where(held, value[members].T, np.nan), held, inner)
        return np.where(np.isnan(share), np.nan, np.where(share < 0, -np.inf, np.where(share > 1, np.inf, found)))

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        """Of the series put together the one that is greatest (least for min)."""
        sign = -1.0 if self._how == "min" else 1.0
        best = chosen(self._inner, self._groups.of, series, ticks, lambda of: _no_nan(sign * of))
        return self._inner.sources(best, ticks)


def _no_nan(value: Floats) -> Floats:
    found: Floats = np.where(np.isnan(value), -np.inf, value)
    return found


class Ranked:
    """The greatest or least few of each group; of equal ones those whose labels come first."""

    def __init__(self, inner: Part, groups: Sequence[Labels], how: str, most: Part, refuse: Refuse) -> None:
        self._inner, self._sign, self._most, self._refuse = inner, -1.0 if how == "topk" else 1.0, most, refuse
        self.labels: Sequence[Labels] = inner.labels
        self._members: list[Ints] = []
        members: dict[Labels, list[int]] = {}
        for row in sorted(range(len(inner.labels)), key=lambda row: sorted(inner.labels[row])):
            members.setdefault(groups[row], []).append(row)
        self._members = [np.array(rows, dtype=np.int64) for rows in members.values()]

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        most = self._most.at(ticks)[0][0]
        odd = np.flatnonzero(~(np.abs(most) < 2.0**63))
        if len(odd):
            raise self._refuse(f"{most[odd[0]]} is not how many series can be asked for", int(ticks[odd[0]]))
        value, there = self._inner.at(ticks)
        kept = np.zeros_like(there)
        for rows in self._members:
            kept[rows] = self._best(value[rows], there[rows], np.trunc(most))
        return value, kept

    def _best(self, value: Floats, there: Bools, most: Floats) -> Bools:
        by_value = np.argsort(np.where(there, self._sign * value, np.nan), axis=0, kind="stable")
        last = np.where(there, np.isnan(value), 2).astype(np.int8)  # NaN after all values, and what is missing at last
        by_kind = np.argsort(np.take_along_axis(last, by_value, axis=0), axis=0, kind="stable")
        order = np.take_along_axis(by_value, by_kind, axis=0)
        kept = np.zeros_like(there)
        np.put_along_axis(kept, order, np.arange(len(value))[:, None] < most, axis=0)
        best: Bools = kept & there
        return best

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        return self._inner.sources(series, ticks)


class Counted:
    """``count_values``: how many series of a group have a value, with the value as a label."""

    def __init__(
        self,
        inner: Part,
        label: str,
        names: Sequence[str],
        count: int,
        refuse: Callable[[str, str], BadRule],
        *,
        dropped: bool,
    ) -> None:
        self._inner = inner
        names = names if dropped else (*names, label)
        pairs: set[tuple[int, int]] = set()
        for ticks in in_chunks(len(inner.labels), np.arange(count, dtype=np.int64)):
            rows, bits = _bits(*inner.at(ticks))[:2]
            pairs.update(zip(rows.tolist(), bits.tolist(), strict=True))
            if len(pairs) > _MOST_PAIRS:
                raise refuse(f"count_values meets more than {_MOST_PAIRS:,} values", "Round them first")
        self._pairs = {pair: place for place, pair in enumerate(sorted(pairs))}
        texts = {bits: _spelled(float(np.int64(bits).view(np.float64))) for _, bits in pairs}
        marked = [
            tuple(sorted((*without(inner.labels[row], (label,)), (label, texts[bits])))) for row, bits in self._pairs
        ]
        self._groups = Groups(keys(marked, names, dropped=dropped))
        self.labels: Sequence[Labels] = self._groups.keys

    def _cells(self, ticks: Ints) -> tuple[Ints, Ints, Ints]:
        """The row, the group and the column of each value."""
        rows, bits, columns = _bits(*self._inner.at(ticks))
        cells, back = np.unique(np.stack([rows, bits]), axis=1, return_inverse=True)
        known = [self._pairs[row, bit] for row, bit in cells.T.tolist()]
        place = np.array(known, dtype=np.int64)[back.reshape(-1)] if known else rows
        return rows, self._groups.of[place] if known else rows, columns

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        found = np.zeros((len(self.labels), len(ticks)))
        _, group, columns = self._cells(ticks)
        np.add.at(found, (group, columns), 1.0)
        return found, found > 0

    def sources(self, series: Ints, ticks: Ints) -> Sources:
        rows = np.zeros(len(series), dtype=np.int64)
        asked, place = np.unique(ticks, return_inverse=True)
        begin = 0
        for some in in_chunks(len(self._inner.labels), asked):
            row, group, column = self._cells(some)
            for pair in np.flatnonzero((place >= begin) & (place < begin + len(some))).tolist():
                rows[pair] = row[(group == series[pair]) & (column == place[pair] - begin)][0]
            begin += len(some)
        return self._inner.sources(rows, ticks)


def _bits(value: Floats, there: Bools) -> tuple[Ints, Ints, Ints]:
    """The rows, the values as whole numbers that differ where their texts do, and the columns of what is there."""
    rows, columns = np.nonzero(there)
    of = value[rows, columns]
    bits: Ints = np.where(np.isnan(of), np.nan, of).view(np.int64)
    return rows, bits, columns


def _spelled(value: float) -> str:
    """As Go spells it: no exponent, as few digits as tell it from its neighbours."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")
