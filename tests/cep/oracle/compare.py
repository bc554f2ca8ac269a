"""Our replay beside the alerts of Prometheus, and of what differs a small example."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import yaml

from tests.cep.oracle.data import Data, Series
from tests.cep.oracle.promtool import Alert, Asked, alerts, ask

__all__ = ["Batch", "differing", "told"]

Replay = Callable[[Sequence[Any], Data, "Batch"], pl.DataFrame]


@dataclass(frozen=True)
class Batch:
    """Rules and data that are asked of both sides; *asked* are the rules as Prometheus reads them."""

    rules: Sequence[Any]
    asked: Sequence[Asked]
    data: Sequence[Data]
    start: datetime
    step: int
    ticks: int
    replay: Replay


def differing(batch: Batch) -> list[tuple[int, int, str]]:
    """The numbers of rule and data on which the two sides differ, and how."""
    got = ask(batch.asked, batch.data, step=batch.step, ticks=batch.ticks)
    found = []
    for number, data in enumerate(batch.data):
        theirs, ours = alerts(batch.asked, got[number], batch.ticks), _ours(batch, data)
        for rule, name in enumerate(_names(batch)):
            said = _difference([one for one in theirs if one.rule == name], [one for one in ours if one.rule == name])
            if said:
                found.append((rule, number, said))
    return found


def _names(batch: Batch) -> list[str]:
    return [one.fields.get("alert", "") for one in batch.asked]


def _ours(batch: Batch, data: Data) -> list[Alert]:
    frame = batch.replay(batch.rules, data, batch)

    def tick(moment: datetime | None) -> int | None:
        if moment is None:
            return None
        place, rest = divmod(moment - batch.start, timedelta(seconds=batch.step))
        assert not rest, moment
        return place

    found = []
    for row in frame.iter_rows(named=True):
        active = tick(row["active_at"])
        assert active is not None
        labels = tuple(sorted(json.loads(row["labels"]).items()))
        fired, ended = tick(row["fired_at"]), tick(row["ended_at"])
        assert (row["status"] == "fired") == (fired is not None)
        found.append(Alert(row["rule"], labels, active, fired, ended, row["value"], row["n"]))
    return found


def _difference(theirs: list[Alert], ours: list[Alert]) -> str:
    def key(alert: Alert) -> Any:
        return alert.labels, alert.active

    left, right = ({key(one): one for one in side} for side in (theirs, ours))
    assert len(right) == len(ours)
    lines = []
    for place in sorted({*left, *right}):
        one, other = left.get(place), right.get(place)
        if one is None or other is None or not _same(one, other):
            lines.append(f"Prometheus {one}\n  ciops_nb {other}")
    return "\n".join(lines)


def _same(one: Alert, other: Alert) -> bool:
    if replace(one, value=None) != replace(other, value=None):
        return False
    a, b = one.value, other.value
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b))


def told(batch: Batch, found: list[tuple[int, int, str]]) -> str:
    """How many differ, and of the first as few rules, series and samples as make a difference still."""
    (rule, data, said), others = found[0], [(f"rule {rule}", f"data {data}") for rule, data, _ in found[1:]]
    small = replace(batch, data=[batch.data[data]])

    def differs(rules: Sequence[Asked], series: Iterable[Series]) -> bool:
        chosen = [number for number, one in enumerate(batch.asked) if one in rules]
        return any(chosen[number] == rule for number, _, _ in differing(_only(small, chosen, Data(tuple(series)))))

    series = [*small.data[0].series]
    rules = _fewer([*batch.asked], lambda some: batch.asked[rule] in some and differs(some, series))
    series = _fewer(series, lambda some: differs(rules, some))
    for place, one in enumerate(series):

        def with_samples(samples: list[tuple[int, float | None]], place: int = place, one: Series = one) -> bool:
            return differs(rules, [*series[:place], replace(one, samples=tuple(samples)), *series[place + 1 :]])

        series[place] = replace(one, samples=tuple(_fewer(list(one.samples), with_samples)))
    chosen = [number for number, one in enumerate(batch.asked) if one in rules]
    small = _only(small, chosen, Data(tuple(series)))
    now = differing(small)
    return "\n".join(
        (
            f"{len(found)} of {sum(map(bool, _names(batch))) * len(batch.data)} pairs differ, first rule {rule} on data {data}:",
            f"a tick each {batch.step} s, {batch.ticks} of them from {batch.start}; series with a place a second",
            yaml.safe_dump([*small.rules], sort_keys=False, allow_unicode=True),
            *(json.dumps(one.fields, ensure_ascii=False) for one in small.asked),
            small.data[0].told(),
            now[-1][2] if now else said,
            f"others: {others}",
        )
    )


def _only(batch: Batch, chosen: list[int], data: Data) -> Batch:
    """*batch* with some rules and one of the data; rules keep their names."""
    return replace(batch, rules=[batch.rules[n] for n in chosen], asked=[batch.asked[n] for n in chosen], data=[data])


def _fewer(items: list[Any], differs: Callable[[list[Any]], bool]) -> list[Any]:
    """Leave out stretches of *items*, ever shorter ones, while it differs."""
    size = max(1, len(items) // 2)
    while True:
        place = 0
        while place < len(items):
            fewer = items[:place] + items[place + size :]
            if fewer and differs(fewer):
                items = fewer
            else:
                place += size
        if size == 1:
            return items
        size = max(1, size // 2)
