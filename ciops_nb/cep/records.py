"""Events or samples that are meant, by key and time: what counts, absences and windows are made of.

A record covers the time during which a window holds it: from when it is there (and known) until it is older than the
window is long. How many of a key's records cover a moment is then what a window at that moment counts, and any moment
may be asked for: a tick as well as the time of an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.answer import EVIDENCE, FOUND, label_text, moments_column, owner
from ciops_nb.cep.events import Events
from ciops_nb.cep.parts import Sources
from ciops_nb.cep.samples import NEVER, Bools, Ints, Labels, Samples, unique

__all__ = ["Latest", "Records", "Spans", "found_rows", "members", "merged", "of_events", "of_samples", "pairs_of"]


@dataclass(frozen=True)
class Records:
    """Records by key and then time.

    Attributes:
        labels: Those of each key.
        key, ts: Of each record.
        known: From when on each could be seen.
        told: What evidence says of each: record_id, ts, ci_code, metric, value.
        place: Where each stands among the events or samples that it was chosen from.
    """

    labels: tuple[Labels, ...]
    key: Ints
    ts: Ints
    known: Ints
    told: pl.DataFrame
    place: Ints

    def __len__(self) -> int:
        return len(self.ts)

    def up_to(self, end: int) -> Records:
        """Without what comes after *end*."""
        return self.chosen(self.ts <= end)

    def chosen(self, kept: Bools) -> Records:
        """Only those that are *kept*, with the same keys."""
        return Records(
            self.labels,
            self.key[kept],
            self.ts[kept],
            self.known[kept],
            self.told.filter(pl.Series(kept)),
            self.place[kept],
        )

    @cached_property
    def since(self) -> Ints:
        """From when on each key is known, which is for ever where there is nothing to tell keys apart by."""
        if self.labels == ((),):
            return np.full(1, np.iinfo(np.int64).min)
        first = np.full(len(self.labels), NEVER)
        np.minimum.at(first, self.key, self.known)
        return first

    def within(self, key: int, after: int, moment: int) -> Ints:
        """The records of *key* later than *after* that are there at *moment*, in their order."""
        low, high = np.searchsorted(self.key, (key, key + 1))
        ts = self.ts[low:high]
        begin, stop = low + np.searchsorted(ts, (after, moment), "right")
        some = np.arange(begin, stop)
        return some[self.known[some] <= moment]

    def sources(self, rows: Ints) -> list[dict[str, Any]]:
        """What a part says of *rows*: ``parts.Sources`` of one pair."""
        return self.told[rows].to_dicts()


def of_events(events: Events, met: Bools, by: Sequence[str]) -> Records:
    """The events that *met* says, keyed by the fields *by*; those without one of these are left out."""
    number, labels = events.keyed(by)
    place = np.flatnonzero(met & (number >= 0))
    told = pl.DataFrame(
        {
            "record_id": events.seq,
            "ts": events.ts,
            "ci_code": events.frame["ci"],
            "metric": pl.Series([None], dtype=pl.String).new_from_index(0, len(events)),
            "value": pl.Series([None], dtype=pl.Float64).new_from_index(0, len(events)),
        }
    )
    return _records(labels, number[place], events.ts[place], events.known[place], told[place], place)


def of_samples(samples: Samples, by: Sequence[str]) -> Records:
    """Samples keyed by the labels *by*, as far as they have them."""
    keys = [tuple(pair for pair in labels if pair[0] in by) for labels in samples.labels]
    labels = tuple(sorted(set(keys))) or (((),) if not by else ())
    number = {key: place for place, key in enumerate(labels)}
    of_series = np.array([number[key] for key in keys], dtype=np.int64)
    owners = pl.Series([dict(one).get("ci") for one in samples.labels], dtype=pl.String)
    count = len(samples.ts)
    told = pl.DataFrame(
        {
            "record_id": pl.Series([None], dtype=pl.String).new_from_index(0, count),
            "ts": samples.ts,
            "ci_code": owners[samples.series],
            "metric": pl.Series([samples.metric], dtype=pl.String).new_from_index(0, count),
            "value": samples.value,
        }
    )
    known = samples.ts + samples.late if samples.known is None else samples.known
    return _records(labels, of_series[samples.series], samples.ts, known, told, np.arange(count))


def _records(labels: tuple[Labels, ...], key: Ints, ts: Ints, known: Ints, told: pl.DataFrame, place: Ints) -> Records:
    used = unique(key) if labels != ((),) else np.zeros(1, dtype=np.int64)
    order = np.lexsort((np.arange(len(key)), ts, key))
    return Records(
        tuple(labels[number] for number in used.tolist()),
        np.searchsorted(used, key[order]),
        ts[order],
        known[order],
        told[order],
        place[order],
    )


class _Codes:
    """Pairs of key and time as numbers of the same order; times outside of those given are as the nearest beyond."""

    def __init__(self, key: Ints, *times: Ints) -> None:
        self._first = min((int(some.min()) for some in times if len(some)), default=0)
        self._last = max((int(some.max()) for some in times if len(some)), default=0)
        self._width = self._last - self._first + 2
        self._ranks = None
        if (
            int(key.max(initial=0)) + 2
        ) * self._width >= NEVER:  # too wide for one number: count times, and not their units
            self._ranks = unique(np.concatenate(times))
            self._width = len(self._ranks) + 1

    def of(self, key: Ints, times: Ints) -> Ints:
        if self._ranks is not None:
            return key * self._width + np.searchsorted(self._ranks, times, "right")
        before = self._first - 1
        return key * self._width + (np.clip(times, before, self._last) - before)

    def start(self, key: Ints) -> Ints:
        """Before all times of *key*."""
        return key * self._width


class Spans:
    """Stretches of time, each of a key: from *begin* up to before *end*."""

    def __init__(self, key: Ints, begin: Ints, end: Ints) -> None:
        self.stretches = key, begin, end
        self._codes = _Codes(key, begin, end)
        self._begin, self._end = (np.sort(self._codes.of(key, times)) for times in (begin, end))

    def covering(self, key: Ints, moments: Ints) -> Ints:
        """How many of the stretches of *key* each of *moments* lies in."""
        asked = self._codes.of(key, moments)
        return np.searchsorted(self._begin, asked, "right") - np.searchsorted(self._end, asked, "right")


def merged(of: Ints, begin: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Stretches of one group put together where they overlap or touch."""
    if not len(of):
        return of, begin, end
    order = np.lexsort((begin, of))
    of, begin, end = of[order], begin[order], end[order]
    codes = _Codes(of, begin, end)
    reached = np.maximum.accumulate(codes.of(of, end))  # a later group has greater codes: none reaches over
    fresh = np.append(True, (of[1:] != of[:-1]) | (codes.of(of, begin)[1:] > reached[:-1]))
    starts = np.flatnonzero(fresh)
    return of[starts], begin[starts], np.maximum.reduceat(end, starts)


