"""The search of CIs against a slow, obvious scoring in plain Python."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ciops_nb as ciops
from tests.worlds import hours, write_world

FIELDS = ("ci_code", "ci_name", "ci_type", "ci_subtype", "ci_category")
TEXTS = st.lists(
    st.sampled_from(["app", "erp", "Erp", "db", "ü", "app-erp", "1", "p", "-", " ", "_", "%", ".*", "\n"]), max_size=4
).map("".join)
WORDS = st.lists(
    st.sampled_from(["app", "erp", "ERP", "db", "p", "e", "app-erp", "1", "-", "%", "Ü", ".*", "(", "_", "zz"]),
    max_size=3,
)


@st.composite
def named(draw: st.DrawFn) -> list[dict[str, Any]]:
    """CIs with their texts, and tags: a name may have two values, a value may be null."""
    return [
        {
            "ci_id": f"id{number}",
            "ci_code": f"{draw(TEXTS)}{number}" if draw(st.booleans()) else draw(st.sampled_from("abcdef")) + str(number),
            **{name: draw(st.none() | TEXTS) for name in FIELDS[1:]},
            "tags": draw(st.lists(st.tuples(st.sampled_from(["role", "env", "a"]), st.none() | TEXTS), max_size=3)),
        }
        for number in range(draw(st.integers(1, 5)))
    ]  # fmt: skip


def written(folder: str, cis: list[dict[str, Any]]) -> Path:
    ci = [{"tenant_id": "t", "valid_from": hours(0), **{name: row[name] for name in ("ci_id", *FIELDS)}} for row in cis]
    tags = [
        {"tenant_id": "t", "ci_id": row["ci_id"], "kind": "tag", "name": name, "value": value, "valid_from": hours(n)}
        for row in cis
        for n, (name, value) in enumerate(row["tags"])
    ]
    return write_world(Path(folder), {"ci": ci, "ci_property": tags})


def level(field: str, text: str, word: str) -> float:
    """How well *word*, which is in *text*, is met."""
    if field == "ci_code" and text == word:
        return 1.0
    if field == "ci_name" and text == word:
        return 0.8
    if field in ("ci_code", "ci_name") and text.startswith(word):
        return 0.6
    return 0.4 if f" {word} " in f" {re.sub(r'[^0-9a-zü]+', ' ', text)} " else 0.2


def scored(row: dict[str, Any], words: list[str], match: str) -> tuple[float, str] | None:
    """Score and matched_on of one CI; None if it is not found."""
    texts = [(rank, name, row[name]) for rank, name in enumerate(FIELDS)]
    texts += [(9, f"tags.{name}", value) for name, value in row["tags"]]
    lower = [(rank, field, text.lower()) for rank, field, text in texts if text is not None]
    best = [
        min(((-level(field, text, word), rank, field) for rank, field, text in lower if word in text), default=None)
        for word in words
    ]
    found = [one for one in best if one is not None]
    if not found or (match == "all" and len(found) < len(words)):
        return None
    score = sum(-one[0] for one in found) / len(words)
    matched_on = ", ".join(dict.fromkeys(one[2] for one in found))
    phrase = " ".join(words)
    if len(words) > 1:
        for rank, field, text in lower:
            if rank < 2 and text.startswith(phrase) and level(field, text, phrase) > score + 1e-12:
                score, matched_on = level(field, text, phrase), field
    return score, matched_on


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cis=named(), words=WORDS, match=st.sampled_from(["all", "any"]), limit=st.none() | st.integers(0, 3))
def test_search_scores_as_a_reader_would(
    cis: list[dict[str, Any]], words: list[str], match: str, limit: int | None
) -> None:
    lower = [word.lower() for word in words]
    told = {row["ci_code"]: scored(row, lower, match) if lower else (0.0, None) for row in cis}
    expected = sorted((-one[0], code, one[1]) for code, one in told.items() if one is not None)
    with tempfile.TemporaryDirectory() as folder, ciops.connect(written(folder, cis), frames="polars") as ops:
        found = ops.ci_search.sync(" ".join(words), match=match, limit=limit, as_of=hours(9))
    assert [(code, on) for _, code, on in expected][:limit] == list(found.select("ci_code", "matched_on").iter_rows())
    assert found["score"].to_list() == pytest.approx([-score for score, *_ in expected][:limit])
    assert len(expected) == ciops.provenance(found).completeness.total


@pytest.mark.parametrize("sort", ["owner", "-owner", "criticality", "-created_at"])
def test_search_sorts_by_a_column_with_nulls_last_and_ties_by_code(sort: str) -> None:
    values = [("b", 2, 1), (None, None, None), ("a", 3, 1), ("b", 1, 2), ("a", None, 2)]
    ci = [
        {
            "tenant_id": "t",
            "ci_id": f"id{9 - number}",
            "ci_code": f"app{number}",
            "valid_from": hours(0),
            "owner": owner,
            "criticality": criticality,
            "created_at": None if created is None else hours(created),
        }
        for number, (owner, criticality, created) in enumerate(values)
    ]
    name, down = sort.removeprefix("-"), sort.startswith("-")
    held = sorted((row for row in ci if row[name] is not None), key=lambda row: row[name], reverse=down)
    expected = [row["ci_code"] for row in [*held, *(row for row in ci if row[name] is None)]]
    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder), {"ci": ci})
        with ciops.connect(folder) as ops:
            for found in (ops.ci_search.sync("app", sort=sort), ops.ci_list_preview.sync(sort=sort)):
                assert expected == list(found["ci_code"])
