"""Rules that record a metric: in which order they have to run, and the samples that they leave.

A group of Prometheus runs its rules one after another at each tick, so that a rule sees what those before it recorded
at that tick, and of those behind it what they recorded at the tick before. Here a rule runs over all ticks at once, and
so after all whose metrics it reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ciops_nb.cep.model import Rule
from ciops_nb.cep.parts import Part
from ciops_nb.cep.samples import Grid, Samples
from ciops_nb.errors import BadRule
from ciops_nb.estate.names import one_of

__all__ = ["recorded", "running_order"]


def running_order(rules: Sequence[Rule]) -> list[int]:
    """The places of *rules*, each after those whose metrics it reads and those it waits for.

    Raises:
        BadRule: a rule reads what it records itself or waits for itself, at once or by way of others, or names a rule
            that is not there or makes no alerts.
    """
    named = _named(rules)
    recorders: dict[str | None, list[int]] = {}
    for place, rule in enumerate(rules):
        if rule.record is not None:
            recorders.setdefault(rule.record, []).append(place)
            recorders.setdefault(None, []).append(place)  # who reads any metric, reads this one
    order: list[int] = []
    open_: list[int] = []

    def visit(place: int) -> None:
        if place in order:
            return
        if place in open_:
            circle = [rules[one] for one in [*open_[open_.index(place) :], place]]
            if any(one.record is None for one in circle):
                way = " needs ".join(repr(one.id) for one in circle)
                raise BadRule(f"rule {rules[place].id!r}", f"waits for itself: {way}", "Break the circle")
            way = " reads ".join(repr(one.record) for one in circle)
            raise BadRule(f"rule {rules[place].id!r}", f"reads what it records itself: {way}", "Break the circle")
        open_.append(place)
        for metric in {read.metric: None for read in rules[place].reads() if read.table == "metric"}:
            for recorder in recorders.get(metric, []):
                visit(recorder)
        for name in rules[place].awaited():
            visit(named[name])
        open_.pop()
        order.append(place)

    for place in range(len(rules) if recorders or named else 0):
        visit(place)
    return order or list(range(len(rules)))


def _named(rules: Sequence[Rule]) -> dict[str, int]:
    """The places of the rules that others name."""
    found: dict[str, int] = {}
    for rule in rules:
        for name in rule.named():
            places = [place for place, other in enumerate(rules) if other.id == name]
            where = f"rule {rule.id!r}"
            if not places:
                raise BadRule(where, f"there is no rule {name!r}", one_of(name, [other.id or "" for other in rules]))
            if len(places) > 1:
                raise BadRule(where, f"there are {len(places)} rules {name!r}", "Give each rule an id of its own")
            if rules[places[0]].record is not None:
                raise BadRule(where, f"rule {name!r} records and makes no alerts", "Name its metric instead")
            found[name] = places[0]
    return found


def recorded(rule: Rule, part: Part, grid: Grid) -> Samples:
    """The values of *part* at every tick as samples; where a series is there no more, it is marked as ended."""
    assert rule.record is not None
    value, there = part.at(np.arange(grid.count, dtype=np.int64))
    ended = np.zeros_like(there)
    ended[:, 1:] = there[:, :-1] & ~there[:, 1:]
    each = [tuple(sorted(rule.labelled(dict(one)).items())) for one in part.labels]
    labels = tuple(sorted(set(each)))
    number = {one: place for place, one in enumerate(labels)}
    rows, ticks = np.nonzero(there | ended)
    series = np.array([number[one] for one in each], dtype=np.int64)[rows]
    samples = Samples(
        rule.record,
        labels,
        series,
        grid.moments(ticks),
        np.where(there, value, np.nan)[rows, ticks],
        ended[rows, ticks],
    )
    if len(labels) == len(each) and list(labels) == each:
        return samples
    # Series that come to the same labels: what is there counts more than that another one has ended.
    order = np.lexsort((~samples.stale, samples.ts, samples.series))
    series, ts, stale = samples.series[order], samples.ts[order], samples.stale[order]
    last = np.append((series[1:] != series[:-1]) | (ts[1:] != ts[:-1]), True)[: len(order)]
    again = np.flatnonzero(~last[:-1] & ~stale[:-1]) if len(order) else order
    if len(again):
        raise BadRule(
            f"rule {rule.id!r}, labels",
            f"the labels make different series the same: {dict(labels[series[again[0]]])}",
            "Name labels that the series do not have",
        )
    return Samples(rule.record, labels, series[last], ts[last], samples.value[order][last], stale[last])
