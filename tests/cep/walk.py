"""Conditions walked in plain Python and networkx, a tick at a time: what the replay is compared with.

What a condition gives at a tick is a dict from (labels, on) to a value: *on* are the labels by which it meets others,
None where that is all of them.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import networkx as nx
import polars as pl

from tests.cep.test_replay import COMPARE, LOOKBACK, T0, Sample, seconds, slow_states

Row = tuple[tuple[tuple[str, str], ...], tuple[str, ...] | None]
Relation = tuple[str, str, str, int | None, int | None]  # src, dst, rel, valid from, valid to: seconds since T0


class Walk:
    """A small world: series of metrics by (metric, labels), and relations in time."""

    def __init__(self, series: dict[tuple[str, Any], list[Sample]], relations: list[Relation]) -> None:
        self.series, self.relations = series, relations

    def graph(self, tick: float, types: Any = None) -> nx.DiGraph:
        found = nx.DiGraph()
        for src, dst, rel, begin, end in self.relations:
            if (begin is None or begin <= tick) and (end is None or tick < end) and (types is None or rel in types):
                found.add_edge(src, dst)
        return found

    def near(self, tick: float, ci: str, how: dict[str, Any]) -> dict[str, int]:
        """The CIs near *ci* and their hops."""
        graph = self.graph(tick, how.get("relations"))
        if ci not in graph:
            return {}
        walked = {"upstream": graph, "downstream": graph.reverse(), "either": graph.to_undirected()}[how["is"]]
        hops = nx.single_source_shortest_path_length(walked, ci, cutoff=how.get("hops", 1))
        return {other: away for other, away in hops.items() if other != ci}

    def cis(self) -> list[str]:
        return sorted({ci for src, dst, *_ in self.relations for ci in (src, dst)})

    def values(self, metric: str, tick: int) -> dict[Row, float]:
        found: dict[Row, float] = {}
        for (name, labels), samples in self.series.items():
            seen = [sample for sample in samples if tick - LOOKBACK < sample[0] <= tick]
            if name == metric and seen and not seen[-1][2]:
                found[(labels, None)] = seen[-1][1]
        return found

    def at(self, when: dict[str, Any], tick: int) -> dict[Row, float]:
        """What holds at *tick*."""
        (kind,) = [kind for kind in ("metric", "near", "all", "any", "at_least", "share", "count_of") if kind in when]
        found: dict[Row, float] = getattr(self, f"_{kind}")(when, tick)
        return found

    def _metric(self, when: dict[str, Any], tick: int) -> dict[Row, float]:
        values = self.values(when["metric"], tick)
        return {row: value for row, value in values.items() if COMPARE[when["op"]](value, when["value"])}

    def _near(self, when: dict[str, Any], tick: int) -> dict[Row, float]:
        inner = self.at(when["near"]["of"], tick)
        found: dict[Row, float] = {}
        for ci in self.cis():
            near = self.near(tick, ci, when["near"])
            held = [
                (near[dict(labels)["ci"]], dict(labels)["ci"], labels, value)
                for (labels, _), value in inner.items()
                if dict(labels).get("ci") in near
            ]
            if held:
                found[((("ci", ci),), ("ci",))] = min(held, key=lambda one: one[:3])[3]
        return found

    def _all(self, when: dict[str, Any], tick: int) -> dict[Row, float]:
        said = [self.at(part, tick) for part in when["all"] if "not" not in part]
        narrow = [
            all(on is not None for _, on in rows) and is_narrow(part)
            for part, rows in zip((part for part in when["all"] if "not" not in part), said, strict=True)
        ]
        first, *others = [rows for _, rows in sorted(zip(narrow, said, strict=True), key=lambda one: one[0])]
        denied = [self.at(part["not"], tick) for part in when["all"] if "not" in part]
        return {
            row: value
            for row, value in first.items()
            if all(any(meet(row, other) for other in rows) for rows in others)
            and not any(meet(row, other) for rows in denied for other in rows)
        }

    def _any(self, when: dict[str, Any], tick: int) -> dict[Row, float]:
        found: dict[Row, float] = {}
        for part in when["any"]:
            found = found | {row: value for row, value in self.at(part, tick).items() if row not in found}
        return found

    def _at_least(self, when: dict[str, Any], tick: int) -> dict[Row, float]:
        said = [self.at(part, tick) for part in when["at_least"]["of"]]
        every = list(dict.fromkeys(row for part in when["at_least"]["of"] for row in self.known(part)))
        whole = [row for row in every if row[1] is None]
        narrow = [row for row in every if row[1] is not None and not any(meet(one, row) for one in whole)]
        found: dict[Row, float] = {}
        for row in [*whole, *narrow]:
            count = sum(any(meet(row, other) for other in rows) for rows in said)
            if count >= when["at_least"]["n"]:
                found[row] = count
        return found

    def known(self, when: dict[str, Any]) -> list[Row]:
        """The rows that a condition has at some tick, or might have."""
        if "metric" in when:
            return sorted((labels, None) for name, labels in self.series if name == when["metric"])
        return [((("ci", ci),), ("ci",)) for ci in self.cis()]

    def _share(self, when: dict[str, Any], tick: int) -> dict[Row, float]:
        return self._compared(when, self._counts(when["share"], tick, share=True))

    def _count_of(self, when: dict[str, Any], tick: int) -> dict[Row, float]:
        return self._compared(when, self._counts(when["count_of"], tick, share=False))

    def _compared(self, when: dict[str, Any], values: dict[Row, float]) -> dict[Row, float]:
        return {row: value for row, value in values.items() if COMPARE[when["op"]](value, when["value"])}

    def _counts(self, group: dict[str, Any], tick: int, *, share: bool) -> dict[Row, float]:
        met = self.at(group["of"], tick)
        if "is" in group:
            holds = {dict(labels).get("ci") for labels, _ in met}
            return {
                ((("ci", ci),), ("ci",)): len(holds & {*near}) / (len(near) if share else 1)
                for ci in self.cis()
                if (near := self.near(tick, ci, group))
            }
        by, each = tuple(group.get("by", ())), group.get("each")

        def counted(rows: Any) -> dict[Any, set[Any]]:
            found: dict[Any, set[Any]] = {}
            for labels, _ in rows:
                key = tuple(pair for pair in labels if pair[0] in by)
                unit = tuple(pair for pair in labels if each is None or pair[0] in each)
                found.setdefault(key, set()).add(unit)
            return found

        held = counted(met)
        if share:
            there = counted(self.values(group["of"]["metric"], tick))
            return {(key, by): len(held.get(key, ())) / len(units) for key, units in there.items()}
        every = {**counted(self.known(group["of"])), **({} if by else {(): set()})}
        return {(key, by): len(held.get(key, ())) for key in every}

    def replayed(self, rule: dict[str, Any], end: int, step: int) -> list[tuple[Any, ...]]:
        """labels, then when it was active, fired and ended, value and n."""
        held = [self.at(rule["when"], tick) for tick in range(0, end + 1, step)]
        rows = []
        for labels in sorted({labels for one in held for labels, _ in one}):
            values = [next((v for (other, _), v in one.items() if other == labels), None) for one in held]
            for alert in slow_states(values, length(rule.get("for")), 0, step):
                rows.append((labels, *(alert[name] for name in ("active", "fired", "ended", "value", "n"))))
        return sorted(rows, key=lambda row: (row[1], dict(row[0]).get("ci", ""), row[0]))

    def metrics(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {"ts": seconds(ts), "metric": metric, **dict(labels), "value": None if stale else value, "stale": stale}
                for (metric, labels), samples in self.series.items()
                for ts, value, stale in samples
            ],
            infer_schema_length=None,
            schema_overrides={"value": pl.Float64},
        )

    def related(self) -> pl.DataFrame:
        def moment(second: int | None) -> datetime | None:
            return None if second is None else T0 + timedelta(seconds=second)

        rows = [(src, dst, rel, moment(begin), moment(end)) for src, dst, rel, begin, end in self.relations]
        times = dict.fromkeys(("valid_from", "valid_to"), pl.Datetime("us", "UTC"))
        schema = {**dict.fromkeys(("src", "dst", "rel"), pl.String), **times}
        return pl.DataFrame(rows, schema=schema, orient="row")


def length(text: str | None) -> int:
    return int(text.removesuffix("s")) if text else 0


def is_narrow(when: dict[str, Any]) -> bool:
    """Whether all that it gives is said of a CI or a group."""
    if "any" in when:
        return all(map(is_narrow, when["any"]))
    if "all" in when:
        return all(is_narrow(part) for part in when["all"] if "not" not in part)
    return "metric" not in when


def meet(one: Row, other: Row) -> bool:
    (ours, by), (theirs, on) = one, other
    if by is None and on is None:
        return ours == theirs
    names = set(by or on or ()) & set(on if on is not None else by or ())
    return all(dict(ours).get(name) == dict(theirs).get(name) for name in names)


def small_world(chance: random.Random, minutes: int = 30) -> Walk:
    """A few CIs with cycles, relations that come and go, series with gaps, NaN and several labels."""
    cis = [f"c{n}" for n in range(chance.randint(2, 8))]
    relations: list[Relation] = []
    for _ in range(chance.randint(0, 14)):
        begin = chance.choice([None, chance.randint(0, minutes * 60)])
        end = chance.choice([None, (begin or 0) + chance.choice([60, 300, 600])])
        relations.append((chance.choice(cis), chance.choice(cis), chance.choice(["calls", "runs_on"]), begin, end))
    if {rel for _, _, rel, *_ in relations} < {"calls", "runs_on"}:  # rules may name both
        relations += [("c0", "c1", "calls", None, None), ("c1", "c0", "runs_on", 300, 900)]
    series: dict[tuple[str, Any], list[Sample]] = {}
    for metric in ("cpu", "err"):
        for ci in [*cis, "alone"]:
            for disk in chance.choice([("",), ("a",), ("a", "b"), ()]):
                labels = tuple(sorted({"ci": ci, "disk": disk}.items())) if disk else (("ci", ci),)
                series[(metric, labels)] = _samples(chance, minutes)
    return Walk(series, relations)


def _samples(chance: random.Random, minutes: int) -> list[Sample]:
    found: list[Sample] = []
    now, value = chance.randint(-300, 200), 1.0
    while now < minutes * 60:
        if chance.random() < 0.3:
            value = chance.choice([1.0, 2.0, 3.0, 9.0, float("nan")])
        found.append((now, value, chance.random() < 0.05))
        now += chance.choice([30, 60, 60, 60, 60, 420])
    return found
