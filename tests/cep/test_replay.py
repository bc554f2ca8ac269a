"""Replays against a slow evaluator that walks tick by tick in plain Python, and the edges of what replay is given."""

from __future__ import annotations

import itertools
import json
import math
import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.cep import Rule, load, replay
from ciops_nb.errors import BadParameter, BadRule, BadTimeRange

T0 = datetime(2026, 3, 1, tzinfo=UTC)
LOOKBACK = 300

Sample = tuple[int, float, bool]  # seconds since T0, value, stale


def seconds(number: float) -> datetime:
    return T0 + timedelta(seconds=number)


def frame(series: dict[str, list[Sample]], metric: str = "cpu") -> pl.DataFrame:
    rows = [
        {"ts": seconds(ts), "metric": metric, "ci": ci, "value": None if stale else value, "stale": stale}
        for ci, samples in series.items()
        for ts, value, stale in samples
    ]
    return pl.DataFrame(
        rows,
        schema={
            "ts": pl.Datetime("us", "UTC"),
            "metric": pl.String,
            "ci": pl.String,
            "value": pl.Float64,
            "stale": pl.Boolean,
        },
    )


# ── the slow evaluator ──────────────────────────────────────────────────────────────────────────────────────────────


def slow_value(samples: list[Sample], tick: int, agg: str | None, over: int, offset: int) -> float | None:
    at = tick - offset
    if agg is None:
        seen = [sample for sample in samples if at - LOOKBACK < sample[0] <= at]
        return seen[-1][1] if seen and not seen[-1][2] else None
    window = [(ts, value) for ts, value, stale in samples if at - over < ts <= at and not stale]
    return slow_aggregate(agg, window, at - over, at) if window else None


def slow_aggregate(agg: str, window: list[tuple[int, float]], start: int, end: int) -> float | None:
    values = [value for _, value in window]
    if agg in ("rate", "increase"):
        return slow_increase(window, start, end, agg == "rate")
    if agg == "count":
        return float(len(values))
    if agg == "last":
        return values[-1]
    if agg in ("min", "max"):
        real = [value for value in values if value == value]
        return (min(real) if agg == "min" else max(real)) if real else math.nan
    if agg.startswith("p"):
        ordered = sorted(values, key=lambda value: (value == value, value if value == value else 0))  # NaN before all
        rank = float(agg[1:]) / 100 * (len(values) - 1)
        low = math.floor(rank)
        high = min(low + 1, len(values) - 1)
        return ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)
    if any(value != value for value in values):
        return math.nan
    infinite = {value for value in values if math.isinf(value)}
    if infinite:
        return infinite.pop() if len(infinite) == 1 and agg != "stddev" else math.nan
    total = sum(map(Fraction, values))
    if agg == "sum":
        return float(total)
    mean = total / len(values)
    if agg == "avg":
        return float(mean)
    return math.sqrt(sum((Fraction(value) - mean) ** 2 for value in values) / len(values))


def slow_increase(window: list[tuple[int, float]], start: int, end: int, per_second: bool) -> float | None:
    if len(window) < 2:
        return None
    grown = window[-1][1] - window[0][1]
    for (_, before), (_, now) in itertools.pairwise(window):
        if now < before:
            grown += before
    to_start, to_end = window[0][0] - start, end - window[-1][0]
    sampled = window[-1][0] - window[0][0]
    between = sampled / (len(window) - 1)
    if grown > 0 and window[0][1] >= 0:
        to_start = min(to_start, sampled * (window[0][1] / grown))
    reach = sampled
    reach += to_start if to_start < between * 1.1 else between / 2
    reach += to_end if to_end < between * 1.1 else between / 2
    return grown * (reach / sampled / (end - start) if per_second else reach / sampled)


