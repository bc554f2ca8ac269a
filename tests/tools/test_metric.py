"""``metric_list``, ``metric_aggregate`` and ``metric_series_table`` against a walk over the points."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ciops_nb as ciops
from tests.oracle import (
    NOW,
    SETTINGS,
    Row,
    aggregate,
    ask,
    conditions,
    counted,
    every_way,
    ids_of,
    known_fields,
    latest_cis,
    meets,
    of_a,
    opened,
    plain,
    points_of,
    seeds,
    steps_of,
    world,
)
from tests.worlds import Rows, hours, write_world

EPOCH = datetime(1970, 1, 1, tzinfo=NOW.tzinfo)
PLAIN = ["count", "min", "max", "mean", "sum", "stddev", "first", "last", "p0", "p50", "p99.9", "p100"]
KEYS = [
    "ci", "ci_type", "criticality", "owner", "tags.role", "attributes.cores", "series", "label.mountpoint", "label.le",
    "bucket:5h", "bucket:45m",
]  # fmt: skip
metrics = st.sampled_from(["cpu", "req", "undefined", "idle"])
spans = st.none() | st.tuples(st.integers(-2, 20), st.integers(1, 12)).map(
    lambda pair: (hours(pair[0]), hours(sum(pair)))
)


def floor(moment: datetime, width: timedelta) -> datetime:
    return moment - (moment - EPOCH) % width


def key_of(rows: Rows, point: Row, key: str) -> Any:
    if key == "series":
        return point["series"]
    if key.startswith("bucket:"):
        return floor(point["ts"], {"5h": timedelta(hours=5), "45m": timedelta(minutes=45)}[key[7:]])
    if key.startswith("label."):
        same = ("ci_id", "metric", "series")
        found = [row for row in of_a(rows, "label") if all(row[name] == point[name] for name in same)]
        return next((row["value"] for row in found if row["name"] == key[6:]), None)
    return latest_cis(rows).get(point["ci_id"], {}).get("ci_code" if key == "ci" else key)


def labelled(rows: Rows, metric: str) -> set[str]:
    return {f"label.{row['name']}" for row in of_a(rows, "label") if row["metric"] == metric}


@every_way
@SETTINGS
@given(
    seed=seeds,
    metric=metrics,
    span=spans,
    aggregates=st.lists(st.sampled_from([*PLAIN, "rate", "increase"]), min_size=1, max_size=5, unique=True),
    by=st.lists(st.sampled_from(KEYS), max_size=2, unique=True),
    codes=st.none() | st.lists(st.sampled_from(["ci-0", "ci-1", "ci-1-new"]), max_size=2),
    where=st.none() | conditions(),
)
def test_aggregate_equals_a_walk_over_the_points(
    engine: str, frames: str, way: str, seed: int, metric: str, span: Any, aggregates: list[str], by: list[str],
    codes: list[str] | None, where: dict[str, Any] | None,
) -> None:  # fmt: skip
    rows, ops = world(seed), opened(seed, engine, frames)
    if metric in ("cpu", "idle"):
        aggregates = [name for name in aggregates if name not in ("rate", "increase")] or ["mean"]
    known = known_fields(rows) | labelled(rows, metric)
    if {name for name in [*by, *(where or ())] if "." in name} - known or len([k for k in by if "bucket" in k]) > 1:
        return
    if codes and not all(ids_of(rows, [code]) for code in codes):
        return
    ids = None if codes is None else ids_of(rows, codes)
    if where is not None:
        met = {ci_id for ci_id, ci in latest_cis(rows).items() if meets(ci, where)}
        ids = met if ids is None else ids & met
    points = [row for row in points_of(rows, metric, span, ids) if not math.isnan(row["value"])]
    steps = steps_of(points)
    if metric == "undefined" and not points_of(rows, metric, None, None):
        return
    groups: dict[tuple[Any, ...], list[Row]] = {} if by or not points else {(): []}
    for point in points:
        groups.setdefault(tuple(key_of(rows, point, key) for key in by), []).append(point)
    expected = []
    for key, group in sorted(groups.items(), key=lambda item: [(part is None, part or 0) if not isinstance(part, str) else (False, part) for part in item[0]]):  # fmt: skip
        own = [step for step in steps if tuple(key_of(rows, step[0], name) for name in by) == key]
        values = [counted(own, name) if name in ("rate", "increase") else aggregate(group, name) for name in aggregates]
        expected.append((*key, metric, "percent" if metric == "cpu" else "s" if metric == "idle" else None, len(group), *values))  # fmt: skip
    asked: Any = {"all": None} if span is None else None
    found = ask(
        ops, way, "metric_aggregate", metric, time_range="all" if asked else span, agg=aggregates, by=by or None,
        ci=codes, where=where,
    )  # fmt: skip
    assert expected == [tuple(row.values()) for row in plain(found)]
    named = {"ci": "ci_code", "bucket:5h": "ts", "bucket:45m": "ts"}
    assert [*(named.get(key, key) for key in by), "metric", "unit", "n", *aggregates] == list(found.columns)


@every_way
@SETTINGS
@given(
    seed=seeds,
    metric=metrics,
    span=spans,
    every=st.sampled_from([None, None, "1h", "5h", "45m"]),
    name=st.sampled_from([*PLAIN, "increase"]),
    limit=st.none() | st.integers(0, 12),
    fill=st.sampled_from([None, "previous", "zero", "interpolate"]),
    wide=st.booleans(),
)
def test_series_table_equals_a_walk_over_the_points(
    engine: str, frames: str, way: str, seed: int, metric: str, span: Any, every: str | None, name: str,
    limit: int | None, fill: str | None, wide: bool,
) -> None:  # fmt: skip
    rows, ops = world(seed), opened(seed, engine, frames)
    if not points_of(rows, metric, None, None) and metric == "undefined":
        return
    name = "mean" if metric in ("cpu", "idle") and name == "increase" else name
    fill = None if every is None else fill
    codes = sorted({ci["ci_code"] for ci in latest_cis(rows).values()})
    code_of = {ci_id: ci["ci_code"] for ci_id, ci in latest_cis(rows).items()}
    points = points_of(rows, metric, span, ids_of(rows, codes))
    made = [
        (row["ts"], code_of[row["ci_id"]], row["series"], None if math.isnan(row["value"]) else row["value"], 1)
        for row in points
    ]
    if every is not None:
        width = {"1h": timedelta(hours=1), "5h": timedelta(hours=5), "45m": timedelta(minutes=45)}[every]
        made = bucketed(points, width, name, code_of, span, fill)
    expected: list[Any] = sorted(made, key=lambda row: row[:3])
    if wide:
        columns = sorted({code + (f"[{series}]" if series else "") for _, code, series, *_ in expected})
        cells = {(ts, code + (f"[{series}]" if series else "")): value for ts, code, series, value, _ in expected}
        expected = [(ts, *(cells.get((ts, column)) for column in columns)) for ts in sorted({row[0] for row in made})]
    elif not any(row[2] for row in (made or [(0, 0, r["series"]) for r in points_of(rows, metric, None, ids_of(rows, codes))])):  # fmt: skip
        expected = [(ts, code, metric, value, n) for ts, code, _, value, n in expected]
    else:
        expected = [(ts, code, metric, series, value, n) for ts, code, series, value, n in expected]
    found = ask(
        ops, way, "metric_series_table", metric, codes, time_range=span or "all", every=every, agg=name, fill=fill,
        wide=wide, limit=limit,
    )  # fmt: skip
    assert expected[:limit] == [tuple(row.values()) for row in plain(found)]
    told = ciops.provenance(found).completeness
    assert (len(expected), len(expected) - len(expected[:limit])) == (
        told.total,
        sum(part.count for part in told.left_out),
    )


def bucketed(
    points: list[Row], width: timedelta, name: str, code_of: dict[str, str], span: Any, fill: str | None
) -> list[Any]:
    """Buckets of each series, those without points filled from the start of the range to its end."""
    whole = [row for row in points if not math.isnan(row["value"])]
    steps = steps_of(whole)
    made = []
    for ci_id, series in sorted({(row["ci_id"], row["series"]) for row in whole}):
        held: dict[datetime, tuple[Any, int]] = {}
        for start in {floor(row["ts"], width) for row in whole}:
            own = [
                row for row in whole if (row["ci_id"], row["series"], floor(row["ts"], width)) == (ci_id, series, start)
            ]
            mine = [step for step in steps if step[0] in own]
            if own:
                held[start] = (counted(mine, name) if name == "increase" else aggregate(own, name), len(own))
        times = sorted(held)
        if fill is not None:
            every_time = [row["ts"] for row in whole]
            first = floor(span[0] if span else min(every_time), width)
            last = floor(span[1] - timedelta(microseconds=1) if span else max(every_time), width)
            times = [first + number * width for number in range((last - first) // width + 1)]
        made += [
            (ts, code_of[ci_id], series, *(held[ts] if ts in held else (filled(held, ts, fill), 0))) for ts in times
        ]
    return [(ts, code, series, float(value) if value is not None else None, n) for ts, code, series, value, n in made]


def filled(held: dict[datetime, tuple[Any, int]], ts: datetime, fill: str | None) -> float | None:
    if fill == "zero":
        return 0.0
    known = sorted((at, value) for at, (value, _) in held.items() if value is not None)
    before, after = [pair for pair in known if pair[0] < ts], [pair for pair in known if pair[0] > ts]
    if fill == "previous" or not before or not after:
        return before[-1][1] if before and fill == "previous" else None
    (early, low), (late, high) = before[-1], after[0]
    return float(f"{low + (high - low) * ((ts - early) / (late - early)):.9g}")


@every_way
@SETTINGS
@given(seed=seeds, code=st.none() | st.sampled_from(["ci-0", "ci-1"]))
def test_list_names_what_is_defined_and_what_has_points(
    engine: str, frames: str, way: str, seed: int, code: str | None
) -> None:
    rows, ops = world(seed), opened(seed, engine, frames)
    if code is not None and not ids_of(rows, [code]):
        return
    defined = {row["metric"] for row in of_a(rows, "metric_def")}
    measured = {row["metric"] for row in of_a(rows, "metric") if row["ci_id"] in ids_of(rows, [code or ""])}
    found = plain(ask(ops, way, "metric_list", code))
    assert sorted(defined if code is None else measured) == [row["metric"] for row in found]
    units = {row["metric"]: row["unit"] for row in of_a(rows, "metric_def")}
    assert [units.get(row["metric"]) for row in found] == [row["unit"] for row in found]


def point(ci_id: str, hour: float, value: float, series: str = "") -> Row:
    return {"tenant_id": "a", "ci_id": ci_id, "metric": "cpu", "series": series, "ts": hours(hour), "value": value}


def estate(folder: Path, points: list[Row], code: str = "srv-1") -> ciops.Ops:
    rows: Rows = {
        "ci": [{"tenant_id": "a", "ci_id": "id-1", "ci_code": code, "valid_from": hours(0)}],
        "metric_def": [{"tenant_id": "a", "metric": "cpu", "kind": "gauge"}],
        "metric": points,
        "label": [{"tenant_id": "a", "ci_id": "id-1", "metric": "cpu", "series": "", "name": "mount", "value": "/"}],
    }
    return ciops.connect(write_world(folder, rows), frames="polars")


def test_a_bucket_with_points_is_not_filled(tmp_path: Path) -> None:
    with estate(tmp_path / "e", [point("id-1", 0, 7.0), point("id-1", 2, 8.0)]) as ops:
        span = (hours(0), hours(3))
        found = ops.metric_series_table.sync("cpu", "srv-1", time_range=span, every="1h", agg="stddev", fill="zero")

    assert [(None, 1), (0.0, 0), (None, 1)] == found.select("value", "n").rows()


def test_an_empty_range_has_the_columns_of_a_full_one(tmp_path: Path) -> None:
    with estate(tmp_path / "e", [point("id-1", 0, 7.0, "sda"), point("id-1", 2, 8.0, "sdb")]) as ops:
        full = ops.metric_series_table.sync("cpu", "srv-1", time_range="all")
        empty = ops.metric_series_table.sync("cpu", "srv-1", time_range=(hours(30), hours(31)))

    assert (2, 0) == (full.height, empty.height)
    assert full.schema == empty.schema


def test_a_ci_called_as_the_column_of_times_has_its_own_column(tmp_path: Path) -> None:
    with estate(tmp_path / "e", [point("id-1", 0, 7.0)], code="ts") as ops:
        found = ops.metric_series_table.sync("cpu", "ts", time_range="all", wide=True)

    assert [{"ts": hours(0), "ts[]": 7.0}] == found.to_dicts()


def test_an_unknown_label_is_named_with_the_near_ones(tmp_path: Path) -> None:
    with (
        estate(tmp_path / "e", [point("id-1", 0, 7.0)]) as ops,
        pytest.raises(ciops.errors.UnknownField, match=r"'label\.mnt'.*'label\.mount'"),
    ):
        ops.metric_aggregate.sync("cpu", time_range="all", by="label.mnt")


def test_an_estate_without_points_says_so(tmp_path: Path) -> None:
    with estate(tmp_path / "e", []) as ops:
        answers = [ops.metric_aggregate.sync("cpu"), ops.metric_series_table.sync("cpu", "srv-1")]

    for answer in answers:
        assert 0 == answer.height
        assert ["this estate has no table 'metric': nothing is known of any point"] == ciops.provenance(answer).warnings


# ── several metrics at once ─────────────────────────────────────────────────────────────────────────────────────────

lists = st.none() | st.lists(st.sampled_from(["cpu", "req", "undefined", "idle"]), min_size=1, max_size=4)


def measured(rows: Rows, span: Any = None) -> list[str]:
    return sorted(name for name in {row["metric"] for row in of_a(rows, "metric")} if points_of(rows, name, span, None))


@every_way
@SETTINGS
@given(
    seed=seeds,
    asked=lists,
    span=spans,
    aggregates=st.lists(st.sampled_from([*PLAIN, "rate"]), min_size=1, max_size=3, unique=True),
    by=st.lists(st.sampled_from(KEYS), max_size=2, unique=True),
)
def test_an_aggregate_of_several_is_that_of_each_one_after_the_other(
    engine: str, frames: str, way: str, seed: int, asked: list[str] | None, span: Any, aggregates: list[str],
    by: list[str],
) -> None:  # fmt: skip
    rows, ops = world(seed), opened(seed, engine, frames)
    known = {row["metric"] for row in [*of_a(rows, "metric_def"), *of_a(rows, "metric")]}
    asked = asked if asked is None else [name for name in asked if name in known] or None
    names = measured(rows, span) if asked is None else list(dict.fromkeys(asked))
    if {"cpu", "idle"} & set(names):
        aggregates = [name for name in aggregates if name != "rate"] or ["mean"]
    labels = {f"label.{row['name']}" for row in of_a(rows, "label") if asked is None or row["metric"] in names}
    if {name for name in by if "." in name} - known_fields(rows) - labels or len([k for k in by if "bucket" in k]) > 1:
        return
    how: dict[str, Any] = {"time_range": span or "all", "agg": aggregates}
    expected = []
    for name in names:
        own = {f"label.{row['name']}" for row in of_a(rows, "label") if row["metric"] == name}
        keys = [key for key in by if not key.startswith("label.") or key in own]  # else a key without values
        found = plain(ask(ops, way, "metric_aggregate", name, by=keys or None, **how))
        if found and keys != by:
            return
        expected += found
    several = ask(ops, way, "metric_aggregate", asked, by=by or None, **how)

    assert expected == plain(several)
    named = {"ci": "ci_code", "bucket:5h": "ts", "bucket:45m": "ts"}
    assert [*(named.get(key, key) for key in by), "metric", "unit", "n", *aggregates] == list(several.columns)


@every_way
@SETTINGS
@given(
    seed=seeds,
    asked=lists,
    span=spans,
    every=st.sampled_from([None, None, "5h"]),
    fill=st.sampled_from([None, "previous", "zero"]),
    limit=st.none() | st.integers(0, 12),
)
def test_a_table_of_several_has_the_rows_of_each(
    engine: str, frames: str, way: str, seed: int, asked: list[str] | None, span: Any, every: str | None,
    fill: str | None, limit: int | None,
) -> None:  # fmt: skip
    rows, ops = world(seed), opened(seed, engine, frames)
    known = {row["metric"] for row in [*of_a(rows, "metric_def"), *of_a(rows, "metric")]}
    asked = asked if asked is None else [name for name in asked if name in known] or None
    names = measured(rows) if asked is None else list(dict.fromkeys(asked))
    codes = sorted({ci["ci_code"] for ci in latest_cis(rows).values()})
    how: dict[str, Any] = {"time_range": span or "all", "every": every, "fill": None if every is None else fill}
    alone = [ask(ops, way, "metric_series_table", name, codes, **how) for name in names]
    columns = ["ts", "ci_code", "metric", "series", "value", "n"]
    expected = [
        tuple(row.get(name, "") for name in columns) for one in alone for row in plain(one)
    ]  # fmt: skip
    expected.sort(key=lambda row: row[:4])
    found = ask(ops, way, "metric_series_table", asked, codes, limit=limit, **how)

    assert expected[:limit] == [tuple(row.get(name, "") for name in columns) for row in plain(found)]
    assert len(expected) == ciops.provenance(found).completeness.total
    if expected:
        assert any("series" in one.columns for one in alone if len(one)) == ("series" in found.columns)


@every_way
def test_a_wide_table_of_several_names_each_metric(engine: str, frames: str, way: str, tmp_path: Path) -> None:
    rows: Rows = {
        "ci": [{"tenant_id": "a", "ci_id": "id-1", "ci_code": "srv-1", "valid_from": hours(0)}],
        "metric": [
            {**point("id-1", 0, 7.0), "metric": "cpu"},
            {**point("id-1", 1, 8.0, "sda"), "metric": "disk"},
            {**point("id-1", 1, 9.0), "metric": "cpu"},
        ],
    }
    with ciops.connect(f"{engine}:{write_world(tmp_path / 'e', rows)}", frames=frames) as ops:  # type: ignore[arg-type]
        found = ask(ops, way, "metric_series_table", ["disk", "cpu"], "srv-1", time_range="all", wide=True)

    assert [
        {"ts": hours(0), "cpu srv-1": 7.0, "disk srv-1[sda]": None},
        {"ts": hours(1), "cpu srv-1": 9.0, "disk srv-1[sda]": 8.0},
    ] == plain(found)
    assert [f"metric {name!r} has no definition: its unit and kind are not known" for name in ("disk", "cpu")] == (
        ciops.provenance(found).warnings
    )


@pytest.mark.parametrize("tool", ["metric_aggregate", "metric_series_table"])
@pytest.mark.parametrize(
    ("metric", "more", "error", "says"),
    [
        (["cpu", "cpv"], {}, ciops.errors.UnknownMetric, "'cpv'.*cpu"),
        ([], {}, ciops.errors.BadParameter, "names no metric"),
        (["cpu", 5], {}, ciops.errors.BadParameter, "is not the name of a metric"),
        (["req", "cpu"], {"agg": "rate", "every": "1h"}, ciops.errors.BadParameter, "'cpu' is a gauge"),
        (None, {"agg": "rate", "every": "1h"}, ciops.errors.BadParameter, "'cpu' is a gauge"),
    ],
)
def test_what_one_of_several_cannot_mean_is_refused(
    tool: str, metric: Any, more: dict[str, Any], error: type[Exception], says: str
) -> None:
    more = more if tool == "metric_series_table" else {name: value for name, value in more.items() if name != "every"}
    codes = sorted({ci["ci_code"] for ci in latest_cis(world(3)).values()})
    with pytest.raises(error, match=says):
        ask(opened(3), "sync", tool, metric, ci=codes, time_range="all", **more)


def test_several_are_read_in_one_query() -> None:
    with ciops.connect(Path(__file__).parents[2] / "data/demo", frames="polars") as ops:
        ops.metric_list.sync()
        before = ops.trace.frame().filter(kind="query").height
        found = ops.metric_aggregate.sync(["cpu_usage", "disk_latency", "io_wait"], time_range="all")
        after = ops.trace.frame().filter(kind="query").height

    assert ["cpu_usage", "disk_latency", "io_wait"] == found["metric"].to_list()
    assert 1 == after - before
