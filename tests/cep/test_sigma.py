"""Sigma rules and correlations, as rules of ours and against SQLite."""

from __future__ import annotations

import json
import random
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadParameter, BadRule
from tests.cep.cases import case, compared, events, needs_cases, seqs, zulu

pytest.importorskip("sigma", reason="PYSIGMA IS NOT HERE: pip install 'ciops_nb[sigma]', nothing compared")

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = {"start": START, "end": START + timedelta(hours=1)}


def rule(detection: str, name: str = "e") -> str:
    return f"title: {name}\nname: {name}\nlogsource: {{product: ops}}\ndetection:\n  {detection}\n"


def correlation(text: str, rules: str = "[e]") -> str:
    return f"title: c\ncorrelation: {{rules: {rules}, group-by: [ci], timespan: 5m, {text}}}\n"


ERR = rule("{selection: {type: err}, condition: selection}")


@needs_cases
@pytest.mark.parametrize("name", ["s01_event_count", "s03_temporal", "s05_count_eq"])
def test_the_native_rules_of_the_cases_are_answered_as_by_sqlite(name: str) -> None:
    native = case(name)["native"]["rules"]
    found = replay(load(native, format="sigma"), events=events(name), **HOUR)

    assert [] == compared(
        name,
        [
            {"ci": r["ci"], "occurred_at": zulu(r["fired_at"]), "metric": r["value"], "event_seqs": seqs(r["evidence"])}
            for r in found.to_dicts()
        ],
    )
    assert ["rule"] == found["rule"].unique().to_list()