class Latest:
    """The newest record of a key that is known at a moment."""

    def __init__(self, key: Ints, known: Ints, count: int) -> None:
        """*key* and *known* of records by key and then age, the newest last; *count* of keys."""
        came = np.flatnonzero(known < NEVER)
        order = came[np.lexsort((came, known[came], key[came]))]
        self._codes = _Codes(key[order], known[order])
        self._known = self._codes.of(key[order], known[order])
        # The rows of a later key are greater than those of an earlier one, so that none reaches over.
        self._newest = np.maximum.accumulate(order) if len(order) else order
        self._first = np.searchsorted(self._known, self._codes.start(np.arange(count)))

    def at(self, key: Ints, moments: Ints) -> Ints:
        """The number of that record, -1 for none."""
        place = np.searchsorted(self._known, self._codes.of(key, moments), "right") - 1
        there = place >= self._first[key]
        found = np.full(np.broadcast(key, moments).shape, -1, dtype=np.int64)
        found[there] = self._newest[place[there]]
        return found


# ── rows of what was found ──────────────────────────────────────────────────────────────────────────────────────────


def members(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Pairs of the number of a range and of what is in it, for the ranges from *low* up to before *high*."""
    lengths = high - low
    row = np.repeat(np.arange(len(low)), lengths)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(low, lengths)


def found_rows(
    records: Records, rows: pl.DataFrame, held: tuple[Ints, Ints], *, step: str = "fired", n: Ints | None = None
) -> pl.DataFrame:
    """Findings as the columns of ``answer.FOUND``, by fired_at, ci and labels.

    Args:
        rows: key, active, fired, ended (microseconds, null for not yet) and value of each.
        held: Pairs of the number of a finding and of a record on which it rests.
    """
    row, of = held
    hops, told = pl.lit(None, pl.Int64).alias("hops"), records.told[of]
    record = told.with_columns(moments_column(told["ts"]).alias("ts"), hops, step=pl.lit(step)).select(
        pl.struct(field.name for field in EVIDENCE.fields).alias("evidence")
    )
    evidence = record.with_columns(row=pl.Series(row, dtype=pl.Int64)).group_by("row", maintain_order=True)
    labels = [dict(one) for one in records.labels]
    named = pl.DataFrame(
        {
            "key": pl.Series(range(len(labels)), dtype=pl.Int64),
            "ci": pl.Series([owner(one) for one in labels], dtype=pl.String),
            "labels": pl.Series([label_text(one) for one in labels], dtype=pl.String),
        }
    )
    counted = pl.col("evidence").list.len() if n is None else pl.Series(n)
    return (
        rows.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64))
        .join(named, on="key", how="left", maintain_order="left")
        .join(evidence.agg(pl.col("evidence")), on="row", how="left", maintain_order="left")
        .with_columns(
            *(moments_column(rows[name]).alias(f"{name}_at") for name in ("active", "fired", "ended")),
            status=pl.lit("fired"),
            n=counted,
        )
        .select(pl.col(name).cast(dtype) for name, dtype in FOUND.items())
        .sort("fired_at", "ci", "labels", nulls_last=False, maintain_order=True)
    )


def pairs_of(records: Records, key: Ints, after: Ints, moments: Ints) -> Sources:
    """For each pair of key and moment the records later than *after* that are there."""
    return [
        records.sources(records.within(*pair))
        for pair in zip(key.tolist(), after.tolist(), moments.tolist(), strict=True)
    ]