COMPARE = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def slow_states(held: list[float | None], hold: int, keep: int, step: int) -> list[dict[str, Any]]:
    """Prometheus' states for one series, given its value at each tick at which the condition held."""
    found: list[dict[str, Any]] = []
    alert: dict[str, Any] | None = None
    for number, value in enumerate(held):
        now = number * step
        if value is None:
            if alert is None:
                continue
            if alert["fired"] is not None:
                if alert["since"] is None:
                    alert["since"] = now
                if now - alert["since"] < keep:
                    continue
            alert["ended"] = now
            found.append(alert)
            alert = None
            continue
        if alert is None:
            alert = {"active": now, "fired": None, "ended": None, "value": None, "n": 0, "since": None}
        alert["since"] = None
        alert["n"] += 1
        if alert["fired"] is None and now - alert["active"] >= hold:
            alert["fired"], alert["value"] = now, value
    return found if alert is None else [*found, alert]


def slow_replay(rule: dict[str, Any], series: dict[str, list[Sample]], end: int, step: int) -> list[tuple[Any, ...]]:
    when = rule["when"]
    rows = []
    for ci, samples in series.items():
        held: list[float | None] = []
        for tick in range(0, end + 1, step):
            value = slow_value(samples, tick, when.get("agg"), length(when.get("over")), length(when.get("offset")))
            holds = value is not None and COMPARE[when["op"]](value, when["value"])
            held.append(value if holds else None)
        for alert in slow_states(held, length(rule.get("for")), length(rule.get("keep_firing_for")), step):
            rows.append((ci, *(alert[name] for name in ("active", "fired", "ended", "value", "n"))))
    return sorted(rows, key=lambda row: (row[1], row[0]))


def length(text: str | None) -> int:
    return int(text.removesuffix("s")) if text else 0


def fast(rule: dict[str, Any], series: dict[str, list[Sample]], end: int, step: int) -> list[tuple[Any, ...]]:
    found = replay(rule, metrics=frame(series), start=T0, end=seconds(end), every=f"{step}s")

    def since(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - T0).total_seconds()

    return [
        (row["ci"], since(row["active_at"]), since(row["fired_at"]), since(row["ended_at"]), row["value"], row["n"])
        for row in found.iter_rows(named=True)
    ]


