"""Rules that record, and rules that read what was recorded, as a group of Prometheus runs them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadRule

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def minutes(*values: float | None, ci: str = "a") -> pl.DataFrame:
    """A sample of ``cpu`` a minute; None is the marker that the series ended."""
    return pl.DataFrame(
        {
            "ts": [T0 + timedelta(minutes=minute) for minute in range(len(values))],
            "metric": "cpu",
            "ci": ci,
            "value": pl.Series(values, dtype=pl.Float64),
            "stale": [value is None for value in values],
        }
    )


def active(rules: list[dict[str, Any]], metrics: pl.DataFrame, last: int) -> list[tuple[str, int, int | None]]:
    found = replay(load(rules, format="prometheus"), metrics=metrics, start=T0, end=T0 + timedelta(minutes=last))
    return [
        (rule, *(None if at is None else (at - T0) // timedelta(minutes=1) for at in (active, ended)))
        for rule, active, ended in found.select("rule", "active_at", "ended_at").iter_rows()
    ]  # fmt: skip


def recording(name: str, expr: str, **labels: str) -> dict[str, Any]:
    return {"record": name, "expr": expr, "labels": labels}


def test_a_later_rule_sees_what_was_recorded_at_its_tick_and_an_earlier_one_a_tick_later() -> None:
    rules = [
        {"alert": "Before", "expr": "twice > 100"},
        recording("twice", "2 * cpu"),
        {"alert": "After", "expr": "twice > 100"},
    ]

    assert active(rules, minutes(10, 60, 60, 10, 10), 4) == [("Before", 2, 4), ("After", 1, 3)]


def test_the_windows_of_an_earlier_rule_hold_one_sample_less() -> None:
    rules = [{"alert": "Before", "expr": "count_over_time(same[3m]) >= 3"}, recording("same", "cpu")]
    rules += [{"alert": "After", "expr": "count_over_time(same[3m]) >= 3"}]

    # A tick sees the samples of three minutes; those of the earlier rule end a minute ago.
    assert active(rules, minutes(*[1] * 6), 5) == [("After", 2, None)]


def test_a_series_that_is_recorded_no_more_has_ended_at_once() -> None:
    rules = [recording("high", "cpu > 50"), {"alert": "High", "expr": "high"}]

    assert active(rules, minutes(60, 60, 10, 60, 60), 4) == [("High", 0, 2), ("High", 3, None)]


def test_recorded_samples_carry_the_labels_of_the_rule() -> None:
    rules = [
        recording("level", "max by (ci) (cpu)", env="prod", ci=""),
        {"alert": "High", "expr": 'level{env="prod"} > 50', "labels": {"of": "{{ $labels.env }}/{{ $labels.ci }}"}},
    ]
    found = replay(load(rules, format="prometheus"), metrics=minutes(60), start=T0, end=T0)

    assert found["labels"].to_list() == ['{"env": "prod", "of": "prod/"}']


def test_series_that_come_to_the_same_labels_may_take_turns_only() -> None:
    rules = [recording("level", "cpu", ci="x"), {"alert": "There", "expr": "level"}]
    first, second = minutes(1, None), minutes(*[2] * 6, ci="b")

    turns = pl.concat([first, second.with_columns(pl.col("ts") + timedelta(minutes=1))])
    assert active(rules, turns, 4) == [("There", 0, None)]
    with pytest.raises(BadRule, match="make different series the same"):
        active(rules, pl.concat([first, second]), 4)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([recording("a", "a + 1")], "reads what it records itself: 'a' reads 'a'"),
        ([recording("a", "b"), recording("b", "a")], "'a' reads 'b' reads 'a'"),
        ([recording("a", '{ci="x"}')], "reads what it records itself"),
        ([recording("cpu", "cpu * 1 == 60")], "reads what it records itself"),
        ([recording("cpu", "vector(1)", ci="a"), {"alert": "x", "expr": "cpu"}], 'there is a series {"ci": "a"} already'),
        ([{"alert": "x", "expr": "cpu >"}], "rules, rule 1 'x', promql 'cpu >': is not an expression"),
        ([{"alert": "x", "expr": "histogram_avg(cpu)"}], "the function 'histogram_avg' is not evaluated here"),
        ({"name": "g", "limit": "3", "rules": [{"alert": "x", "expr": "cpu"}]}, "'limit' is not supported"),
        ({"name": "g", "query_offset": "1m", "rules": [{"alert": "x", "expr": "cpu"}]}, "'query_offset' is not supported"),
    ],
)  # fmt: skip
def test_what_prometheus_would_not_do_is_refused(rules: Any, said: str) -> None:
    with pytest.raises(BadRule) as raised:
        active(rules, minutes(60), 4)

    assert said in str(raised.value)


def test_rules_of_ours_see_what_was_recorded_and_prometheus_rules_keep_their_names() -> None:
    recorder, twin = load([recording("twice", "2 * cpu"), {"alert": "twin", "expr": "cpu"}], format="prometheus")
    ours = load({"id": "ours", "when": {"metric": "twice", "op": ">", "value": 100}})
    found = replay([recorder, twin, *ours, twin], metrics=minutes(60), start=T0, end=T0)

    assert found["rule"].to_list() == ["twin", "ours", "twin"]


def test_the_interval_of_a_group_is_how_often_it_runs() -> None:
    group = {"name": "g", "interval": "2m", "rules": [{"alert": "High", "expr": "cpu > 50"}]}
    (rule,) = load(group, format="prometheus")

    assert rule.every == timedelta(minutes=2)
    assert active(group, minutes(10, 60, 10, 60, 60), 4) == [("High", 4, None)]  # type: ignore[arg-type]
