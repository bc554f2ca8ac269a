"""Alerts that are hushed while something else is on, as Prometheus' Alertmanager does it.

An alert that is hushed fires all the same, and hushes others all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.answer import EVIDENCE, SCHEMA
from ciops_nb.cep.conditions import Near
from ciops_nb.cep.fired import NEVER, Fired
from ciops_nb.cep.model import Inhibitor, Rule
from ciops_nb.cep.parts import held
from ciops_nb.cep.samples import Ints, Labels
from ciops_nb.cep.world import World
from ciops_nb.estate.times import at_micros
from ciops_nb.topology.csr import runs

__all__ = ["inhibited"]


@dataclass
class _Hushed:
    """When an alert was hushed, and by what."""

    stretches: list[tuple[int, int]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)

    def covers(self, begin: int, end: int) -> bool:
        for start, stop in sorted(self.stretches):
            if start > begin:
                return False
            begin = max(begin, stop)
        return begin >= end


def inhibited(rule: Rule, found: pl.DataFrame, fired: Mapping[str, Fired], world: World) -> pl.DataFrame:
    """*found*, with what hushed its alerts; ``suppressed`` are those that were hushed for as long as they fired.

    Args:
        rule: The rule that found them.
        found: Its alerts.
        fired: The alerts of the rules that its ``inhibit`` names.
        world: What the rule is judged by.
    """
    alerts = Fired.of([(rule, found)])
    hushed = [_Hushed() for _ in range(found.height)]
    # An alert at one moment lasts for that moment.
    ends = np.where(alerts.fired < NEVER, np.maximum(alerts.ended, alerts.fired + 1), alerts.ended)
    for one in rule.inhibit:
        if one.near is None:
            _by_labels(one, alerts, ends, fired[one.rule or ""], hushed)
        else:
            _by_topology(one, alerts, ends, world, hushed)
    return _shown(found, alerts, ends, hushed)


def _by_labels(by: Inhibitor, alerts: Fired, ends: Ints, sources: Fired, hushed: list[_Hushed]) -> None:
    def key(labels: Labels) -> Labels:
        return tuple(pair for pair in labels if pair[0] in by.equal)

    groups: dict[Labels, list[int]] = {}
    for number, labels in enumerate(sources.labels):
        groups.setdefault(key(labels), []).append(number)
    stops = np.where(sources.fired < NEVER, np.maximum(sources.ended, sources.fired + 1), sources.ended)
    for place in np.flatnonzero(alerts.fired < NEVER).tolist():
        begin, end = int(alerts.fired[place]), int(ends[place])
        group = np.array(groups.get(key(alerts.labels[place]), []), dtype=np.int64)
        for source in group[(sources.fired[group] < end) & (stops[group] > begin)].tolist():
            start = max(begin, int(sources.fired[source]))
            value = float(sources.value[source])
            hushed[place].stretches.append((start, int(stops[source])))
            hushed[place].records.append(
                {
                    "record_id": sources.rule,
                    "ts": start,
                    "ci_code": sources.ci[source],
                    "value": None if np.isnan(value) else value,
                }
            )


def _by_topology(by: Inhibitor, alerts: Fired, ends: Ints, world: World, hushed: list[_Hushed]) -> None:
    assert by.near is not None
    part, grid = Near(near=by.near).part(world), world.grid
    rows = {dict(labels)["ci"]: row for row, labels in enumerate(part.labels)}
    series, ticks, _ = held(part, grid)
    keys = series * grid.count + ticks
    asked: list[tuple[int, int, int]] = []  # the alert, the series, and the first tick of a stretch
    for place in np.flatnonzero(alerts.fired < NEVER).tolist():
        row = rows.get(alerts.ci[place] or "")
        if row is None:
            continue
        # What lies between ticks is judged by the tick before.
        first = (int(alerts.fired[place]) - grid.start) // grid.step
        after = min(-((grid.start - int(ends[place])) // grid.step), grid.count)
        low, high = np.searchsorted(keys, row * grid.count + np.array([max(first, 0), max(after, 0)]))
        some = ticks[low:high]
        starts, lengths = runs(some - np.arange(len(some)))
        for start, length in zip(some[starts].tolist(), lengths.tolist(), strict=True):
            last = start + length
            stop = NEVER if last == grid.count else grid.start + grid.step * last
            hushed[place].stretches.append((grid.start + grid.step * start, stop))
            asked.append((place, row, start))
    if not asked:
        return
    found = part.sources(*(np.array([one[n] for one in asked], dtype=np.int64) for n in (1, 2)))
    for (place, _, tick), sources in zip(asked, found, strict=True):
        at = max(int(alerts.fired[place]), grid.start + grid.step * tick)
        hushed[place].records += [source | {"ts": at} for source in sources]


def _shown(found: pl.DataFrame, alerts: Fired, ends: Ints, hushed: list[_Hushed]) -> pl.DataFrame:
    status, evidence = found["status"].to_list(), found["evidence"].to_list()
    for place, one in enumerate(hushed):
        if one.stretches and one.covers(int(alerts.fired[place]), int(ends[place])):
            status[place] = "suppressed"
        evidence[place] = [*evidence[place], *(_record(record) for record in sorted(one.records, key=_order))]
    return found.with_columns(
        status=pl.Series(status, dtype=pl.String), evidence=pl.Series(evidence, dtype=SCHEMA["evidence"])
    )


def _order(record: dict[str, Any]) -> Any:
    return record["ts"], record.get("record_id") or "", record.get("ci_code") or ""


def _record(record: dict[str, Any]) -> dict[str, Any]:
    empty = dict.fromkeys(each.name for each in EVIDENCE.fields)
    return empty | record | {"step": "inhibited", "ts": at_micros(record["ts"])}