def same(expected: list[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> bool:
    def close(a: Any, b: Any) -> bool:
        if a is None or b is None or isinstance(a, str):
            return bool(a == b)
        return (a != a and b != b) or a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)

    return len(expected) == len(found) and all(
        close(a, b) for one, other in zip(expected, found, strict=True) for a, b in zip(one, other, strict=True)
    )


@st.composite
def samples_of(draw: st.DrawFn, values: st.SearchStrategy[float]) -> list[Sample]:
    """Irregular samples with gaps, markers of the end of a series, and times on ticks and edges of windows."""
    found, now = [], draw(st.integers(-400, 300))
    for _ in range(draw(st.integers(0, 40))):
        stale = draw(st.integers(0, 11)) == 0
        found.append((now, math.nan if stale else draw(values), stale))
        now += draw(st.sampled_from([1, 7, 30, 30, 60, 60, 60, 61, 120, 299, 300, 301, 400]))
    return found


LENGTHS = st.sampled_from(["0s", "30s", "60s", "90s", "120s", "300s"])
GAUGES = st.sampled_from([0.1, 0.1, 0.3, 1.0, 2.0, 2.0, 90.0, -3.0, 1e12, math.nan, math.inf, -math.inf])
COUNTERS = st.sampled_from([0.0, 1.0, 2.0, 5.0, 5.0, 10.0, 30.0, 100.0, math.nan])
AGGREGATES = ["count", "min", "max", "sum", "avg", "last", "p0", "p50", "p90", "p100"]


@settings(max_examples=250, deadline=None, derandomize=True)
@given(data=st.data())
@pytest.mark.parametrize("agg", [None, *AGGREGATES])
def test_gauge_rules_fire_as_a_walk_from_tick_to_tick_says(agg: str | None, data: st.DataObject) -> None:
    series = {ci: data.draw(samples_of(GAUGES)) for ci in ("a", "b")}
    when: dict[str, Any] = {"metric": "cpu", "op": data.draw(st.sampled_from(sorted(COMPARE)))}
    when["value"] = data.draw(st.sampled_from([0.1, 0.3, 1.0, 2.0, 3.0, 90.0]))
    if agg is not None:
        when |= {"agg": agg, "over": data.draw(st.sampled_from(["30s", "60s", "90s", "300s", "900s"]))}
    if data.draw(st.booleans()):
        when["offset"] = data.draw(st.sampled_from(["45s", "600s"]))
    rule = {"when": when, "for": data.draw(LENGTHS), "keep_firing_for": data.draw(LENGTHS)}
    step = data.draw(st.sampled_from([30, 60, 90]))

    assert same(slow_replay(rule, series, 2400, step), fast(rule, series, 2400, step))


@settings(max_examples=250, deadline=None, derandomize=True)
@given(data=st.data())
@pytest.mark.parametrize("agg", ["rate", "increase", "stddev"])
def test_counter_rules_fire_as_a_walk_from_tick_to_tick_says(agg: str, data: st.DataObject) -> None:
    series = {ci: data.draw(samples_of(COUNTERS)) for ci in ("a", "b")}
    # Thresholds that no result of these values meets to the last bit: rounding decides nothing.
    limit = data.draw(st.sampled_from([0.00137, 0.0237, 0.137, 3.137, 31.37]))
    over = data.draw(st.sampled_from(["60s", "90s", "300s", "900s"]))
    when = {"metric": "cpu", "agg": agg, "over": over, "op": data.draw(st.sampled_from([">", "<"])), "value": limit}
    rule = {"when": when, "for": data.draw(LENGTHS), "keep_firing_for": data.draw(LENGTHS)}
    step = data.draw(st.sampled_from([30, 60, 90]))

    assert same(slow_replay(rule, series, 2400, step), fast(rule, series, 2400, step))


# ── exact arithmetic ────────────────────────────────────────────────────────────────────────────────────────────────


def steady(value: float, *, count: int = 60, step: int = 60) -> list[Sample]:
    return [(number * step, value, False) for number in range(count)]


@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3, 1e-9, 70.0037])
def test_the_mean_of_equal_values_is_not_above_that_value(value: float) -> None:
    spiked = [(-60, 1e15, False), *steady(value)]
    when = {"metric": "cpu", "agg": "avg", "over": "7m", "op": "!=", "value": value}

    found = replay({"when": when}, metrics=frame({"a": spiked}), start=seconds(600), end=seconds(3000))

    assert 0 == found.height


@pytest.mark.parametrize("agg", ["avg", "sum", "stddev"])
def test_what_lies_outside_of_a_window_does_not_change_its_last_bit(agg: str) -> None:
    draw = random.Random(3)
    sparse = [(at, draw.gauss(50, 10), False) for at in sorted(draw.sample(range(3600), 40))]
    dense = [(at, draw.gauss(50, 10), False) for at in range(3600)]
    when = {"metric": "cpu", "agg": agg, "over": "47m", "op": ">", "value": 0}

    def values(series: dict[str, list[Sample]], tick: int) -> list[float]:
        found = replay({"when": when}, metrics=frame(series), start=seconds(tick), end=seconds(tick))
        return found.filter(ci="a")["value"].to_list()

    for tick in range(600, 3600, 120):
        assert values({"a": sparse}, tick) == values({"a": sparse, "b": dense}, tick)


def test_the_mean_over_series_of_equal_values_is_that_value() -> None:
    series = {ci: steady(0.1, count=3) for ci in "abc"}
    when = {"metric": "cpu", "by": [], "reduce": "avg", "op": "!=", "value": 0.1}

    assert 0 == replay({"when": when}, metrics=frame(series), start=T0, end=seconds(120)).height


def test_a_large_value_leaves_no_trace_in_windows_without_it() -> None:
    samples = [(0, 1e300, False), (60, -1e300, False), *((n * 60, 0.1, False) for n in range(2, 20))]
    when = {"metric": "cpu", "agg": "sum", "over": "2m", "op": "!=", "value": 0.2}

    found = replay({"when": when}, metrics=frame({"a": samples}), start=seconds(180), end=seconds(1140))

    assert 0 == found.height


