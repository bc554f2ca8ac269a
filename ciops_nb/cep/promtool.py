"""A replay as a unit test for ``promtool test rules``: the samples it saw, and the alerts that it found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.answer import SCHEMA
from ciops_nb.cep.conditions import Condition, Promql
from ciops_nb.cep.export import as_yaml, duration, number, quoted, series_name, to_prometheus
from ciops_nb.cep.frames import metric_rows
from ciops_nb.cep.model import Rule
from ciops_nb.cep.prometheus import LABEL_NAME
from ciops_nb.cep.reading import load
from ciops_nb.cep.replay import LOOKBACK
from ciops_nb.errors import BadParameter, BadRule
from ciops_nb.estate.times import format_time, micros, micros_of, parse_duration, parse_time, parse_zone

__all__ = ["to_promtool_test"]

_NOT_LABELS = ("ts", "metric", "value", "stale")
_MOST_PLACES = 20_000_000  # promtool keeps one for each step of each series, sample or not: 16 bytes
_MILLI = 1000


@dataclass(frozen=True)
class _Ticks:
    first: datetime
    step: timedelta
    last: int

    def number(self, moment: datetime | None) -> int:
        """The tick at *moment*; of an alert that was on at the last one, the one after it."""
        if moment is None:
            return self.last + 1
        place, rest = divmod(moment - self.first, self.step)
        if rest or not 0 <= place <= self.last:
            raise BadParameter(
                "found", format_time(moment), "is not a tick of start, end and every", "Give the replay's own"
            )
        return place

    def at(self, tick: int) -> str:
        return duration(tick * self.step, "every")


def to_promtool_test(
    rules: Any,
    found: Any,
    *,
    metrics: Any,
    start: Any,
    end: Any,
    every: Any = "1m",
    tz: str = "UTC",
    rule_file: str = "rules.yml",
) -> str:
    """The alerts of a replay as a test file for ``promtool test rules``.

    Around each change of an alert, and at the first and the last tick, the test expects of each rule the pending and
    the firing alerts that the replay found there; at the end, that each was so for as many ticks, and that is all.
    Before version 3 windows of Prometheus held samples on their left edge: such samples make a difference there.

    Args:
        rules: The rules that were replayed; ``to_prometheus`` writes them into *rule_file*.
        found: What ``replay`` gave for them.
        metrics: The frame that was replayed. Prometheus' test begins at *start*: no rule may see a sample before it.
        start, end, every, tz: As they were for the replay, whose look-back was that of Prometheus, 5 minutes.
        rule_file: The path of the rule file, as seen from the test file.

    Returns:
        YAML.

    Raises:
        BadRule: the rules cannot be said in Prometheus' words, or are not all evaluated equally often.
        BadParameter: samples or alerts cannot be told to promtool.
    """
    read = load(rules)
    to_prometheus(read)  # what it refuses cannot be tested
    steps = {rule.every or parse_duration(every) for rule in read}
    if len(steps) > 1:
        raise BadRule("rules", "are not all evaluated equally often, as a test is", "Write a test for each 'every'")
    zone = parse_zone(tz)
    first, last = (parse_time(moment, tz=zone, name=name) for name, moment in (("start", start), ("end", end)))
    step = steps.pop()
    ticks = _Ticks(first, step, (last - first) // step)
    tests = {
        **_input(read, metric_rows(metrics, zone), first, first + ticks.last * step),
        **_expected(read, _alerts(found, read), ticks),
    }
    every_step = duration(step, "every")
    return as_yaml({"rule_files": [rule_file], "evaluation_interval": every_step, "tests": [tests]})


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _input(rules: list[Rule], rows: pl.DataFrame, first: datetime, last: datetime) -> dict[str, Any]:
    start = micros(first)
    used = rows.filter(pl.col("ts") <= micros(last))
    reads = [(rule, read) for rule in rules for read in rule.reads()]
    if all(read.metric is not None for _, read in reads):
        used = used.filter(pl.col("metric").is_in({read.metric for _, read in reads}))
    for rule, read in reads:
        if read.ahead:
            raise BadRule(f"rule {rule.id!r}", "looks ahead of its ticks", "promtool knows no later samples")
        reach = (read.back or timedelta(0)) + read.offset
        if read.back is None or _in_promql(rule.when):
            reach += LOOKBACK  # how far an expression looks back is told without what an instant sees
        same = pl.lit(True) if read.metric is None else pl.col("metric") == read.metric
        early = used.filter(same, pl.col("ts") < start)["ts"].to_list()
        seen = [ts for ts in early if ts > start - micros_of(reach)]
        if seen:
            moment = format_time(first - timedelta(microseconds=start - min(seen)))
            raise BadParameter(
                "metrics", moment, f"is before the start {format_time(first)} and seen by a rule",
                "Begin at the first sample: promtool has none before its start",
            )  # fmt: skip
    labels = [name for name in rows.columns if name not in _NOT_LABELS]
    for name in labels:
        if not LABEL_NAME.fullmatch(name) or name == "__name__":
            raise BadParameter("metrics", name, "is not a name for a label in Prometheus", "Rename the column")
    kept = used.filter(pl.col("ts") >= start).unique(["metric", "ts", *labels], keep="last", maintain_order=True)
    kept = kept.with_columns(pl.col("ts") - start).sort("metric", *labels, "ts")
    interval = int(np.gcd.reduce(kept["ts"].to_numpy())) if kept.height else 0
    interval = interval or 60_000_000
    if interval % _MILLI:
        raise BadParameter("metrics", "ts", "has times finer than a millisecond", "Round them: Prometheus does")
    series = kept.partition_by("metric", *labels, maintain_order=True)
    places = sum(one["ts"][-1] // interval + 1 for one in series)
    if places > _MOST_PLACES:
        raise BadParameter(
            "metrics", f"a sample each {interval / 1e6:g} s", f"makes {places:,} places for promtool",
            "Round the times, or test a shorter range",
        )  # fmt: skip
    told = [{"series": _series(one, labels), "values": _values(one, interval)} for one in series]
    return {"interval": duration(timedelta(microseconds=interval), "metrics"), "input_series": told}


def _in_promql(condition: Condition | None) -> bool:
    return isinstance(condition, Promql) or any(_in_promql(inner) for inner in (condition.inner() if condition else ()))


def _series(one: pl.DataFrame, labels: list[str]) -> str:
    row = one.row(0, named=True)
    return series_name(row["metric"], [f"{name}={quoted(row[name])}" for name in labels if row[name]])


def _values(one: pl.DataFrame, interval: int) -> str:
    words, place = [], 0
    for ts, value, stale in zip(one["ts"].to_list(), one["value"].to_list(), one["stale"].to_list(), strict=True):
        if (missing := ts // interval - place) > 0:
            words.append(f"_x{missing}")
        words.append("stale" if stale else number(value))
        place = ts // interval + 1
    return " ".join(words)


# ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _alerts(found: Any, rules: list[Rule]) -> dict[str | None, list[dict[str, Any]]]:
    if not isinstance(found, pl.DataFrame):
        found = pl.from_pandas(found)
    missing = [name for name in SCHEMA if name not in found.columns and name not in ("ci", "match", "evidence")]
    if missing:
        raise BadParameter("found", found.columns, f"has no column {missing[0]!r}", "Give what replay returned")
    by_rule: dict[str | None, list[dict[str, Any]]] = {rule.id: [] for rule in rules}
    for row in found.select("rule", "labels", "active_at", "fired_at", "ended_at").iter_rows(named=True):
        if row["rule"] not in by_rule:
            raise BadParameter("found", row["rule"], "is not one of the rules", "Give the rules that were replayed")
        by_rule[row["rule"]].append(row)
    return by_rule


def _expected(rules: list[Rule], found: dict[str | None, list[dict[str, Any]]], ticks: _Ticks) -> dict[str, Any]:
    alerts, samples = [], []
    for rule in rules:
        if rule.record is not None:
            continue
        runs = [_Run.of(row, ticks) for row in found[rule.id]]
        changes = {0, ticks.last, *(tick for run in runs for tick in run.changes())}
        for tick in sorted(change for change in changes if 0 <= change <= ticks.last):
            at = ticks.at(tick)
            firing = [{"exp_labels": run.labels} for run in runs if run.fired <= tick < run.ended]
            alerts.append({"eval_time": at, "alertname": rule.id, "exp_alerts": firing})
            waits = [(run.series(rule, "pending", "ALERTS"), 1) for run in runs if run.active <= tick < run.waited]
            samples.append(_asked(series_name("ALERTS", [*_own(rule), 'alertstate="pending"']), at, waits))
        counts: dict[str, int] = {}
        for run in runs:
            for state, count in (("pending", run.waited - run.active), ("firing", run.ended - run.fired)):
                if count > 0:
                    series = run.series(rule, state, "")
                    counts[series] = counts.get(series, 0) + count
        whole = duration(ticks.last * ticks.step + timedelta(milliseconds=1), "every")
        counted = f"count_over_time({series_name('ALERTS', _own(rule))}[{whole}])"
        samples.append(_asked(counted, ticks.at(ticks.last), [*counts.items()]))
    return {"alert_rule_test": alerts, "promql_expr_test": samples}


def _own(rule: Rule) -> list[str]:
    return [f"alertname={quoted(rule.id or '')}"]


def _asked(expr: str, at: str, expected: list[tuple[str, int]]) -> dict[str, Any]:
    samples = [{"labels": series, "value": value} for series, value in expected]
    return {"expr": expr, "eval_time": at, "exp_samples": samples}


@dataclass(frozen=True)
class _Run:
    labels: dict[str, str]
    active: int
    fired: int
    ended: int

    @classmethod
    def of(cls, row: dict[str, Any], ticks: _Ticks) -> _Run:
        active, fired, ended = (ticks.number(row[name]) for name in ("active_at", "fired_at", "ended_at"))
        return cls({name: text for name, text in json.loads(row["labels"]).items() if text}, active, fired, ended)

    @property
    def waited(self) -> int:
        """The first tick at which it was no longer pending."""
        return min(self.fired, self.ended)

    def changes(self) -> Iterator[int]:
        for tick in (self.active, self.fired, self.ended):
            yield from (tick - 1, tick)

    def series(self, rule: Rule, state: str, metric: str) -> str:
        told = sorted({**self.labels, "alertname": rule.id or "", "alertstate": state}.items())
        return metric + "{" + ", ".join(f"{name}={quoted(text)}" for name, text in told) + "}"
