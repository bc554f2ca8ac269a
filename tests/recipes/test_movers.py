from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import median
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.recipes.movers import gaps_of, points_of, rank_movers

T0 = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
BAD = {"up": "up", "down": "down", "none": "none", "unsaid": None}


def frame(values: list[float], *, first: int = 0, metric: str = "up", ci: str = "a") -> pl.DataFrame:
    rows = [(T0 + STEP * (first + place), ci, metric, value) for place, value in enumerate(values)]
    schema = {"ts": pl.Datetime("us", "UTC"), "ci_code": pl.String, "metric": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def points(values: list[float], **where: Any) -> pl.DataFrame:
    return points_of([frame(values, **where)], {})


def slow(usual: list[float], now: list[float], bad: str | None, adjoining: bool) -> dict[str, Any] | None:
    """The run that went farthest, by loops."""
    if len(usual) < 12 or not now:
        return None
    middle = median(usual)
    spread = median(abs(value - middle) for value in usual) * 1.4826
    judged = [*usual, *now] if adjoining else now
    offset = 0 if adjoining else len(usual)
    scored = []
    for place, value in enumerate(judged):
        score = (value - middle) / max(spread, max(abs(middle), abs(value)) * 1e-3, 1e-9)
        scored.append((place + offset, value, score, 0 if abs(score) < 4 else 1 if score > 0 else -1))
    runs = [list(run) for side, run in groupby(scored, key=lambda row: row[3]) if side]
    runs = [run for run in runs if len(run) >= 2 and run[-1][0] >= len(usual)]
    if not runs:
        return None
    run = max(runs, key=lambda run: (max(abs(row[2]) for row in run), -run[0][0]))
    _, value, score, side = max(run, key=lambda row: (abs(row[2]), -row[0]))
    return {
        "score": round(abs(score), 2),
        "direction": "up" if side > 0 else "down",
        "bad": None if bad not in ("up", "down") else bad == ("up" if side > 0 else "down"),
        "moved_at": None if run[0][0] == offset else T0 + STEP * run[0][0],
        "before": middle,
        "worst": value,
    }


VALUES = st.sampled_from([0.0, 1.0, 1.001, 1.1, 2.0, 5.0, 9.0, -3.0])


@settings(deadline=None, max_examples=300, derandomize=True)
@given(
    usual=st.lists(VALUES, min_size=9, max_size=20),
    now=st.lists(VALUES, max_size=8),
    metric=st.sampled_from(list(BAD)),
    adjoining=st.booleans(),
)
def test_the_runs_are_those_that_loops_find(usual: list[float], now: list[float], metric: str, adjoining: bool) -> None:
    found = rank_movers(
        points(usual, metric=metric), points(now, first=len(usual), metric=metric), bad=BAD, adjoining=adjoining
    )

    expected = slow(usual, now, BAD[metric], adjoining)
    told = found.moved.drop("ci_code", "metric", "series", "step").rows(named=True)
    assert ([] if expected is None else [expected]) == told
    assert (len(usual) >= 12 and bool(now)) == bool(found.compared.height)
    assert (len(usual) < 12 and bool(now)) == bool(found.without_normal.height)
    assert (len(usual) >= 12 and not now) == bool(found.silent.height)


def test_series_and_cis_are_judged_apart_the_worst_first() -> None:
    usual = [points([1.0, 1.1] * 10, ci=ci) for ci in ("a", "b")]
    now = [points([1.0, 3.0, 3.0], first=20, ci="a"), points([1.0, 9.0, 9.0], first=20, ci="b")]

    moved = rank_movers(pl.concat(usual), pl.concat(now), bad=BAD).moved

    assert ["b", "a"] == moved["ci_code"].to_list()
    assert [T0 + STEP * 21] * 2 == moved["moved_at"].to_list()
    assert [STEP, STEP] == moved["step"].to_list()


@pytest.mark.parametrize(("level", "worst", "score"), [(0.0, 1.0, 1000.0), (100.0, 99.0, 10.0), (1.0, 1e6, 1000.0)])
def test_a_flat_series_is_measured_by_a_thousandth_of_its_level(level: float, worst: float, score: float) -> None:
    moved = rank_movers(points([level] * 12), points([level, worst, worst], first=12), bad=BAD).moved

    assert [score] == pytest.approx(moved["score"].to_list(), rel=1e-3)


def test_a_spike_of_one_point_is_no_movement_and_one_at_the_very_end_is_told_as_brief() -> None:
    usual = points([1.0, 1.1] * 10)

    spike = rank_movers(usual, points([1.0, 9.0, 1.0], first=20), bad=BAD)
    last = rank_movers(usual, points([1.0, 1.0, 9.0], first=20), bad=BAD)

    assert (0, 0) == (spike.moved.height, spike.brief.height)
    assert (0, ["a"]) == (last.moved.height, last.brief["ci_code"].to_list())


def test_a_movement_that_began_in_the_baseline_is_followed_back_there() -> None:
    usual, now = points([1.0, 1.1] * 10 + [9.0, 9.0]), points([9.0, 9.0], first=22)

    assert [T0 + STEP * 20] == rank_movers(usual, now, bad=BAD, adjoining=True).moved["moved_at"].to_list()
    assert [None] == rank_movers(usual, now, bad=BAD, adjoining=False).moved["moved_at"].to_list()


def test_nan_and_null_are_no_points_and_nothing_is_an_answer_too() -> None:
    assert 2 == points_of([frame([1.0, math.nan, 2.0])], {}).height
    assert 1 == points_of([frame([1.0, 2.0]).with_columns(value=pl.Series([None, 2.0]))], {}).height
    found = rank_movers(points_of([], {}), points_of([], {}), bad={})
    assert [0] * 5 == [part.height for part in vars(found).values()]


def test_a_counter_becomes_its_rate_per_second_and_counts_from_zero_after_a_reset() -> None:
    found = points_of([frame([100.0, 400.0, 1000.0, 300.0], metric="c")], {"c": "counter"})

    assert [1.0, 2.0, 1.0] == found["value"].to_list()


def test_a_steady_counter_with_a_hole_in_it_did_not_move() -> None:
    held = frame([300.0 * place for place in range(40)], metric="c")
    found = points_of([held.filter(~pl.int_range(pl.len()).is_between(25, 30))], {"c": "counter"})
    usual, now = found.filter(pl.col("ts") < T0 + STEP * 20), found.filter(pl.col("ts") >= T0 + STEP * 20)

    assert 0 == rank_movers(usual, now, bad=BAD, adjoining=True).moved.height


def test_several_series_of_a_metric_are_told_apart() -> None:
    two = pl.concat([frame([1.0]).with_columns(series=pl.lit(name)) for name in ("/var", "/")])

    assert ["/", "/var"] == points_of([two], {})["series"].to_list()


def test_gaps_are_those_longer_than_three_of_the_usual_steps() -> None:
    usual = points([1.0] * 20)
    now = points([1.0] * 12, first=20).filter(~pl.int_range(pl.len()).is_in([3, 4, 5]))
    start, until = T0 + STEP * 20, T0 + STEP * 36

    gaps = gaps_of(usual, now, start=start, until=until)

    assert [(T0 + STEP * 22, T0 + STEP * 26), (T0 + STEP * 31, until)] == gaps.select("gap_from", "gap_until").rows()
    assert 0 == gaps_of(usual, now.head(3), start=start, until=T0 + STEP * 25).height