# ── conditions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def points(*rows: tuple[str, dict[str, str], list[float | None]]) -> pl.DataFrame:
    """One sample a minute from T0 on, None for none."""
    made = [
        {"ts": seconds(60 * minute), "metric": metric, **labels, "value": value}
        for metric, labels, values in rows
        for minute, value in enumerate(values)
        if value is not None
    ]
    return pl.DataFrame(made, infer_schema_length=None)


def fired(when: dict[str, Any], data: pl.DataFrame, minutes: int = 2, **more: Any) -> list[tuple[Any, ...]]:
    """labels, minute of firing, minute of the end, value."""
    found = replay({"when": when, **more}, metrics=data, start=T0, end=seconds(60 * minutes), lookback="1m")
    return [
        (
            json.loads(row["labels"]),
            (row["fired_at"] - T0).total_seconds() / 60,
            None if row["ended_at"] is None else (row["ended_at"] - T0).total_seconds() / 60,
            row["value"],
        )
        for row in found.iter_rows(named=True)
    ]


HIGH = {"metric": "cpu", "op": ">", "value": 90}
ERR = {"metric": "err", "op": ">", "value": 0}


def test_all_needs_the_same_labels_and_gives_the_first_value() -> None:
    data = points(
        ("cpu", {"ci": "a"}, [95, 95, 95]), ("cpu", {"ci": "b"}, [99, 99, 99]), ("err", {"ci": "a"}, [0, 3, 0])
    )

    assert [({"ci": "a"}, 1, 2, 95)] == fired({"all": [HIGH, ERR]}, data)
    assert [({"ci": "a"}, 1, 2, 3)] == fired({"all": [ERR, HIGH]}, data)


def test_not_takes_away_what_holds_for_the_same_labels() -> None:
    data = points(
        ("cpu", {"ci": "a"}, [95, 95, 95]), ("cpu", {"ci": "b"}, [99, 99, 99]), ("err", {"ci": "a"}, [0, 3, 0])
    )

    expected = [({"ci": "a"}, 0, 1, 95), ({"ci": "b"}, 0, None, 99), ({"ci": "a"}, 2, None, 95)]
    assert expected == fired({"all": [{"not": ERR}, HIGH]}, data)


def test_any_takes_the_first_that_holds() -> None:
    data = points(("cpu", {"ci": "a"}, [95, 10, 10]), ("err", {"ci": "a"}, [1, 2, 0]), ("err", {"ci": "b"}, [0, 0, 7]))

    assert [({"ci": "a"}, 0, 2, 95), ({"ci": "b"}, 2, None, 7)] == fired({"any": [HIGH, ERR]}, data)


def test_nested_conditions_hold_together() -> None:
    data = points(("cpu", {"ci": "a"}, [95, 10, 95]), ("err", {"ci": "a"}, [1, 2, 0]), ("mem", {"ci": "a"}, [0, 5, 5]))
    mem = {"metric": "mem", "op": ">", "value": 1}

    assert [({"ci": "a"}, 1, None, 5)] == fired({"all": [mem, {"any": [HIGH, ERR]}]}, data)


@pytest.mark.parametrize(
    ("how", "expected"), [("max", 30.0), ("min", 10.0), ("sum", 60.0), ("avg", 20.0), ("count", 3.0)]
)
def test_series_are_put_together_by_labels(how: str, expected: float) -> None:
    data = points(
        *(("cpu", {"ci": ci, "zone": "x"}, [value]) for ci, value in (("a", 10), ("b", 20), ("c", 30))),
        ("cpu", {"ci": "d", "zone": ""}, [1]),
    )
    when = {"metric": "cpu", "by": "zone", "reduce": how, "op": ">", "value": 1}

    assert [({"zone": "x"}, 0, None, expected)] == fired(when, data, 0)


