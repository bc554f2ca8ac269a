"""Expressions against plain Python that looks at one window at a time, and against values that a hand can check."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ciops_nb.cep.promql import Need, compiled, grouping, matching, needs, parse, parts
from ciops_nb.cep.promql.selecting import Instant
from ciops_nb.cep.samples import Grid, Samples
from ciops_nb.errors import BadRule
from tests.cep.promql.given import MINUTE, NOON, SECOND, evaluated, finder, samples

GRID = Grid(NOON, MINUTE, 40)
A, B = (("ci", "a"),), (("ci", "b"),)
Point = tuple[float, float]  # seconds before the end of the window, value


def jagged(seed: int) -> Samples:
    """Series with samples on ticks and between them, gaps, resets, NaN and Inf."""
    rng = np.random.default_rng(seed)
    series: dict[Any, Any] = {}
    for number in range(5):
        at = NOON + np.flatnonzero(rng.random(240) < rng.choice([0.2, 0.7, 0.95])) * 10 * SECOND
        value = np.cumsum(rng.integers(-3, 8, len(at))).astype(float)
        if number > 2:
            value[rng.random(len(at)) < 0.1] = np.nan
            value[rng.random(len(at)) < 0.03] = np.inf
        series[(("ci", f"c{number}"),)] = list(zip(at.tolist(), value.tolist(), strict=True))
    return samples("m", series)


def windows(given: Samples, tick: int, over: int, offset: int = 0) -> dict[Any, list[Point]]:
    """What a window sees, sample by sample: left open, closed at the tick."""
    end = GRID.start + tick * GRID.step - offset
    found: dict[Any, list[Point]] = {}
    for series, ts, value in zip(given.series.tolist(), given.ts.tolist(), given.value.tolist(), strict=True):
        if end - over < ts <= end:
            found.setdefault(given.labels[series], []).append(((ts - end) / 1e6, value))
    return found


def values(points: list[Point]) -> list[float]:
    return [value for _, value in points]


def rate(points: list[Point], over: float, *, counter: bool = True) -> float | None:
    if len(points) < 2:
        return None
    (first_at, first), (last_at, last) = points[0], points[-1]
    grown = last - first
    if counter:
        grown += sum(a for (_, a), (_, b) in pairwise(points) if b < a)
    sampled = last_at - first_at
    between = sampled / (len(points) - 1)
    start, end = first_at + over, -last_at
    if counter and grown > 0 and first >= 0:
        start = min(start, sampled * (first / grown))
    reach = sampled + (start if start < between * 1.1 else between / 2) + (end if end < between * 1.1 else between / 2)
    return grown * (reach / sampled)


def slope(points: list[Point]) -> tuple[float, float] | None:
    if len(points) < 2:
        return None
    if len(set(values(points))) == 1:
        return (math.nan, math.nan) if math.isinf(points[0][1]) else (0.0, points[0][1])
    if not all(map(math.isfinite, values(points))):
        return math.nan, math.nan
    found = statistics.linear_regression(*zip(*points, strict=True))
    return found.slope, found.intercept


def extreme(of: Callable[[list[float]], float]) -> Callable[[list[Point]], float]:
    return lambda points: of([one for one in values(points) if one == one] or [math.nan])


def mean(of: list[float]) -> float:
    return math.fsum(of) / len(of) if all(map(math.isfinite, of)) else sum(of) / len(of)


def variance(points: list[Point]) -> float:
    if not all(map(math.isfinite, values(points))):
        return math.nan
    middle = mean(values(points))
    return math.fsum((one - middle) ** 2 for one in values(points)) / len(points)


def quantile(points: list[Point], share: float) -> float:
    ordered = sorted(values(points), key=lambda one: (one == one, one))
    rank = share * (len(ordered) - 1)
    low, high = ordered[math.floor(rank)], ordered[min(math.floor(rank) + 1, len(ordered) - 1)]
    return low * (1 - (rank - math.floor(rank))) + high * (rank - math.floor(rank))


def pairs(points: list[Point]) -> list[tuple[float, float]]:
    return list(pairwise(values(points)))


def last_two(points: list[Point], of: Callable[[Point, Point], float]) -> float | None:
    return of(points[-2], points[-1]) if len(points) > 1 else None


OVER = 270.0
NAIVE: dict[str, Callable[[list[Point]], float | None]] = {
    "count_over_time(m[270s])": lambda points: float(len(points)),
    "present_over_time(m[270s])": lambda points: 1.0,
    "last_over_time(m[270s])": lambda points: points[-1][1],
    "sum_over_time(m[270s])": lambda points: mean(values(points)) * len(points),
    "avg_over_time(m[270s])": lambda points: mean(values(points)),
    "min_over_time(m[270s])": extreme(min),
    "max_over_time(m[270s])": extreme(max),
    "stdvar_over_time(m[270s])": variance,
    "stddev_over_time(m[270s])": lambda points: math.sqrt(variance(points)),
    "quantile_over_time(0.3, m[270s])": lambda points: quantile(points, 0.3),
    "changes(m[270s])": lambda points: float(sum(a != b and (a == a or b == b) for a, b in pairs(points))),
    "resets(m[270s])": lambda points: float(sum(b < a for a, b in pairs(points))),
    "increase(m[270s])": lambda points: rate(points, OVER),
    "rate(m[270s])": lambda points: None if len(points) < 2 else rate(points, OVER) / OVER,  # type: ignore[operator]
    "delta(m[270s])": lambda points: rate(points, OVER, counter=False),
    "idelta(m[270s])": lambda points: last_two(points, lambda a, b: b[1] - a[1]),
    "irate(m[270s])": lambda points: last_two(points, lambda a, b: (b[1] if b[1] < a[1] else b[1] - a[1]) / (b[0] - a[0])),
    "deriv(m[270s])": lambda points: None if len(points) < 2 else slope(points)[0],  # type: ignore[index]
    "predict_linear(m[270s], 60)": lambda points: None if len(points) < 2 else np.dot(slope(points), (60, 1)),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("text", NAIVE)
@pytest.mark.parametrize("seed", [1, 2])
def test_window_function_against_one_window_at_a_time(text: str, seed: int) -> None:
    given = jagged(seed)
    expected: dict[Any, dict[int, float]] = {}
    for tick in range(GRID.count):
        for labels, points in windows(given, tick, 270 * SECOND).items():
            with np.errstate(all="ignore"):
                value = NAIVE[text](points)
            if value is not None:
                expected.setdefault(labels, {})[tick] = value
    found = evaluated(text, [given], GRID, chunk=7)

    assert {labels: sorted(row) for labels, row in expected.items()} == {
        labels: sorted(row) for labels, row in found.items()
    }
    for labels, row in expected.items():
        assert list(row.values()) == pytest.approx([found[labels][tick] for tick in row], rel=1e-9, nan_ok=True)


def test_a_range_leaves_out_what_is_as_old_as_it() -> None:
    given = samples("m", {A: [(NOON + n * MINUTE, float(n)) for n in range(10)]})
    row = evaluated("count_over_time(m[3m])", [given], GRID)[A]

    assert [row.get(tick) for tick in range(13)] == [1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 2, 1, None]


def test_the_look_back_leaves_out_what_is_as_old_as_it_and_is_each_metrics_own() -> None:
    given = [samples(name, {A: [(NOON, 1.0)]}) for name in ("m", "n")]
    part = compiled(
        parse('{ci="a"}'), finder(given), GRID, lambda metric: timedelta(minutes=3 if metric == "m" else 2), named=True
    )
    there = part.at(np.arange(4))[1]

    assert {dict(labels)["__name__"]: row for labels, row in zip(part.labels, there.tolist(), strict=True)} == {
        "m": [True, True, True, False],
        "n": [True, True, False, False],
    }


def test_a_subquery_sees_the_point_that_is_as_old_as_it_is_long() -> None:
    """As Prometheus 2.42, whose answers the cases hold; version 3 leaves it out."""
    given = samples("m", {A: [(NOON + n * MINUTE, float(n)) for n in range(40)]})

    assert evaluated("count_over_time(m[3m:1m])", [given], GRID)[A][20] == 4
    assert evaluated("min_over_time(m[3m:1m])", [given], GRID)[A][20] == 17
    assert evaluated("min_over_time(m[3m:2m])", [given], GRID)[A][20] == 18
    assert evaluated("min_over_time(m[4m:])", [given], GRID)[A][20] == 16


def test_an_end_hides_what_came_before_and_is_in_no_window() -> None:
    given = samples("m", {A: [(NOON, 1.0), (NOON + MINUTE, None), (NOON + 2 * MINUTE, 3.0)]})

    assert {0: 1.0, 2: 3.0, 3: 3.0, 4: 3.0, 5: 3.0, 6: 3.0} == evaluated("m", [given], GRID)[A]
    assert evaluated("count_over_time(m[3m])", [given], GRID)[A] == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1}


def steady(metric: str, **cis: float) -> Samples:
    return samples(
        metric, {(("ci", ci),): [(NOON + n * MINUTE, value) for n in range(40)] for ci, value in sorted(cis.items())}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m", {A: 1, B: 4}),
        ("-m ^ 2", {A: -1, B: -16}),
        ("m > 2", {B: 4}),
        ("2 < m", {B: 4}),
        ("m > bool 2", {A: 0, B: 1}),
        ("m + on (ci) n", {A: 11, B: 24}),
        ("n > on (ci) m * 6", {A: 10}),
        ("n % 7 atan2 0", {A: math.pi / 2, B: math.pi / 2}),
        ("sum(m)", {(): 5}),
        ("avg by (ci) (m)", {A: 1, B: 4}),
        ("stdvar(m)", {(): 2.25}),
        ("quantile(0.5, m)", {(): 2.5}),
        ("topk(1, m)", {B: 4}),
        ("bottomk(1, m)", {A: 1}),
        ('count_values("v", m * 2.5)', {(("v", "10"),): 1, (("v", "2.5"),): 1}),
        ("m and n > 15", {B: 4}),
        ("m unless n > 15", {A: 1}),
        ("(m > 2) or n", {A: 10, B: 4}),
        ("absent(m)", {}),
        ('absent(m{ci="c"})', {(("ci", "c"),): 1}),
        ('label_replace(m, "to", "<$1>", "ci", "(a)")', {(("ci", "a"), ("to", "<a>")): 1, B: 4}),
        ('label_join(m, "to", "/", "ci", "ci")', {(("ci", "a"), ("to", "a/a")): 1, (("ci", "b"), ("to", "b/b")): 4}),
        ("clamp(m, 2, 3)", {A: 2, B: 3}),
        ("round(m / 3, 0.5)", {A: 0.5, B: 1.5}),
        ("scalar(sum(m)) * n", {A: 50, B: 100}),
        ("vector(2)", {(): 2}),
        ("hour()", {(): 12}),
        ("day_of_week(vector(0))", {(): 4}),
        ("days_in_month(vector(951782400))", {(): 29}),
        ("m * 0 / 0 != 1", {A: math.nan, B: math.nan}),
    ],
)
def test_value_that_a_hand_can_check(text: str, expected: dict[Any, float]) -> None:
    found = evaluated(text, [steady("m", a=1, b=4), steady("n", a=10, b=20)], GRID)

    assert expected.keys() == found.keys()
    for labels, value in expected.items():
        assert found[labels][1] == pytest.approx(value, nan_ok=True)


def test_equal_values_have_that_value_as_their_mean_and_do_not_deviate() -> None:
    given = steady("m", **{f"c{n}": 0.1 for n in range(7)})

    for text, value in (("avg(m)", 0.1), ("stddev(m)", 0.0), ("avg_over_time(m[30m])", 0.1), ("deriv(m[9m])", 0.0)):
        assert {value} == {one for row in evaluated(text, [given], GRID).values() for one in list(row.values())[1:]}


def test_a_histogram_with_buckets_that_fall_is_raised() -> None:
    buckets = {"1": 4.0, "2": 3.0, "4": 8.0, "+Inf": 8.0}
    given = samples("b", {(("le", bound),): [(NOON, count)] for bound, count in buckets.items()})

    assert evaluated("histogram_quantile(0.75, b)", [given], GRID)[()][0] == pytest.approx(3.0)
    assert evaluated("histogram_quantile(0.25, b)", [given], GRID)[()][0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "problem", "tick"),
    [
        ("m + on (zone) n", "several series on the right match the same labels", "12:00"),
        ("m + on (zone) group_left late", "several series on the right", "12:05"),
        ("sum(m) + on () (late > 0)", "several series on the right", "12:05"),
        ("late + on (zone) sum(m)", "several series on the left match one on the right, without group_left", "12:05"),
        ('label_replace(late, "ci", "x", "ci", ".*")', 'label_replace gives two series the same labels: {__name__="late", ci="x"}', "12:05"),
        ('{__name__=~"m|late"} * 1', 'once the name of the metric is dropped: {ci="a"}', "12:00"),
        ("topk(scalar(nothing), m)", "nan is not how many series", "12:00"),
        ("count_over_time((late + on (zone) sum(m))[1m:])", "several series on the left", "12:05"),
    ],
)  # fmt: skip
def test_what_prometheus_fails_at_is_refused_with_the_tick(text: str, problem: str, tick: str) -> None:
    late = samples("late", {A: [(NOON, 1.0), (NOON + 5 * MINUTE, 1.0)], B: [(NOON + 5 * MINUTE, 1.0)]})

    with pytest.raises(BadRule) as error:
        evaluated(text, [steady("m", a=1, b=4), steady("n", a=10, b=20), late], GRID, chunk=3)

    assert problem in str(error.value)
    assert text in str(error.value)
    assert tick in str(error.value)


def test_series_that_are_the_same_without_their_name_are_one_while_they_are_not_there_together() -> None:
    before = samples("before", {A: [(NOON, 1.0), (NOON + MINUTE, None)]})
    after = samples("after", {A: [(NOON + 2 * MINUTE, 2.0), (NOON + 3 * MINUTE, None)]})

    for text in ('{__name__=~"before|after"}', '{__name__=~"before|after"} * 1'):
        assert {A: {0: 1.0, 2: 2.0}} == evaluated(text, [before, after], GRID)


@pytest.mark.parametrize("text", ["max_over_time((m @ start())[5m:])", "sum_over_time(rate(m[1m] @ end())[5m:])"])
def test_the_tick_as_a_moment_inside_of_a_subquery_is_refused(text: str) -> None:
    with pytest.raises(BadRule, match="inside of a subquery is not evaluated here"):
        evaluated(text, [steady("m", a=1)], GRID)


def test_a_subquery_of_too_many_ticks_is_refused() -> None:
    with pytest.raises(BadRule, match=r"a subquery has .* ticks"):
        evaluated("max_over_time(m[300y:1ms])", [steady("m", a=1)], GRID)


def test_few_series_of_many_are_asked_for_few_ticks_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [jagged(4), steady("n", **{f"c{n}": n for n in range(5)})]
    texts = (
        "sum(rate(m[5m]))",
        "absent(m > 20)",
        "quantile(0.3, m)",
        "scalar(sum(m)) * max(n)",
        "count_values('v', m)",
    )
    whole = [str(evaluated(text, known, GRID)) for text in texts]
    asked: list[int] = []
    at = Instant.at
    monkeypatch.setattr(parts, "CELLS", 15)
    monkeypatch.setattr(Instant, "at", lambda self, ticks: asked.append(len(ticks)) or at(self, ticks))

    assert whole[1:3] == [str(evaluated(text, known, GRID)) for text in texts[1:3]]
    assert max(asked) == 3
    assert whole == [str(evaluated(text, known, GRID)) for text in texts]


# ── what values rest on, and what is read ───────────────────────────────────────────────────────────────────────────


def rests(text: str, tick: int) -> dict[Any, list[tuple[str, str | None, float]]]:
    known = [steady("m", a=1, b=4), steady("n", a=10, b=20)]
    part = compiled(parse(text), finder(known), GRID, lambda metric: timedelta(minutes=5))
    there = np.flatnonzero(part.at(np.array([tick]))[1][:, 0])
    found = part.sources(there, np.full(len(there), tick))
    for record in [record for records in found for record in records]:
        assert record["ts"] == NOON + tick * MINUTE
    return {
        part.labels[row]: [(record["metric"], record["ci_code"], record["value"]) for record in records]
        for row, records in zip(there.tolist(), found, strict=True)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m", {A: [("m", "a", 1)], B: [("m", "b", 4)]}),
        ("m > 2", {B: [("m", "b", 4)]}),
        ("max(m)", {(): [("m", "b", 4)]}),
        ("min(m)", {(): [("m", "a", 1)]}),
        ("m / n", {A: [("m", "a", 1), ("n", "a", 10)], B: [("m", "b", 4), ("n", "b", 20)]}),
        ("m and n > 15", {B: [("m", "b", 4), ("n", "b", 20)]}),
        ("m unless n > 15", {A: [("m", "a", 1)]}),
        ("(m > 2) or n", {A: [("n", "a", 10)], B: [("m", "b", 4)]}),
        ("rate(m[5m]) + 1", {A: [("m", "a", 1)], B: [("m", "b", 4)]}),
        ("topk(1, m)", {B: [("m", "b", 4)]}),
        ('count_values("v", m)', {(("v", "1"),): [("m", "a", 1)], (("v", "4"),): [("m", "b", 4)]}),
        ("max_over_time(m[5m:1m])", {A: [("m", "a", 1)], B: [("m", "b", 4)]}),
        ("absent(nothing)", {(): []}),
        ("vector(1)", {(): []}),
        ("m * on () group_right sum(n)", {(): [("m", "a", 1), ("n", "b", 20)]}),
    ],
)
def test_sources(text: str, expected: dict[Any, Any]) -> None:
    if "group_right" in text:
        text = text.replace("m *", 'm{ci="a"} *')
    assert expected == rests(text, 7)


def test_needs() -> None:
    text = (
        "a offset 1h > b and on (x) max_over_time(rate(a[5m])[1h:1m] offset -2m) or c @ 0 or {x='y'}[5m:1m] offset 1d"
    )
    text = text.replace("{x='y'}[5m:1m] offset 1d", "sum_over_time({x='y'}[5m:1m] offset 1d)")
    last = NOON + 39 * MINUTE
    found = needs(parse(text), GRID, lambda metric: timedelta(minutes=5))

    assert found == [
        Need(None, NOON - (24 * 60 + 10) * MINUTE, last - 24 * 60 * MINUTE),
        Need("a", NOON - 65 * MINUTE, last + 2 * MINUTE),
        Need("b", NOON - 5 * MINUTE, last),
        Need("c", -5 * MINUTE, 0),
    ]


@pytest.mark.parametrize(
    "text", ["rate(m[5m])", "m offset 3m", "max_over_time(rate(m[2m])[10m:1m])", "m @ 1772367000 + m offset -4m"]
)
def test_reading_only_what_is_needed_changes_nothing(text: str) -> None:
    given = jagged(3)
    (need,) = needs(parse(text), Grid(NOON + 15 * MINUTE, MINUTE, 5), lambda metric: timedelta(minutes=5))
    kept = (given.ts > need.start) & (given.ts <= need.end)
    assert not kept.all()
    cut = Samples("m", given.labels, given.series[kept], given.ts[kept], given.value[kept], given.stale[kept])
    whole, part = (evaluated(text, [one], Grid(NOON + 15 * MINUTE, MINUTE, 5)) for one in (given, cut))

    assert str(whole) == str(part)


@pytest.mark.parametrize(
    ("module", "text"), [(grouping, 'count_values("v", m)'), (matching, "m * on () group_left (ci) n")]
)
def test_what_would_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch, module: Any, text: str) -> None:
    monkeypatch.setattr(module, "_MOST_PAIRS", 3)
    known = [jagged(4), steady("n", **{f"c{n}": n for n in range(5)})]

    with pytest.raises(BadRule, match=r"meets more than 3 values|has 25 pairs of series"):
        evaluated(text, known, GRID)
