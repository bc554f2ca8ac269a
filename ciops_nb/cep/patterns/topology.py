"""Events that are near each other: pairs of them, and CIs that many of them have in common.

CIs are near by the relations of the moment of the later event of a pair, or of the event itself where it is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from ciops_nb.cep.answer import evidence_lists, found_rows
from ciops_nb.cep.conditions.base import Read
from ciops_nb.cep.conditions.event import EventFilter
from ciops_nb.cep.conditions.topology import Hops
from ciops_nb.cep.fields import Duration, Names, Parts
from ciops_nb.cep.patterns.base import Pattern
from ciops_nb.cep.relations import OPPOSITE, Direction
from ciops_nb.cep.samples import Bools, Ints, unique
from ciops_nb.cep.world import World
from ciops_nb.errors import BadParameter, BadRule
from ciops_nb.estate.times import micros, micros_of, parse_time
from ciops_nb.topology.csr import runs

__all__ = ["CommonUpstream", "NearPairs"]

_MOST = 20_000_000  # pairs of an event and what is near it that are kept
_AT_ONCE = 4_000_000
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\Z")


# ── what is near events ─────────────────────────────────────────────────────────────────────────────────────────────


class _Placed:
    """Events on CIs that were ever related to another, by time."""

    def __init__(self, world: World, asked: EventFilter, where: str) -> None:
        self.world, self.where = world, where
        meant = np.flatnonzero(asked.of(world.events))
        ci = world.relations.numbers(world.events.frame["ci"].gather(meant))
        self.row, self.ci = meant[ci >= 0], ci[ci >= 0]
        self.ts = world.events.ts[self.row]

    def kept(self, chosen: Bools) -> _Placed:
        self.row, self.ci, self.ts = self.row[chosen], self.ci[chosen], self.ts[chosen]
        return self

    def near(
        self, direction: Direction, hops: int, types: Names | None, wanted: Bools | None = None
    ) -> Iterator[tuple[Ints, Ints, Ints]]:
        """Events, a CI near each (one that is *wanted*), and its hops; a bounded number of them at a time."""
        first, count = runs(self.world.relations.epochs(self.ts))
        for begin, length in zip(first.tolist(), count.tolist(), strict=True):
            cis, which = np.unique(self.ci[begin : begin + length], return_inverse=True)
            found = self.world.relations.near(cis, int(self.ts[begin]), direction, hops, types)
            of, near, apart = found.of, found.near, found.hops
            if wanted is not None:
                of, near, apart = of[wanted[near]], near[wanted[near]], apart[wanted[near]]
            start = np.searchsorted(of, np.arange(len(cis) + 1))
            each = (start[1:] - start[:-1])[which]
            ends = np.cumsum(each)
            done = 0
            while done < length:
                sum_before = int(ends[done - 1]) if done else 0
                stop = max(done + 1, int(np.searchsorted(ends, sum_before + _AT_ONCE, side="right")))
                place, offset = _expanded(each[done:stop])
                at = start[which[done + place]] + offset
                yield begin + done + place, near[at], apart[at]
                done = stop


def _expanded(counts: Ints) -> tuple[Ints, Ints]:
    """Each place as often as *counts* says, and the number of each among those of its place."""
    place = np.repeat(np.arange(len(counts)), counts)
    return place, np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)


def _bounded(total: int, where: str) -> None:
    if total > _MOST:
        raise BadRule(where, f"meets more than {_MOST:,} pairs", "Ask for fewer hops, less time or fewer events")


# ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class NearPairs(Pattern):
    """An event *a*, and an event *b* on a CI near that of *a*, no more than *within* apart.

    Attributes:
        a: The event whose CI the finding is about.
        b: The other event.
        b_is: Where the CI of *b* lies, seen from that of *a*.
        max_hops: How far it may be away.
        within: How far apart in time they may be; exactly so far is near enough.
        order: Which comes first; at the same time both do.
        pairs: ``all`` of them, or for each *a* one *b*: the ``first``, the ``last``, or the ``nearest`` (by hops, then
            time).
        relations: The types of relations to follow; None is all.
    """

    KIND: ClassVar[str] = "near"
    NOUN: ClassVar[str] = "pair of events"
    SUCH_AS: ClassVar[str] = "{a: {type: alert}, b: {type: change}, b_is: upstream, max_hops: 2, within: 10m}"
    PARTS: ClassVar[Parts] = {"a": EventFilter, "b": EventFilter}

    a: EventFilter
    b: EventFilter
    b_is: Direction
    max_hops: Hops = 1
    within: Duration
    order: Literal["b_before_a", "a_before_b", "any"] = "any"
    pairs: Literal["all", "first", "last", "nearest"] = "all"
    relations: Annotated[Names, Field(min_length=1)] | None = None

    def reads(self) -> Iterator[Read]:
        yield Read("event", back=self.within)
        yield Read("relation", back=timedelta(0))

    def matches(self, world: World) -> pl.DataFrame:
        world.relations.check(self.relations or (), "near, relations")
        found = []
        if self.order != "a_before_b":
            a, b, hops = self._met(world, self.a, self.b, self.b_is, strict=False)
            found.append((a, b, hops))
        if self.order != "b_before_a":
            b, a, hops = self._met(world, self.b, self.a, OPPOSITE[self.b_is], strict=self.order == "any")
            found.append((a, b, hops))
        a, b, hops = (np.concatenate(part) for part in zip(*found, strict=True))
        chosen = self._chosen(world.events.ts, a, b, hops)
        return _pairs_shown(world, a[chosen], b[chosen], hops[chosen])

    def _met(
        self, world: World, later: EventFilter, earlier: EventFilter, direction: Direction, *, strict: bool
    ) -> tuple[Ints, Ints, Ints]:
        """Rows of the later event, of the earlier one (*strict*: truly earlier), and hops."""
        late, early = _Placed(world, later, "near"), _Placed(world, earlier, "near")
        late.kept((late.ts >= world.start) & (late.ts <= world.end))
        moments = unique(early.ts)
        width = len(moments) + 1
        # A number for each CI and moment, in which the events of a CI in a stretch of time lie side by side.
        keys = early.ci * width + np.searchsorted(moments, early.ts)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        wanted = np.zeros(len(world.relations.cis), dtype=np.bool_)
        wanted[early.ci] = True
        from_moment = np.searchsorted(moments, late.ts - micros_of(self.within))
        to_moment = np.searchsorted(moments, late.ts, side="left" if strict else "right")
        found: list[tuple[Ints, Ints, Ints]] = [(np.zeros(0, dtype=np.int64),) * 3]
        total = 0
        for event, near, hops in late.near(direction, self.max_hops, self.relations, wanted):
            low = np.searchsorted(keys, near * width + from_moment[event])
            count = np.searchsorted(keys, near * width + to_moment[event]) - low
            total += int(count.sum())
            _bounded(total, "near")
            place, offset = _expanded(count)
            found.append((late.row[event[place]], early.row[order[low[place] + offset]], hops[place]))
        one, other, hops = (np.concatenate(part) for part in zip(*found, strict=True))
        return one, other, hops

    def _chosen(self, ts: Ints, a: Ints, b: Ints, hops: Ints) -> Ints:
        """The places of the pairs to show, by a and then b."""
        if self.pairs == "all":
            return np.lexsort((b, a))
        if self.pairs == "nearest":
            order = np.lexsort((b, np.abs(ts[a] - ts[b]), hops, a))
        else:
            order = np.lexsort((b if self.pairs == "first" else -b, a))
        return order[runs(a[order])[0]]


def _pairs_shown(world: World, a: Ints, b: Ints, hops: Ints) -> pl.DataFrame:
    ts, cis = world.events.ts, world.events.frame["ci"]
    both = np.stack([a, b], axis=1).ravel()
    records = pl.DataFrame(
        {
            "step": pl.Series(["a", "b"] * len(a), dtype=pl.String),
            "record_id": world.events.seq.gather(both),
            "ts": ts[both],
            "ci_code": cis.gather(both),
            "hops": np.stack([np.zeros_like(hops), hops], axis=1).ravel(),
        }
    )
    own: list[str] = cis.gather(a).to_list()
    fired = np.maximum(ts[a], ts[b])
    return found_rows(
        labels=[{"ci": ci} for ci in own],
        ci=own,
        active=np.minimum(ts[a], ts[b]),
        fired=fired,
        ended=fired,
        n=np.full(len(a), 2),
        evidence=evidence_lists(records, np.full(len(a), 2)),
    ).sort("fired_at", "ci", "labels", maintain_order=True)


# ── what many have in common ────────────────────────────────────────────────────────────────────────────────────────


def _clock(value: Any) -> str:
    """A time of day or a moment as text; YAML reads 10:05 as the number 605 and 10:05:30 as 36330."""
    if isinstance(value, int) and not isinstance(value, bool) and 60 <= value < 86_400:
        minutes, seconds = (value, None) if value < 1440 else divmod(value, 60)
        return f"{minutes // 60:02}:{minutes % 60:02}" + ("" if seconds is None else f":{seconds:02}")
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if not isinstance(value, str):
        raise ValueError(
            f"{value!r} is not a time. Write times of day such as '00:05', or moments such as 2026-03-01T10:00Z"
        )
    if not _CLOCK.match(value):
        try:
            parse_time(value)
        except BadParameter as error:
            raise ValueError(f"{value!r} {error.problem}. Write times of day such as '00:05', or moments") from None
    return value


def _time(text: str) -> time:
    hours, minutes, seconds, *_ = (*map(int, text.split(":")), 0)
    return time(hours, minutes, seconds)


class CommonUpstream(Pattern):
    """A CI upstream of at least *min_cis* CIs that have such events: what they may have as common cause.

    Each event counts for the CIs that are upstream of its own by the relations of its moment.

    Attributes:
        of: The events.
        max_hops: How far upstream.
        min_cis: How many CIs it takes.
        window: From when to when, both with them: times of day (of each day of the replay, in its zone), or moments.
            The common CIs of a window are ranked by how many CIs they have in common, then by code; each fires when
            *min_cis* is reached, and its value is how many CIs there were in the whole window.
        within: Instead of *window*: it holds while so many CIs have had such an event within that time.
        relations: The types of relations to follow; None is all.
    """

    KIND: ClassVar[str] = "common_upstream"
    NOUN: ClassVar[str] = "common cause"
    SUCH_AS: ClassVar[str] = "{of: {type: alert}, max_hops: 3, min_cis: 2, within: 10m}"
    PARTS: ClassVar[Parts] = {"of": EventFilter}

    of: EventFilter
    max_hops: Hops = 1
    min_cis: Annotated[int, Field(ge=2)] = 2
    window: tuple[Annotated[str, BeforeValidator(_clock)], Annotated[str, BeforeValidator(_clock)]] | None = None
    within: Duration | None = None
    relations: Annotated[Names, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _timed(self) -> CommonUpstream:
        if (self.window is None) == (self.within is None):
            raise ValueError("needs 'window' or 'within'. Say from when to when, or how close together the events lie")
        if self.window is not None and self._by_clock(self.window[0]) != self._by_clock(self.window[1]):
            raise ValueError("has a window from a time of day to a moment. Write two times of day, or two moments")
        if self.window is not None and not self._by_clock(self.window[0]):
            begin, end = (parse_time(one) for one in self.window)
            if end < begin:
                raise ValueError("has a window that ends before it begins. Give the earlier moment first")
        return self

    @staticmethod
    def _by_clock(text: str) -> bool:
        return _CLOCK.match(text) is not None

    def reads(self) -> Iterator[Read]:
        yield Read("event", back=self.within or timedelta(days=1))
        yield Read("relation", back=timedelta(0))

    def matches(self, world: World) -> pl.DataFrame:
        world.relations.check(self.relations or (), "common_upstream, relations")
        events = _Placed(world, self.of, "common_upstream")
        events.kept(events.ts <= world.end)
        windows = None if self.window is None else self._windows(world)
        if windows is not None:
            events.kept(_within(events.ts, windows) >= 0)
        found: list[tuple[Ints, Ints, Ints]] = [(np.zeros(0, dtype=np.int64),) * 3]
        total = 0
        for event, up, hops in events.near("upstream", self.max_hops, self.relations):
            total += len(event)
            _bounded(total, "common_upstream")
            found.append((event, up, hops))
        event, up, hops = (np.concatenate(part) for part in zip(*found, strict=True))
        shared = _Shared(world, events, event, up, hops)
        if windows is not None:
            return shared.of_windows(_within(events.ts, windows), self.min_cis)
        assert self.within is not None
        return shared.of_stretches(micros_of(self.within), self.min_cis)

    def _windows(self, world: World) -> Ints:
        """When each window begins and ends, by time."""
        assert self.window is not None
        if not self._by_clock(self.window[0]):
            moments = [micros(parse_time(text, tz=world.zone)) for text in self.window]
            return np.array([moments], dtype=np.int64)
        begin, end = (_time(text) for text in self.window)
        first, last = (
            datetime.fromtimestamp(moment // 1_000_000, UTC).astimezone(world.zone).date()
            for moment in (world.start, world.end)
        )
        found = []
        for day in range(-1, (last - first).days + 1):
            on = first + timedelta(days=day)
            to = on + timedelta(days=1) if end < begin else on
            found.append([micros(datetime.combine(at, clock, world.zone)) for at, clock in ((on, begin), (to, end))])
        return np.array(found, dtype=np.int64)


def _within(ts: Ints, windows: Ints) -> Ints:
    """The number of the window in which each of *ts* lies, -1 for none."""
    of = np.searchsorted(windows[:, 0], ts, side="right") - 1
    return np.where((of >= 0) & (ts <= windows[of, 1]), of, -1)


class _Shared:
    """Events and the CIs upstream of them, each pair once, by the CI upstream and then time."""

    def __init__(self, world: World, events: _Placed, event: Ints, up: Ints, hops: Ints) -> None:
        self._world = world
        order = np.lexsort((event, up))
        self._event, self._up, self._hops = event[order], up[order], hops[order]
        self._ts, self._ci, self._row = (part[self._event] for part in (events.ts, events.ci, events.row))

    def of_windows(self, window: Ints, least: int) -> pl.DataFrame:
        of = window[self._event]
        order = np.lexsort((self._event, self._up, of))
        start, count = runs((of * (len(self._world.relations.cis) + 1) + self._up)[order])
        group = np.repeat(np.arange(len(start)), count)
        fresh = _first_of_each(group, self._ci[order])
        total = np.cumsum(fresh, dtype=np.int64)
        met: Ints = total - np.repeat((total - fresh)[start], count)  # how many CIs of its group up to here
        cis = np.add.reduceat(fresh.astype(np.int64), start) if len(start) else start
        reached = np.flatnonzero(fresh & (met == least))
        kept = np.flatnonzero(cis >= least)
        up, fired = self._up[order[start[kept]]], self._ts[order[reached]]
        rank = np.lexsort((up, -cis[kept], of[order[start[kept]]]))
        place, offset = _expanded(count[kept[rank]])
        rows = order[start[kept[rank]][place] + offset]
        last = self._ts[order[start[kept] + count[kept] - 1]]
        return self._shown(rows, count[kept[rank]], fired[rank], last[rank], cis[kept[rank]])

    def of_stretches(self, within: int, least: int) -> pl.DataFrame:
        up, at, change = self._presence(within)
        # Who comes at the moment at which another goes meets it.
        order = np.lexsort((-change, at, up))
        up, at, change = up[order], at[order], change[order]
        there = np.cumsum(change)  # every CI that comes goes as well: nothing is left over for the next group
        begins = np.flatnonzero((change > 0) & (there == least))
        ends = np.flatnonzero((change < 0) & (there == least - 1))
        of, fired, ended = up[begins], at[begins], at[ends]
        moments = unique(self._ts)
        width = len(moments) + 1
        keys = self._up * width + np.searchsorted(moments, self._ts)
        low = np.searchsorted(keys, of * width + np.searchsorted(moments, fired - within))
        count = np.searchsorted(keys, of * width + np.searchsorted(moments, ended, side="right")) - low
        order = np.lexsort((of, fired))
        place, offset = _expanded(count[order])
        rows = low[order][place] + offset
        fresh = _first_of_each(place, self._ci[rows])
        cis = np.bincount(place[fresh], minlength=len(of))
        return self._shown(rows, count[order], fired[order], ended[order], cis)

    def _presence(self, within: int) -> tuple[Ints, Ints, Ints]:
        """When CIs come to and go from what is upstream of them: it, the moment, and 1 or -1."""
        order = np.lexsort((self._event, self._ci, self._up))
        up, ci, ts = self._up[order], self._ci[order], self._ts[order]
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = (up[1:] != up[:-1]) | (ci[1:] != ci[:-1]) | (ts[1:] - ts[:-1] > within)
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(order))[: len(first)] - 1
        change = np.repeat(np.array([1, -1], dtype=np.int64), len(first))
        return np.concatenate([up[first], up[first]]), np.concatenate([ts[first], ts[last] + within]), change

    def _shown(self, rows: Ints, counts: Ints, fired: Ints, ended: Ints, cis: Ints) -> pl.DataFrame:
        events, end = self._world.events, self._world.end
        records = pl.DataFrame(
            {
                "step": pl.Series(["event"] * len(rows), dtype=pl.String),
                "record_id": events.seq.gather(self._row[rows]),
                "ts": self._ts[rows],
                "ci_code": events.frame["ci"].gather(self._row[rows]),
                "hops": self._hops[rows],
            }
        )
        starts = np.cumsum(counts) - counts
        own: list[str] = self._world.relations.cis.gather(self._up[rows[starts]]).to_list()
        shown = found_rows(
            labels=[{"ci": ci} for ci in own],
            ci=own,
            active=self._ts[rows[starts]],
            fired=fired,
            ended=[moment if moment <= end else None for moment in ended.tolist()],
            value=cis.astype(np.float64),
            n=counts,
            evidence=evidence_lists(records, counts),
        )
        return shown.filter(pl.Series((fired >= self._world.start) & (fired <= end)))


def _first_of_each(group: Ints, value: Ints) -> Bools:
    """Whether each place is the first of its *value* in its *group*."""
    order = np.lexsort((np.arange(len(value)), value, group))
    first = np.ones(len(value), dtype=np.bool_)
    first[1:] = (group[order][1:] != group[order][:-1]) | (value[order][1:] != value[order][:-1])
    found = np.zeros(len(value), dtype=np.bool_)
    found[order] = first
    return found