def test_a_series_without_the_label_is_a_group_of_its_own() -> None:
    data = points(("cpu", {"ci": "a", "zone": "x"}, [5]), ("cpu", {"ci": "b"}, [7]))

    found = fired({"metric": "cpu", "by": ["zone"], "reduce": "sum", "op": ">", "value": 0}, data, 0)

    assert [({"zone": "x"}, 0, None, 5), ({}, 0, None, 7)] == found


def test_max_and_min_over_series_pass_over_nan_and_sum_does_not() -> None:
    data = points(("cpu", {"ci": "a"}, [math.nan]), ("cpu", {"ci": "b"}, [7.0]))

    for how, expected in (("max", [7.0]), ("min", [7.0]), ("count", [2.0]), ("sum", []), ("avg", [])):
        found = fired({"metric": "cpu", "by": [], "reduce": how, "op": ">", "value": 0}, data, 0)
        assert expected == [value for _, _, _, value in found], how


def test_where_takes_series_by_label() -> None:
    data = points(
        ("cpu", {"ci": "a", "job": "x"}, [5]), ("cpu", {"ci": "b", "job": "y"}, [6]), ("cpu", {"ci": "c"}, [7])
    )

    def cis(asked: Any) -> list[str]:
        when = {"metric": "cpu", "where": {"job": asked}, "op": ">", "value": 0}
        return [labels["ci"] for labels, *_ in fired(when, data, 0)]

    assert ["a"] == cis("x")
    assert ["a", "b"] == cis(["x", "y"])
    assert ["c"] == cis("")
    assert [] == cis("z")


def test_labels_of_the_rule_are_put_over_those_of_the_series() -> None:
    data = points(("cpu", {"ci": "a", "severity": "low"}, [95]))

    found = fired(HIGH, data, 0, labels={"severity": "high", "team": "db"})

    assert [({"ci": "a", "severity": "high", "team": "db"}, 0, None, 95)] == found


def test_labels_that_make_two_alerts_one_are_refused() -> None:
    data = points(("cpu", {"ci": "a"}, [95]), ("cpu", {"ci": "b"}, [95]))

    with pytest.raises(BadRule, match=r"the same: {\"ci\": \"x\"} at 2026-03-01T00:00:00Z"):
        fired(HIGH, data, 0, labels={"ci": "x"})


def test_series_that_take_turns_are_one_alert_if_the_labels_say_so() -> None:
    """As Prometheus does: what tells alerts apart is their labels at a tick."""
    late = points(("cpu", {"ci": "b"}, [95, 96, 97])).with_columns(pl.col("ts") + timedelta(minutes=7))
    data = pl.concat([points(("cpu", {"ci": "a"}, [95, 95, 95])), late])

    (found,) = replay(
        {"when": HIGH, "for": "10m", "labels": {"ci": "x"}}, metrics=data, start=T0, end=seconds(660)
    ).to_dicts()

    assert (found["labels"], found["n"], found["fired_at"]) == ('{"ci": "x"}', 12, seconds(600))


def test_an_empty_label_takes_that_of_the_series_away() -> None:
    data = points(("cpu", {"ci": "a", "pod": "p"}, [95]))

    assert [({"ci": "a"}, 0, None, 95)] == fired(HIGH, data, 0, labels={"pod": ""})


def test_a_ratio_by_nothing_is_infinite() -> None:
    data = points(("err", {"ci": "a"}, [1, 0]), ("req", {"ci": "a"}, [0, 0]))
    when = {"ratio": [{"metric": "err"}, {"metric": "req"}], "op": ">", "value": 0.5}

    assert [({"ci": "a"}, 0, 1, math.inf)] == fired(when, data, 1)


# ── many ticks and series ───────────────────────────────────────────────────────────────────────────────────────────