def rows(seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    found = [
        {
            "ts": START + timedelta(seconds=rng.choice([0, 0, 1, 30]), minutes=rng.randrange(60)),
            "ci": rng.choice(["a", "b", None]),
            "type": rng.choice(["err", "err", "deploy", "ok", None]),
            "user": rng.choice(["root", "rooter", "bob", "a*b", "50%", "x_y", None]),
            "n": rng.choice([1, 5, 7, None]),
        }
        for _ in range(80)
    ]
    return [{"seq": n, **row} for n, row in enumerate(sorted(found, key=lambda row: row["ts"]), start=1)]


def by_sqlite(text: str, given: list[dict[str, Any]]) -> list[Any]:
    """The moments, keys, numbers and events of the one correlation in *text*, by pySigma's own back end."""
    sqlite = pytest.importorskip("sigma.backends.sqlite", reason="pysigma-backend-sqlite is not here")
    from sigma.collection import SigmaCollection

    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE logs (seq INTEGER, ts TEXT, ci TEXT, type TEXT, user TEXT, n INTEGER)")
    for row in given:
        values = (row["seq"], row["ts"].strftime("%Y-%m-%d %H:%M:%S"), row["ci"], row["type"], row["user"], row["n"])
        database.execute("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", values)
    backend = sqlite.sqliteBackend(timestamp_field="ts", event_id_field="seq")
    (query,) = backend.convert(SigmaCollection.from_yaml(text))
    cursor = database.execute(query)
    names = [column[0] for column in cursor.description]
    found = []
    for values in cursor:
        one = dict(zip(names, values, strict=True))
        at = datetime.fromtimestamp(one["occurrence_time"], UTC)
        ids = sorted(int(text.partition(":")[2]) for text in json.loads(one["event_ids"]))
        found.append((at, json.loads(one["group_keys"]).get("ci"), float(one["metric_value"]), ids))
    database.close()
    return sorted(found, key=lambda one: (one[0], one[1] or ""))


def by_us(text: str, given: list[dict[str, Any]]) -> list[Any]:
    found = replay(load(text, format="sigma"), events=pl.DataFrame(given, infer_schema_length=None), **HOUR)
    return sorted(
        (
            (r["fired_at"], r["ci"], r["value"], sorted(int(record["record_id"]) for record in r["evidence"]))
            for r in found.to_dicts()
        ),
        key=lambda one: (one[0], one[1] or ""),
    )


DETECTIONS = [
    "{selection: {type: err}, condition: selection}",
    "{selection: {type: [err, deploy], n: 5}, condition: selection}",
    "{selection: {user|contains: oot}, condition: selection}",
    "{selection: {user|startswith: [roo, b]}, condition: selection}",
    "{selection: {user|endswith: er}, condition: selection}",
    "{selection: {user: 'ro*'}, condition: selection}",
    "{selection: {user: 'r?ot'}, condition: selection}",
    "{selection: {user: 'a\\*b'}, condition: selection}",
    "{selection: {user: '50%'}, condition: selection}",
    "{selection: {user|contains: '_'}, condition: selection}",
    "{selection: {user|contains|all: [r, t]}, condition: selection}",
    "{selection: {n|gte: 5}, condition: selection}",
    "{selection: {n|lt: 5}, condition: selection}",
    "{selection: {user: null}, condition: selection}",
    "{selection: {user|exists: true}, condition: selection}",
    "{selection: {type: err}, filter: {user: root}, condition: selection and not filter}",
    "{selection: {type: err}, f1: {user: root}, f2: {n: 5}, condition: selection and not 1 of f*}",
    "{selection: {type: err}, f1: {user: root}, f2: {n: 5}, condition: selection and not all of f*}",
    "{a: [{type: err}, {n: 7}], b: {user: bob}, condition: a or b}",
    "{selection: {user|cased: root}, condition: selection}",
    "{selection: {user|startswith|cased: roo}, condition: selection}",
]


@pytest.mark.parametrize("detection", DETECTIONS)
def test_detections_are_answered_as_by_sqlite(detection: str) -> None:
    text = f"{rule(detection)}---\n{correlation('type: event_count, condition: {gte: 2}')}"
    answers = [by_us(text, rows(seed)) for seed in range(3)]

    assert any(answers)
    assert answers == [by_sqlite(text, rows(seed)) for seed in range(3)]


CORRELATIONS = [
    ("type: event_count, condition: {gt: 2}", "[e]"),
    ("type: event_count, condition: {lte: 1}", "[e]"),
    ("type: event_count, condition: {neq: 2}", "[e]"),
    ("type: event_count, condition: {lt: 3}", "[e, d]"),
    ("type: value_count, condition: {gte: 2, field: user}", "[e]"),
    ("type: value_count, condition: {eq: 0, field: user}", "[e]"),
    ("type: value_count, condition: {gte: 3, field: user}", "[e, d]"),
    ("type: temporal", "[e, d]"),
    ("type: temporal", "[e, d, o]"),
    ("type: temporal, condition: {gte: 2}", "[e, d, o]"),
    ("type: temporal, condition: {gt: 1}", "[e, d, o]"),
]


@pytest.mark.parametrize(("asked", "rules"), CORRELATIONS)
def test_correlations_are_answered_as_by_sqlite(asked: str, rules: str) -> None:
    every = {
        "e": ERR,
        "d": rule("{selection: {type: deploy}, condition: selection}", "d"),
        "o": rule("{selection: {n|gte: 5}, condition: selection}", "o"),  # some of these are of another kind too
    }
    text = "---\n".join([*(every[name] for name in rules.strip("[]").split(", ")), correlation(asked, rules)])
    answers = [by_us(text, rows(seed)) for seed in range(3)]

    assert any(answers)
    assert answers == [by_sqlite(text, rows(seed)) for seed in range(3)]


def test_a_rule_by_itself_is_found_at_each_of_its_events() -> None:
    text = """
title: Errors
id: 5638f7c0-70bf-4809-bedc-cf4c1b9d8f3a
description: Something is wrong.
status: test
level: high
tags: [attack.t1059]
logsource: {product: ops, category: app}
detection: {selection: {type: ERR, user|contains: OO}, condition: selection}
"""
    (read,) = load(text, format="sigma")
    given = rows(1)

    assert "Errors" == read.id
    assert {
        "title": "Errors", "sigma_id": "5638f7c0-70bf-4809-bedc-cf4c1b9d8f3a", "description": "Something is wrong.",
        "status": "test", "level": "high", "tags": "attack.t1059", "logsource": "category=app, product=ops",
    } == read.annotations  # fmt: skip
    expected = {
        (row["ts"], row["ci"]) for row in given if row["type"] == "err" and row["ci"] and "oo" in (row["user"] or "")
    }
    assert expected == {one[:2] for one in by_us(text, given)}
    assert [read] == load(read.plain())


def test_rules_are_named_once_and_those_that_are_referred_to_only_where_they_are_asked_for(tmp_path: Path) -> None:
    asked = correlation("type: event_count, condition: {gte: 2}")
    path = tmp_path / "rules.yml"
    path.write_text(f"{ERR}---\n{asked}---\n{asked}")

    assert ["c", "c (2)"] == [one.id for one in load(path, format="sigma")]
    assert ["c", "c (2)"] == [one.id for one in load(str(path), format="sigma")]
    generating = correlation("generate: true, type: event_count, condition: {gte: 2}")
    assert {"c", "e"} == {one.id for one in load(f"{ERR}---\n{generating}", format="sigma")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "is not YAML"),
        ("", "there is no rule"),
        ("foo", "is no Sigma rule"),
        ("- a\n- b\n", "is no Sigma rule"),
        ("title: x\ndetection: {s: {a: b}, condition: s}\n", "log source"),
        ("title: x\nlogsource: [a]\ndetection: {s: {a: b}, condition: s}\n", "pySigma cannot read them"),
        (rule("{s: {a|what: b}, condition: s}"), "Unknown modifier 'what'"),
        (rule("{s: {a: b}, condition: t}"), "pySigma cannot read them"),
        (rule("{s: {a|re: 'x.*'}, condition: s}"), "a: RegularExpression is not supported"),
        (rule("{s: {a|cidr: 10.0.0.0/8}, condition: s}"), "is not supported"),
        (rule("{s: [foo, bar], condition: s}"), "texts in no field"),
        (rule("{s: {a|cased: 'x*y'}, condition: s}"), "cased"),
        ("title: f\nlogsource: {product: ops}\nfilter: {rules: [e], s: {a: b}, condition: not s}\n", "Sigma filter"),
        (f"{ERR}---\n{correlation('type: event_count, condition: {gte: 2}', '[zz]')}", "'zz' not found"),
        (f"{ERR}---\n{correlation('type: value_sum, condition: {gte: 2, field: n}')}", "'value_sum' is not supported"),
        (f"{ERR}---\n{correlation('type: temporal_ordered')}", "'temporal_ordered' is not supported"),
        (f"{ERR}---\n{correlation('type: temporal')}", "correlation 'c': has one rule"),
        (f"{ERR}---\n{rule('{s: {a: b}, condition: s}', 'd')}---\n{correlation('type: temporal, condition: {lt: 2}', '[e, d]')}", "asks for < 2 of 2 rules"),
        (f"{ERR}---\n{correlation('type: event_count, condition: {gte: 2}, aliases: {x: {e: ci}}')}", "'aliases' are not supported"),
        (f"{ERR}---\n{correlation('name: c, type: event_count, condition: {gte: 2}').replace('title: c', 'title: c' + chr(10) + 'name: c').replace('name: c, ', '')}---\n{correlation('type: event_count, condition: {gte: 2}', '[c]')}", "refers to another correlation"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_in_our_words_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(BadRule) as caught:
        load(text, format="sigma")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_text_is_read_as_sigma() -> None:
    with pytest.raises(BadRule, match="is no text of Sigma rules"):
        load({"title": "x"}, format="sigma")
    with pytest.raises(BadParameter, match="Use yaml, prometheus or sigma"):
        load("x", format="sigmar")
