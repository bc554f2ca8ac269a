"""``ci_search``, ``ci_get``, ``ci_list_preview`` and ``ci_aggregate`` against plain Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ciops_nb as ciops
from tests.oracle import (
    NOW,
    SETTINGS,
    ask,
    cis_at,
    conditions,
    digits,
    every_way,
    known_fields,
    meets,
    number,
    of_a,
    opened,
    plain,
    seeds,
    world,
)
from tests.worlds import Rows, hours, write_world

SEARCHED = ("ci_code", "ci_name", "ci_type", "ci_subtype", "ci_category")


@every_way
@SETTINGS
@given(seed=seeds, where=conditions(), hour=st.integers(0, 30), tool=st.sampled_from(["ci_list_preview", "ci_search"]))
def test_where_keeps_what_python_would_keep(
    engine: str, frames: str, way: str, seed: int, where: dict[str, Any], hour: int, tool: str
) -> None:
    rows, ops, moment = world(seed), opened(seed, engine, frames), hours(hour)
    asked: dict[str, Any] = {"where": where, "as_of": moment, "sort": "ci_code", "limit": None}
    unknown = {field for field in where if "." in field} - known_fields(rows)
    if unknown:
        with pytest.raises(ciops.errors.UnknownField, match=re.escape(repr(next(f for f in where if f in unknown)))):
            ask(ops, way, tool, **asked)
        return
    expected = sorted(ci["ci_code"] for ci in cis_at(rows, moment) if meets(ci, where))
    assert expected == [row["ci_code"] for row in plain(ask(ops, way, tool, **asked))]


def score_of(ci: dict[str, Any], words: list[str], match: str) -> tuple[float, str] | None:
    """The score and ``matched_on`` of one CI, as the docstring of ``ci_search`` says; None if it is not found."""
    texts = {name: (ci[name] or "").lower() for name in SEARCHED if ci[name] is not None}
    texts |= {name: ci[name].lower() for name in sorted(ci) if name.startswith("tags.") and ci[name] is not None}

    def level(field: str, word: str) -> float:
        text = texts[field]
        if word not in text:
            return 0.0
        if text == word and field in ("ci_code", "ci_name"):
            return 1.0 if field == "ci_code" else 0.8
        if text.startswith(word) and field in ("ci_code", "ci_name"):
            return 0.6
        parted = re.sub(r"[\W_]+", " ", text)
        return 0.4 if f" {word} " in f" {parted} " else 0.2

    best = [max(((level(field, word), -place, field) for place, field in enumerate(texts)), default=(0.0, 0, "")) for word in words]  # fmt: skip
    found = [entry for entry in best if entry[0]]
    if not found or (match == "all" and len(found) < len(words)):
        return None
    score = sum(entry[0] for entry in found) / len(words)
    whole = max(((level(field, " ".join(words)), -place, field) for place, field in enumerate(texts)))
    if len(words) > 1 and whole[0] >= 0.6 and whole[0] > score:
        return whole[0], whole[2]
    return score, ", ".join(dict.fromkeys(entry[2] for entry in found))


@every_way
@SETTINGS
@given(
    seed=seeds,
    hour=st.integers(0, 30),
    match=st.sampled_from(["all", "any"]),
    words=st.lists(st.sampled_from(["ci-1", "web", "CI", "%", "<script>", "hw", "zz", "server", "_", "ünï", "b"]), min_size=1, max_size=3),
)  # fmt: skip
def test_search_scores_as_it_says(
    engine: str, frames: str, way: str, seed: int, hour: int, match: str, words: list[str]
) -> None:
    scored = {
        ci["ci_code"]: score_of(ci, [word.lower() for word in words], match) for ci in cis_at(world(seed), hours(hour))
    }
    expected = sorted(
        ((digits(found[0]), code, found[1]) for code, found in scored.items() if found),
        key=lambda row: (-row[0], row[1]),
    )
    found = ask(opened(seed, engine, frames), way, "ci_search", " ".join(words), match=match, as_of=hours(hour))
    assert expected == [(row["score"], row["ci_code"], row["matched_on"]) for row in plain(found)]


KEYS = ["ci_type", "criticality", "created_at", "tags.role", "tags.a.b %", "attributes.cores", "owner"]
MEASURES = [
    "count", "count_distinct:ci_type", "count_distinct:tags.role", "min:criticality", "max:criticality",
    "mean:criticality", "sum:criticality", "min:created_at", "max:owner", "sum:attributes.cores",
    "mean:attributes.cores", "min:attributes.cores", "max:attributes.cores", "count_distinct:attributes.cores",
]  # fmt: skip


def measure_of(group: list[dict[str, Any]], name: str) -> Any:
    kind, _, field = name.partition(":")
    if kind == "count":
        return len(group)
    values = [ci.get(field) for ci in group]
    if field.startswith("attributes.") and kind != "count_distinct":
        values = [number(value) for value in values]
    some = [value for value in values if value is not None]
    if kind == "count_distinct":
        return len(set(some))
    if kind == "sum":
        return digits(sum(some)) if field.startswith("attributes.") else sum(some)
    if not some:
        return None
    found = sum(some) / len(some) if kind == "mean" else {"min": min, "max": max}[kind](some)
    return digits(found) if isinstance(found, float) else found


def biggest_first(values: tuple[Any, ...]) -> Any:
    """The order of an aggregate: its first measure descending, then the keys, nulls last."""
    first, *keys = values
    descending = (first is None, -first.timestamp() if hasattr(first, "timestamp") else -(first or 0))
    return descending, [(key is None, key if key is not None else 0) for key in keys]


@every_way
@SETTINGS
@given(
    seed=seeds,
    by=st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True),
    measures=st.lists(st.sampled_from(MEASURES), min_size=1, max_size=4, unique=True),
    hour=st.integers(0, 30),
    top=st.none() | st.integers(0, 4),
)
def test_aggregate_equals_plain_groups(
    engine: str, frames: str, way: str, seed: int, by: list[str], measures: list[str], hour: int, top: int | None
) -> None:
    rows, ops = world(seed), opened(seed, engine, frames)
    fields = {*by, *(name.partition(":")[2] for name in measures)}
    if measures[0] == "max:owner" or {field for field in fields if "." in field} - known_fields(rows):
        return
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for ci in cis_at(rows, hours(hour)):
        groups.setdefault(tuple(ci.get(key) for key in by), []).append(ci)
    made = [(*key, *(measure_of(group, name) for name in measures)) for key, group in groups.items()]
    expected = sorted(made, key=lambda row: biggest_first((row[len(by)], *row[: len(by)])))
    found = ask(ops, way, "ci_aggregate", by, measures=measures, as_of=hours(hour), top=top)
    assert expected[:top] == [tuple(row.values()) for row in plain(found)]
    assert [*by, *measures] == list(found.columns)
    left = sum(item.count for item in ciops.provenance(found).completeness.left_out)
    assert len(expected) == left + len(found)


def reused(folder: Path) -> Path:
    """A CI that was renamed, and another that took its code."""
    base = {"tenant_id": "a", "ci_id": "id-1"}
    rows: Rows = {
        "ci": [
            {**base, "ci_code": "x", "ci_type": "HW", "valid_from": hours(0), "valid_to": hours(5)},
            {**base, "ci_code": "y", "ci_type": "HW", "valid_from": hours(5), "valid_to": None},
            {**base, "ci_id": "id-2", "ci_code": "x", "ci_type": "SW", "valid_from": hours(5), "valid_to": None},
        ]
    }
    return write_world(folder, rows)


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize(("hour", "kind"), [(1, "HW"), (6, "SW")])
def test_a_code_means_the_ci_that_has_it_at_that_moment(tmp_path: Path, engine: str, hour: int, kind: str) -> None:
    with ciops.connect(f"{engine}:{reused(tmp_path / 'e')}", frames="polars") as ops:
        found = ops.ci_aggregate.sync("ci_type", ci="x", as_of=hours(hour))
        assert [(kind, 1)] == found.rows()
        assert [kind] == ops.ci_get_by_code.sync("x", as_of=hours(hour))["ci_type"].to_list()


@every_way
@SETTINGS
@given(seed=seeds, hour=st.integers(0, 30))
def test_get_gives_tags_and_attributes_of_the_moment(engine: str, frames: str, way: str, seed: int, hour: int) -> None:
    cis = cis_at(world(seed), hours(hour))
    found = ask(opened(seed, engine, frames), way, "ci_get", [ci["ci_id"] for ci in cis], as_of=hours(hour))
    expected = [
        tuple({name.partition(".")[2]: ci[name] for name in ci if name.startswith(kind)} for kind in ("tags.", "attributes."))
        for ci in cis
    ]  # fmt: skip
    assert expected == [(row["tags"], row["attributes"]) for row in plain(found)]


def test_the_scope_of_an_aggregate_is_a_frame_a_graph_or_codes() -> None:
    ops = opened(3)
    codes = sorted(ci["ci_code"] for ci in cis_at(world(3), NOW))
    frame, graph = ops.ci_search.sync(), ops.graph_expand.sync(codes, depth=0)
    answers = [ops.ci_aggregate.sync("ci_code", ci=scope, top=None) for scope in (codes, set(codes), frame, graph)]

    assert len(codes) > 3
    for answer in answers:
        assert [(code, 1) for code in codes] == answer.rows()


@pytest.mark.parametrize("scope", [[], (), set()])
def test_no_ci_in_scope_is_an_empty_answer(scope: Any) -> None:
    for engine in ("polars", "duckdb"):
        ops = opened(3, engine)
        assert 0 == ops.ci_aggregate.sync("ci_type", ci=scope).height
        assert 0 == ops.metric_aggregate.sync("cpu", ci=scope, time_range="all").height
        assert 0 == ops.metric_series_table.sync("cpu", scope, time_range="all").height
        assert 0 == ops.history_recent.sync(scope, time_range="all").height
        assert 0 == ops.metric_list.sync(scope).height


def test_the_worlds_hold_what_they_are_for() -> None:
    cis = [ci for seed in range(12) for ci in cis_at(world(seed), NOW)]
    assert {"HW", "SW", None} == {ci["ci_type"] for ci in cis}
    assert any(ci["ci_code"].endswith("-new") for ci in cis)
    for table in world(3):
        assert of_a(world(3), table), table