def test_looking_at_few_cells_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    series = {
        f"ci-{n}": [(k * 37 + n, float((k * 7 + n * 13) % 100), k % 17 == 16) for k in range(200)] for n in range(7)
    }
    either = {"any": [HIGH, {"metric": "cpu", "by": ["ci"], "reduce": "min", "op": "<", "value": 5}]}
    rules = [
        {"when": either, "for": "1m", "keep_firing_for": "2m"},
        {"when": {"metric": "cpu", "agg": "p90", "over": "5m", "op": ">", "value": 80}},
        {"when": {"metric": "cpu", "by": [], "reduce": "max", "op": ">", "value": 97}, "for": "2m"},
    ]
    whole = replay(rules, metrics=frame(series), start=T0, end=seconds(7200))
    for module in ("replay", "parts", "samples"):
        monkeypatch.setattr(sys.modules[f"ciops_nb.cep.{module}"], "CELLS" if module == "replay" else "_CELLS", 31)

    assert whole.height > 50
    assert whole.equals(replay(rules, metrics=frame(series), start=T0, end=seconds(7200)))


def test_order_of_rows_and_kind_of_frame_change_nothing() -> None:
    data = frame({"a": steady(95), "b": steady(91)}).drop("stale")
    expected = replay({"when": HIGH}, metrics=data, start=T0, end=seconds(600))

    assert 2 == expected.height
    assert expected.equals(
        replay({"when": HIGH}, metrics=data.sample(fraction=1, shuffle=True, seed=1), start=T0, end=seconds(600))
    )
    assert expected.equals(
        replay({"when": HIGH}, metrics=pd.DataFrame(data.to_dict(as_series=False)), start=T0, end=seconds(600))
    )
    assert expected.equals(replay({"when": HIGH}, metrics=data.lazy(), start=T0, end=seconds(600)))


