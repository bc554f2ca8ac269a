"""What is near a CI, against networkx and a walk from tick to tick."""

from __future__ import annotations

import json
import random
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadParameter, BadRule
from tests.cep.test_replay import T0, same, seconds
from tests.cep.walk import Walk, small_world

CPU = {"metric": "cpu", "op": ">", "value": 2}
ERR = {"metric": "err", "op": ">", "value": 2}


def near(of: Any, is_: str = "upstream", hops: int = 2, **more: Any) -> dict[str, Any]:
    return {"near": {"of": of, "is": is_, "hops": hops, **more}}


def fast(walk: Walk, rule: dict[str, Any], end: int, step: int) -> list[tuple[Any, ...]]:
    found = replay(rule, metrics=walk.metrics(), relations=walk.related(), start=T0, end=seconds(end), every=f"{step}s")
    rows = [
        (
            tuple(sorted(json.loads(row["labels"]).items())),
            *(since(row[name]) for name in ("active_at", "fired_at", "ended_at")),
            row["value"],
            row["n"],
        )
        for row in found.iter_rows(named=True)
    ]
    return sorted(rows, key=lambda row: (row[1], dict(row[0]).get("ci", ""), row[0]))


def since(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - T0).total_seconds()


def told(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(str(labels), *rest) for labels, *rest in rows]


def random_near(chance: random.Random, of: Any) -> dict[str, Any]:
    more = {"relations": chance.choice([["calls"], ["runs_on"], ["calls", "runs_on"]])} if chance.random() < 0.3 else {}
    return near(of, chance.choice(["upstream", "downstream", "either"]), chance.randint(1, 4), **more)


def shapes(chance: random.Random) -> list[dict[str, Any]]:
    err, cpu = random_near(chance, ERR), random_near(chance, CPU)
    both = random_near(chance, {"all": [CPU, random_near(chance, ERR)]})
    return [
        err,
        {"all": [CPU, err]},
        {"all": [err, CPU]},
        {"all": [CPU, {"not": err}]},
        {"all": [err, {"not": CPU}]},
        {"all": [err, cpu]},
        {"any": [err, CPU]},
        {"any": [CPU, err, cpu]},
        {"all": [CPU, {"any": [err, ERR]}]},
        {"all": [{"any": [err, ERR]}, CPU]},
        both,
        {"all": [CPU, {"not": {"any": [both, cpu]}}]},
    ]


@pytest.mark.parametrize("seed", range(40))
def test_near_holds_as_a_walk_over_networkx_says(seed: int) -> None:
    chance = random.Random(seed)
    walk = small_world(chance)
    step = chance.choice([30, 60, 90])
    for when in shapes(chance):
        rule = {"when": when, "for": chance.choice(["0s", "60s"])}

        expected, found = walk.replayed(rule, 1800, step), fast(walk, rule, 1800, step)

        assert same(told(expected), told(found)), (when, expected, found)


# ── in detail ───────────────────────────────────────────────────────────────────────────────────────────────────────


def steady(metric: str, values: dict[str, float]) -> dict[tuple[str, Any], list[Any]]:
    return {
        (metric, (("ci", ci),)): [(60 * minute, value, False) for minute in range(11)] for ci, value in values.items()
    }


def replayed(walk: Walk, when: dict[str, Any], **more: Any) -> pl.DataFrame:
    return replay({"when": when, **more}, metrics=walk.metrics(), relations=walk.related(), start=T0, end=seconds(600))


def test_near_alone_has_the_label_ci_and_the_value_of_the_nearest_by_code() -> None:
    chain = [
        ("web", "api", "calls", None, None),
        ("api", "db", "calls", None, None),
        ("api", "bus", "calls", None, None),
    ]
    walk = Walk(steady("err", {"db": 5, "bus": 7, "web": 9}), chain)  # type: ignore[arg-type]

    found = replayed(walk, near(ERR, hops=2)).filter(pl.col("ci") == "web").row(0, named=True)

    assert (json.loads(found["labels"]), found["value"]) == ({"ci": "web"}, 7)
    assert {(one["step"], one["ci_code"], one["hops"], one["value"]) for one in found["evidence"]} == {
        ("active", "bus", 2, 7), ("fired", "bus", 2, 7),
    }  # fmt: skip


def test_a_ci_is_not_near_itself_though_its_relations_lead_back() -> None:
    circle = [("a", "b", "calls", None, None), ("b", "a", "calls", None, None), ("a", "a", "calls", None, None)]
    walk = Walk(steady("err", {"a": 5}), circle)  # type: ignore[arg-type]

    for direction in ("upstream", "downstream", "either"):
        assert ["b"] == replayed(walk, near(ERR, direction, 4))["ci"].to_list()


def test_a_relation_holds_from_its_first_moment_up_to_its_last_without_it() -> None:
    walk = Walk(steady("err", {"b": 5}), [("a", "b", "calls", 120, 240)])

    found = replayed(walk, near(ERR)).row(0, named=True)

    assert [since(found[name]) for name in ("active_at", "fired_at", "ended_at")] == [120, 120, 240]


def test_evidence_of_near_within_near_counts_the_hops_of_both() -> None:
    walk = Walk(steady("err", {"c": 5}), [("a", "b", "calls", None, None), ("b", "c", "calls", None, None)])

    found = replayed(walk, near(near(ERR, hops=1), hops=1)).row(0, named=True)

    assert ("a", "c", 2) == (found["ci"], found["evidence"][0]["ci_code"], found["evidence"][0]["hops"])


def test_without_relations_near_is_refused_and_with_none_of_them_it_never_holds() -> None:
    walk = Walk(steady("err", {"a": 5}), [])

    with pytest.raises(BadParameter, match="relations=None: is needed by rule 'rule-1', which asks what is near"):
        replay({"when": near(ERR)}, metrics=walk.metrics(), start=T0, end=seconds(600))
    assert 0 == replayed(walk, near(ERR)).height
    assert ["a"] == replayed(walk, {"all": [ERR, {"not": near(ERR)}]})["ci"].to_list()


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"hops": 0}, "near.hops: 0 is not between 1 and 10"),
        ({"hops": 11}, "near.hops: 11 is not between 1 and 10"),
        ({"hops": "two"}, "near.hops: 'two' is not a whole number"),
        ({"hops": True}, "near.hops: True is not a whole number"),
        ({"is": "above"}, "near.is: 'above' is not a choice. Choose 'upstream', 'downstream' or 'either'"),
        ({"is": None}, "near.is: None is not a choice"),
        ({"depth": 2}, "near.depth: there is no such field"),
        ({"of": {"metric": "err"}}, "near.of"),
        ({"of": {"not": ERR}}, "'not' has its place"),
        ({"relations": []}, "near.relations"),
    ],
)
def test_what_near_cannot_mean_is_refused(how: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadRule) as refused:
        load({"when": {"near": {"of": ERR, "is": "upstream", **how}}})

    assert problem in str(refused.value)


def test_an_unknown_type_of_relation_is_refused_with_near_names() -> None:
    walk = Walk(steady("err", {"a": 5}), [("a", "b", "runs_on", None, None)])

    with pytest.raises(BadRule, match="has the type 'run_on'"):
        replayed(walk, near(ERR, relations=["run_on"]))


def test_a_rule_with_near_is_written_back_as_it_was_read() -> None:
    rule = {"id": "r", "when": {"all": [CPU, {"not": near(ERR, relations=["calls"])}]}}

    (read,) = load(rule)

    assert (rule, [read]) == (read.plain(), load(read.plain()))
