"""Every tool against a slow, obvious answer in plain Python, on both engines, both frame kinds, both ways to call."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ciops_nb as ciops
from ciops_nb.estate.schema import DEFAULT_RELATION_TYPES
from tests.oracle import NOW, ask, every_way
from tests.worlds import Rows, hours, worlds, write_world

SETTINGS = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@contextmanager
def session(rows: Rows, engine: str, frames: Any, tenant: str = "a") -> Iterator[ciops.Ops]:
    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder), rows)
        with ciops.connect(f"{engine}:{folder}", tenant=tenant, frames=frames, now=NOW) as ops:
            yield ops


def plain(frame: Any) -> list[dict[str, Any]]:
    """The rows of either kind of frame as dicts of plain values, null as None."""
    rows = frame.rows(named=True) if isinstance(frame, pl.DataFrame) else frame.astype(object).to_dict("records")
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value


def at(rows: list[dict[str, Any]], moment: datetime) -> list[dict[str, Any]]:
    return [
        row
        for row in rows
        if row["tenant_id"] == "a"
        and row["valid_from"] <= moment
        and (row.get("valid_to") is None or moment < row["valid_to"])
    ]


def cis_at(rows: Rows, moment: datetime) -> dict[str, dict[str, Any]]:
    """The CIs of tenant a by code; of versions that meet, the one that began last."""
    found: dict[str, dict[str, Any]] = {}
    for row in at(rows["ci"], moment):
        if row["ci_code"] not in found or row["valid_from"] > found[row["ci_code"]]["valid_from"]:
            found[row["ci_code"]] = row
    return found


def tag_of(rows: Rows, ci: dict[str, Any], moment: datetime) -> str | None:
    return next((row["value"] for row in at(rows["ci_property"], moment) if row["ci_id"] == ci["ci_id"]), None)


@every_way
@SETTINGS
@given(
    rows=worlds(),
    hour=st.integers(0, 30),
    words=st.sampled_from(["ci-1", "web", "CI", "%", "script", "ci hw", "zz", "server web"]),
)
def test_search_finds_what_contains_each_word(
    engine: str, frames: str, way: str, rows: Rows, hour: int, words: str
) -> None:
    moment = hours(hour)
    expected = set()
    for code, ci in cis_at(rows, moment).items():
        texts = [ci["ci_code"], ci["ci_name"], ci["ci_type"], tag_of(rows, ci, moment)]
        if all(any(word in (text or "").lower() for text in texts) for word in words.lower().split()):
            expected.add(code)
    with session(rows, engine, frames) as ops:
        found = ask(ops, way, "ci_search", words, as_of=moment, limit=None)
    assert expected == {row["ci_code"] for row in plain(found)}
    scores = [(-row["score"], row["ci_code"]) for row in plain(found)]
    assert sorted(scores) == scores


@every_way
@SETTINGS
@given(rows=worlds(), hour=st.integers(0, 30), limit=st.integers(0, 5), offset=st.integers(0, 5))
def test_list_is_cut_where_it_says(
    engine: str, frames: str, way: str, rows: Rows, hour: int, limit: int, offset: int
) -> None:
    moment = hours(hour)
    everything = sorted(cis_at(rows, moment).values(), key=lambda ci: (-ci["created_at"].timestamp(), ci["ci_code"]))
    expected = [ci["ci_code"] for ci in everything][offset : offset + limit]
    with session(rows, engine, frames) as ops:
        found = ask(ops, way, "ci_list_preview", as_of=moment, limit=limit, offset=offset)
    assert expected == [row["ci_code"] for row in plain(found)]
    told = ciops.provenance(found).completeness
    assert (len(expected), len(everything)) == (told.returned, told.total)
    assert len(everything) - len(expected) == sum(item.count for item in told.left_out)
    assert ("complete" if len(expected) == len(everything) else "truncated") == told.status


WHERES: list[tuple[dict[str, Any], Any]] = [
    ({"ci_type": "HW"}, lambda ci, tag: ci["ci_type"] == "HW"),
    ({"ci_type": ("!=", "HW")}, lambda ci, tag: ci["ci_type"] != "HW"),
    ({"criticality": (">=", 3)}, lambda ci, tag: ci["criticality"] is not None and ci["criticality"] >= 3),
    ({"ci_name": ("contains", "%")}, lambda ci, tag: "%" in (ci["ci_name"] or "")),
    ({"ci_name": ["db", None]}, lambda ci, tag: ci["ci_name"] in ("db", None)),
    (
        {"ci_name": ("not_in", ["db", "'; drop table ci; --"])},
        lambda ci, tag: ci["ci_name"] not in ("db", "'; drop table ci; --"),
    ),
    ({"tags.role": ["db", "web"]}, lambda ci, tag: tag in ("db", "web")),
    ({"tags.role": ("!=", "db")}, lambda ci, tag: tag != "db"),
    ({"tags.role": ("is_null", True)}, lambda ci, tag: tag is None),
    ({"tags.role": ("startswith", "W")}, lambda ci, tag: (tag or "").startswith("W")),
    ({"ci_type": ("in", []), "criticality": 3}, lambda ci, tag: False),
]


@every_way
@SETTINGS
@given(rows=worlds(), number=st.integers(0, len(WHERES) - 1))
def test_where_keeps_what_python_would_keep(engine: str, frames: str, way: str, rows: Rows, number: int) -> None:
    where, keeps = WHERES[number]
    expected = sorted(code for code, ci in cis_at(rows, NOW).items() if keeps(ci, tag_of(rows, ci, NOW)))
    with session(rows, engine, frames) as ops:
        known = any(row["tenant_id"] == "a" for row in rows["ci_property"])
        if "tags.role" in where and not known:
            with pytest.raises(ciops.errors.UnknownField):
                ask(ops, way, "ci_list_preview", where=where)
            return
        found = ask(ops, way, "ci_list_preview", where=where, sort="ci_code", limit=None)
    assert expected == [row["ci_code"] for row in plain(found)]


@every_way
@SETTINGS
@given(rows=worlds(), hour=st.integers(0, 30))
def test_get_gives_one_row_per_code_in_the_order_asked(
    engine: str, frames: str, way: str, rows: Rows, hour: int
) -> None:
    moment = hours(hour)
    known = cis_at(rows, moment)
    codes = [*reversed(known), *list(known)[:1]]
    with session(rows, engine, frames) as ops:
        if not codes:
            with pytest.raises(ciops.errors.ItemNotFound, match="ci-0"):
                ask(ops, way, "ci_get_by_code", "ci-0", as_of=moment)
            return
        found = plain(ask(ops, way, "ci_get_by_code", codes, as_of=moment))
        by_id = plain(ask(ops, way, "ci_get", [known[code]["ci_id"] for code in codes], as_of=moment))
    assert [(code, known[code]["owner"], known[code]["criticality"]) for code in codes] == [
        (row["ci_code"], row["owner"], row["criticality"]) for row in found
    ]
    assert [row["tags"].get("role") for row in found] == [tag_of(rows, known[code], moment) for code in codes]
    assert found == by_id


@every_way
@SETTINGS
@given(rows=worlds(), hour=st.integers(0, 30))
def test_aggregate_counts_null_as_a_group(engine: str, frames: str, way: str, rows: Rows, hour: int) -> None:
    moment = hours(hour)
    groups: dict[Any, list[Any]] = {}
    for ci in cis_at(rows, moment).values():
        groups.setdefault(ci["ci_type"], []).append(ci["criticality"])
    expected = []
    for key, values in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0] is None, item[0] or "")):
        some = [value for value in values if value is not None]
        expected.append((key, len(values), max(some, default=None), sum(some), len(set(some))))
    with session(rows, engine, frames) as ops:
        asked = ["count", "max:criticality", "sum:criticality", "count_distinct:criticality"]
        found = plain(ask(ops, way, "ci_aggregate", "ci_type", measures=asked, as_of=moment))
    assert expected == [(row["ci_type"], *(row[name] for name in asked)) for row in found]


@every_way
@SETTINGS
@given(rows=worlds(), first=st.integers(0, 6), length=st.integers(1, 12))
def test_metrics_equal_plain_sums(engine: str, frames: str, way: str, rows: Rows, first: int, length: int) -> None:
    span = (hours(first), hours(first + length))
    points = sorted(
        (row["ts"], row["ci_id"].replace("a-", "ci-"), row["series"], row["value"])
        for row in rows["metric"]
        if row["tenant_id"] == "a" and span[0] <= row["ts"] < span[1]
    )
    values = sorted(value for *_, value in points if not math.isnan(value))
    with session(rows, engine, frames) as ops:
        if not any(row["tenant_id"] == "a" for row in rows["ci"]):
            return
        total = plain(
            ask(ops, way, "metric_aggregate", "cpu", time_range=span, agg=["count", "sum", "min", "max", "p50"])
        )
        by = plain(ask(ops, way, "metric_aggregate", "cpu", time_range=span, agg="count", by="ci"))
        every_code = sorted({row["ci_code"] for row in rows["ci"]})
        raw = plain(ask(ops, way, "metric_series_table", "cpu", every_code, time_range=span))
    if values:
        middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
        assert [len(values), sum(values), values[0], values[-1], middle] == [
            total[0][name] for name in ("count", "sum", "min", "max", "p50")
        ]
    else:
        assert total == []
    counts: dict[str, int] = {}
    for _, code, _, value in points:
        counts[code] = counts.get(code, 0) + (not math.isnan(value))
    assert sorted((code, n) for code, n in counts.items() if n) == [(row["ci_code"], row["n"]) for row in by]
    assert [(ts, code, series, None if math.isnan(value) else value) for ts, code, series, value in points] == [
        (row["ts"], row["ci_code"], row.get("series", ""), row["value"]) for row in raw
    ]


@every_way
@SETTINGS
@given(rows=worlds(), first=st.integers(0, 20), length=st.integers(1, 12), limit=st.integers(0, 6))
def test_history_holds_what_overlaps(
    engine: str, frames: str, way: str, rows: Rows, first: int, length: int, limit: int
) -> None:
    start, end = hours(first), hours(first + length)
    expected = [
        (row["ts"], "event", row["event_id"])
        for row in rows["event"]
        if row["tenant_id"] == "a" and start <= row["ts"] < end
    ] + [
        (row["start_at"], "change", row["change_id"])
        for row in rows["change"]
        if row["tenant_id"] == "a"
        and row["start_at"] < end
        and (row["start_at"] >= start or row["end_at"] is None or row["end_at"] > start)
    ]
    expected.sort(key=lambda row: (-row[0].timestamp(), row[1], row[2]))
    with session(rows, engine, frames) as ops:
        found = ask(ops, way, "history_recent", time_range=(start, end), limit=limit)
    assert expected[:limit] == [(row["start_at"], row["kind"], row["record_id"]) for row in plain(found)]
    told = ciops.provenance(found).completeness
    assert (len(expected), len(expected) - len(expected[:limit])) == (
        told.total,
        sum(item.count for item in told.left_out),
    )


@every_way
@SETTINGS
@given(rows=worlds(), hour=st.integers(0, 30), depth=st.integers(0, 3), budget=st.integers(1, 8))
def test_expand_equals_a_walk(
    engine: str, frames: str, way: str, rows: Rows, hour: int, depth: int, budget: int
) -> None:
    moment = hours(hour)
    codes = {ci["ci_id"]: code for code, ci in cis_at(rows, moment).items()}
    edges = {
        (codes[row["source_id"]], codes[row["target_id"]], row["relation_type"])
        for row in at(rows["relation"], moment)
        if row["source_id"] in codes and row["target_id"] in codes
    }
    if "ci-0" not in codes.values():
        return
    near: dict[str, set[str]] = {code: set() for code in codes.values()}
    for source, target, _ in edges:
        near[source].add(target)
        near[target].add(source)
    order, hops, level = ["ci-0"], {"ci-0": 0}, ["ci-0"]
    for hop in range(1, depth + 1):
        level = sorted({other for code in level for other in near[code]} - set(hops))
        hops.update(dict.fromkeys(level, hop))
        order += level
    kept = order[:budget]
    frontier = [
        (code, len(near[code] - set(kept) - {code}), "depth" if hops[code] == depth else "max_nodes") for code in kept
    ]
    with session(rows, engine, frames) as ops:
        graph = ask(ops, way, "graph_expand", "ci-0", depth=depth, max_nodes=budget, as_of=moment)
    assert kept == list(graph)
    assert [hops[code] for code in kept] == [graph.nodes[code]["hops"] for code in kept]
    assert {edge for edge in edges if edge[0] in kept and edge[1] in kept} == set(graph.edges(keys=True))
    assert {kind: DEFAULT_RELATION_TYPES[kind] for *_, kind in graph.edges(keys=True)} == graph.graph["impact"]
    assert [entry for entry in frontier if entry[1]] == [
        (entry["ci_code"], entry["count"], entry["why"]) for entry in graph.graph["frontier"]
    ]
    told = ciops.provenance(graph).completeness
    assert (len(kept), len(order)) == (told.returned, told.total)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@SETTINGS
@given(rows=worlds())
def test_nothing_of_another_tenant_is_seen(engine: str, rows: Rows) -> None:
    rows["ci"].append(
        {
            **rows["ci"][-1],
            "tenant_id": "b",
            "ci_id": "b-secret",
            "ci_code": "ci-secret",
            "ci_name": "secret",
            "valid_from": hours(0),
            "valid_to": None,
        }
    )
    rows["metric_def"].append({"tenant_id": "b", "metric": "secret_metric", "unit": "x", "kind": "gauge"})
    rows["ci_property"].append(
        {
            "tenant_id": "b",
            "ci_id": "b-secret",
            "kind": "tag",
            "name": "secret_tag",
            "value": "secret",
            "valid_from": hours(0),
        }
    )
    with session(rows, engine, "polars") as ops:
        seen = [
            ops.ci_search.sync(limit=None),
            ops.ci_list_preview.sync(limit=None),
            ops.ci_aggregate.sync("owner", top=None),
            ops.metric_list.sync(),
            ops.metric_aggregate.sync("cpu", time_range="all", by=["ci", "owner"]),
            ops.history_recent.sync(time_range="all", limit=None),
            ops.estate.sync(),
        ]
        for ask_wrong in (
            lambda: ops.ci_get_by_code.sync("ci-secre"),
            lambda: ops.metric_aggregate.sync("secret_metri"),
            lambda: ops.ci_search.sync(where={"tags.secret_ta": "x"}),
            lambda: ops.graph_expand.sync("ci-secret"),
            lambda: ops.ci_get.sync("b-0"),
        ):
            with pytest.raises(LookupError) as caught:
                ask_wrong()
            assert not {"ci-secret", "secret_metric", "tags.secret_tag", "b-0"} & set(caught.value.similar)
    for frame in seen:
        text = frame.write_json() + str(ciops.provenance(frame))
        assert "secret" not in text
        assert '"b ' not in text