# ── what comes out ──────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = {
    "rule": pl.String, "match": pl.Int64, "ci": pl.String, "labels": pl.String, "status": pl.String,
    "active_at": pl.Datetime("us", "UTC"), "fired_at": pl.Datetime("us", "UTC"),
    "ended_at": pl.Datetime("us", "UTC"), "value": pl.Float64, "n": pl.Int64,
    "evidence": pl.List(
        pl.Struct(
            {
                "step": pl.String, "record_id": pl.String, "ts": pl.Datetime("us", "UTC"), "ci_code": pl.String,
                "metric": pl.String, "value": pl.Float64, "hops": pl.Int64,
            }
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("data", [None, frame({}), frame({"a": steady(1)}), frame({"a": steady(95)})])
def test_columns_and_types_are_the_same_whatever_is_found(data: pl.DataFrame | None) -> None:
    assert COLUMNS == dict(replay({"when": HIGH}, metrics=data, start=T0, end=seconds(60)).schema)


def test_rules_come_in_their_order_and_matches_are_numbered() -> None:
    data = points(("cpu", {"ci": "b"}, [95, 1, 95]), ("cpu", {"ci": "a"}, [95, 95, 95]))
    rules = [{"id": "z", "when": HIGH}, {"when": HIGH, "for": "2m"}]

    found = replay(rules, metrics=data, start=T0, end=seconds(120), lookback="1m")

    assert [
        ("z", 1, "a", "fired"),
        ("z", 2, "b", "fired"),
        ("z", 3, "b", "fired"),
        ("rule-2", 1, "a", "fired"),
        ("rule-2", 2, "b", "pending_only"),
        ("rule-2", 3, "b", "pending_only"),
    ] == found.select("rule", "match", "ci", "status").rows()


def test_evidence_is_the_samples_at_becoming_active_and_at_firing() -> None:
    data = points(("cpu", {"ci": "a"}, [10, 91, 99]), ("limit", {"ci": "a"}, [90, 90, 90]))
    rule = {"when": {"metric": "cpu", "op": ">", "value": {"metric": "limit"}}, "for": "1m"}

    found = replay(rule, metrics=data, start=T0, end=seconds(120))

    rest = {"record_id": None, "ci_code": "a", "hops": None}
    assert [
        {"step": "active", "ts": seconds(60), "metric": "cpu", "value": 91.0, **rest},
        {"step": "active", "ts": seconds(60), "metric": "limit", "value": 90.0, **rest},
        {"step": "fired", "ts": seconds(120), "metric": "cpu", "value": 99.0, **rest},
        {"step": "fired", "ts": seconds(120), "metric": "limit", "value": 90.0, **rest},
    ] == found["evidence"].item().to_list()


def test_evidence_of_series_put_together_is_the_one_that_made_the_value() -> None:
    data = points(("cpu", {"ci": "a"}, [95]), ("cpu", {"ci": "b"}, [99]), ("cpu", {"ci": "c"}, [math.nan]))

    found = replay({"when": {**HIGH, "by": [], "reduce": "max"}}, metrics=data, start=T0, end=T0)

    assert ["b", "b"] == [record["ci_code"] for record in found["evidence"].item().to_list()]


def test_evidence_holds_samples_that_are_not_numbers() -> None:
    data = points(("cpu", {"ci": "a"}, [math.inf]))

    found = replay({"when": HIGH}, metrics=data, start=T0, end=T0)

    assert [math.inf, math.inf] == [record["value"] for record in found["evidence"].item().to_list()]


def test_of_samples_of_one_series_at_one_time_the_last_counts() -> None:
    data = pl.concat([points(("cpu", {"ci": "a"}, [95])), points(("cpu", {"ci": "a"}, [1]))])

    assert [] == fired(HIGH, data, 0)
    assert [({"ci": "a"}, 0, None, 95)] == fired(HIGH, data.reverse(), 0)


def test_every_of_a_rule_is_its_own_grid() -> None:
    data = points(("cpu", {"ci": "a"}, [95, 95, 95, 95, 95]))

    found = replay([{"when": HIGH, "every": "2m"}, {"when": HIGH}], metrics=data, start=T0, end=seconds(240))

    assert [3, 5] == found["n"].to_list()


def test_naive_times_are_read_in_the_zone() -> None:
    data = points(("cpu", {"ci": "a"}, [95])).with_columns(pl.col("ts").dt.replace_time_zone(None))

    found = replay({"when": HIGH}, metrics=data, start="2026-03-01T00:00", end="2026-03-01T00:00", tz="Europe/Berlin")

    assert [datetime(2026, 2, 28, 23, tzinfo=UTC)] == found["active_at"].to_list()


# ── bad input ───────────────────────────────────────────────────────────────────────────────────────────────────────

DATA = points(("cpu", {"ci": "a"}, [95]))
GOOD: dict[str, Any] = {"metrics": DATA, "start": T0, "end": T0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": DATA.drop("ts")}, "has no column 'ts'"),
        ({"metrics": DATA.cast({"value": pl.String})}, "is not a column of numbers"),
        ({"metrics": DATA.with_columns(stale=pl.lit("x"))}, "is not true or false"),
        ({"metrics": DATA.with_columns(ts=pl.lit(1))}, "is not a column of times"),
        ({"metrics": DATA.with_columns(ts=pl.lit("soon"))}, "has texts that are not times"),
        ({"metrics": [1]}, "is not a frame"),
        ({"events": DATA}, "has no column 'type'"),
        ({"relations": DATA}, "has no column 'src'"),
        ({"every": "0s"}, "must be longer than nothing"),
        ({"every": "1ms", "end": seconds(86400)}, "makes 86,400,001 ticks"),
        ({"lookback": "soon"}, "is not a length of time"),
        ({"tz": "Mars"}, "there is no such time zone"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadParameter, match=said):
        replay({"when": HIGH}, **{**GOOD, **change})


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(BadTimeRange, match="is before the start 2026-03-01T00:00:00Z"):
        replay({"when": HIGH}, metrics=DATA, start=T0, end=seconds(-1))


def test_a_rule_given_as_rule_is_replayed() -> None:
    (rule,) = load({"when": HIGH})

    assert isinstance(rule, Rule)
    assert 1 == replay(rule, **GOOD).height


def test_a_label_may_have_any_name_that_is_not_a_column_of_a_point() -> None:
    data = points(*(("cpu", {"ci": "a", name: "x"}, [95]) for name in ("series", "label", "__series__", "rule", "n")))

    found = replay({"when": HIGH}, metrics=data, start=T0, end=T0)

    assert 5 == found["labels"].n_unique()
