"""Deviations from the past, against the same said in plain Python, and what a baseline without spread may not do."""

from __future__ import annotations

import math
import random
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadRule

T0 = datetime(2026, 3, 1, tzinfo=UTC)
Values = list[float | None]


def points(values: Values) -> pl.DataFrame:
    """A value a minute; None is a minute without a point (the look-back of the tests is one minute)."""
    rows = [(T0 + timedelta(minutes=minute), value) for minute, value in enumerate(values) if value is not None]
    ts, given = zip(*rows, strict=True)
    return pl.DataFrame({"ts": ts, "metric": "cpu", "ci": "a", "value": given})


def odd_minutes(rule: dict[str, Any], values: Values, start: int = 0) -> list[int]:
    """The minutes at which it deviates."""
    whole = {"when": {"baseline": {"metric": "cpu"}, **rule}}
    last = T0 + timedelta(minutes=len(values) - 1)
    found = replay(whole, metrics=points(values), start=T0 + timedelta(minutes=start), end=last, lookback="1m")
    minutes: list[int] = []
    for active, ended in found.select("active_at", "ended_at").iter_rows():
        until = last + timedelta(minutes=1) if ended is None else ended
        minutes += range((active - T0) // timedelta(minutes=1), (until - T0) // timedelta(minutes=1))
    return minutes


def random_values(seed: int, count: int = 300) -> Values:
    draw = random.Random(seed)
    values: Values = [None if draw.random() < 0.1 else round(draw.gauss(50, 5), 2) for _ in range(count)]
    for place in draw.sample(range(count), 12):
        values[place] = draw.choice([95.0, 5.0, 80.0, math.nan, math.inf])
    return values


def usable(values: Values) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def slow(values: Values, minute: int, rule: dict[str, Any]) -> bool:
    value, window = values[minute], rule.get("minutes", 60)
    if value is None or math.isnan(value):
        return False
    method = rule["method"]
    if method == "seasonal":
        places = [minute - 60 * number for number in range(1, 5)]
        before = usable([values[place] for place in places if place >= 0])
        least = 2
    else:
        before = usable(values[max(0, minute - window) : minute])
        least = 10
    if len(before) < least:
        return False
    if method == "iqr":
        low, _, high = statistics.quantiles(before, n=4, method="inclusive")
        return value > high + 1.5 * (high - low) or value < low - 1.5 * (high - low)
    mean, spread = statistics.fmean(before), statistics.pstdev(before)
    return abs(value - mean) > 3 * spread and value != mean


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "rule",
    [{"method": "zscore"}, {"method": "iqr"}, {"method": "seasonal", "season": "1h"}],
    ids=lambda rule: rule["method"],
)
def test_deviates_where_a_plain_walk_says_so(rule: dict[str, Any], seed: int) -> None:
    values = random_values(seed)
    expected = [minute for minute in range(len(values)) if slow(values, minute, rule)]

    assert expected
    assert odd_minutes(rule, values) == expected
    assert odd_minutes(rule, values, start=200) == [minute for minute in expected if minute >= 200]


@pytest.mark.parametrize("seed", range(8))
def test_the_weighted_mean_is_the_one_of_pandas(seed: int) -> None:
    import pandas as pd

    values = random_values(seed)
    series = pd.Series([value if value is not None and math.isfinite(value) else math.nan for value in values])
    weighted = series.ewm(alpha=0.2, adjust=False, ignore_na=True)
    mean, spread = weighted.mean().shift(1), weighted.std(bias=True).shift(1)
    seen = series.notna().cumsum().shift(1, fill_value=0)
    expected = [
        minute
        for minute, value in enumerate(values)
        if value is not None and seen[minute] >= 10 and abs(value - mean[minute]) > 3 * spread[minute]
    ]

    assert expected
    assert odd_minutes({"method": "ema", "alpha": 0.2}, values) == expected


@pytest.mark.parametrize(
    "rule", [{"method": "zscore"}, {"method": "iqr"}, {"method": "ema"}, {"method": "seasonal", "season": "10m"}]
)
def test_a_flat_baseline_neither_hides_nor_invents(rule: dict[str, Any]) -> None:
    flat: Values = [0.1] * 100
    assert odd_minutes(rule, flat) == []
    assert odd_minutes(rule, [*flat[:80], 0.2, *flat[:19]])[0] == 80  # no spread: any other value is far
    assert odd_minutes({**rule, "least": 0.5}, [*flat[:80], 0.2, *flat[:19]]) == []
    assert odd_minutes(rule, [*flat[:80], 0.1 * (1 + 1e-12), *flat[:19]]) == []  # the same but for rounding


def test_a_side_can_be_asked_for() -> None:
    values = random_values(1)
    both = odd_minutes({}, values)
    above, below = odd_minutes({"side": "above"}, values), odd_minutes({"side": "below"}, values)

    assert above
    assert below
    assert sorted(above + below) == both


def test_with_too_few_points_nothing_is_said() -> None:
    assert odd_minutes({"points": 30}, [*[1.0] * 29, 9.0]) == []
    assert odd_minutes({"points": 29}, [*[1.0] * 29, 9.0]) == [29]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"method": "seasonal"}, "'season' goes with"),
        ({"season": "1d"}, "'season' goes with"),
        ({"alpha": 0.5}, "'alpha' goes with"),
        ({"method": "ema", "alpha": 2.0}, "alpha"),
        ({"method": "seasonal", "season": "1d", "window": "1d"}, "less than two seasons"),
        ({"method": "magic"}, "'magic' is not a choice"),
        ({"deviations": -1.0}, "deviations"),
        ({"baseline": {"metric": "cpu", "over": "5m"}}, "'over' needs 'agg'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRule, match=said):
        load({"when": {"baseline": {"metric": "cpu"}, **rule}})
