"""How many of several, of a group, and of what is near, against a walk from tick to tick."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ciops_nb.cep import load
from ciops_nb.errors import BadRule
from tests.cep.test_replay import same
from tests.cep.test_topology import CPU, ERR, fast, near, random_near, replayed, steady, told
from tests.cep.walk import Walk, small_world


def random_group(chance: random.Random) -> dict[str, Any]:
    group: dict[str, Any] = {"of": chance.choice([CPU, ERR])}
    if chance.random() < 0.5:
        return group | {"is": chance.choice(["upstream", "downstream", "either"]), "hops": chance.randint(1, 3)}
    group["by"] = chance.choice([["ci"], ["disk"], []])
    return group | ({"each": [chance.choice(["ci", "disk"])]} if chance.random() < 0.5 else {})


def shapes(chance: random.Random) -> list[dict[str, Any]]:
    op = chance.choice([">", ">=", "<", "=="])
    share = {"share": random_group(chance), "op": op, "value": chance.choice([0, 0.3, 0.5, 1])}
    count = {"count_of": random_group(chance), "op": op, "value": chance.choice([0, 1, 2])}
    several = [CPU, ERR, random_near(chance, CPU), random_near(chance, ERR)]
    chance.shuffle(several)
    of = several[: chance.randint(1, 4)]
    return [
        share,
        count,
        {"all": [CPU, share]},
        {"all": [count, CPU, {"not": share}]},
        {"at_least": {"n": chance.randint(1, len(of)), "of": of}},
        {"all": [ERR, {"at_least": {"n": 1, "of": [random_near(chance, CPU), random_near(chance, ERR)]}}]},
        near(CPU, "either", 1),
    ]


@pytest.mark.parametrize("seed", range(60))
def test_how_many_is_what_a_walk_counts(seed: int) -> None:
    chance = random.Random(seed)
    walk, step = small_world(chance), chance.choice([30, 60, 90])
    for when in shapes(chance):
        rule = {"when": when, "for": chance.choice(["0s", "60s"])}

        expected, found = walk.replayed(rule, 1800, step), fast(walk, rule, 1800, step)

        assert same(told(expected), told(found)), (when, expected, found)


def test_evidence_of_a_count_is_all_that_was_counted() -> None:
    walk = Walk(steady("err", {"db": 5, "bus": 7, "web": 9, "san": 1}), [
        ("web", "api", "calls", None, None), ("api", "db", "calls", None, None), ("api", "bus", "calls", None, None),
        ("bus", "san", "calls", None, None),
    ])  # fmt: skip

    found = replayed(walk, {"share": {"of": ERR, "is": "upstream", "hops": 3}, "op": ">=", "value": 0.5})

    row = {row["ci"]: row for row in found.iter_rows(named=True)}["web"]
    assert 0.5 == row["value"]
    assert [("bus", 2), ("db", 2)] == [
        (one["ci_code"], one["hops"]) for one in row["evidence"] if one["step"] == "fired"
    ]
    groups = replayed(walk, {"count_of": {"of": ERR}, "op": ">", "value": 2})
    assert [3.0] == groups["value"].to_list()
    assert ["bus", "db", "web"] == [one["ci_code"] for one in groups["evidence"][0] if one["step"] == "fired"]


def test_a_count_is_0_where_data_are_missing_and_a_share_is_not_there() -> None:
    walk = Walk(steady("err", {"a": 1}), [])
    gone = {"metric": "other", "op": ">", "value": 0}

    assert [0.0] == replayed(walk, {"count_of": {"of": gone}, "op": "<", "value": 1})["value"].to_list()
    assert 0 == replayed(walk, {"count_of": {"of": gone, "by": ["ci"]}, "op": "<", "value": 1}).height
    assert 0 == replayed(walk, {"share": {"of": gone}, "op": "<", "value": 1}).height


SHARE = {"op": ">", "value": 0.5}


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ({"share": {"of": ERR, "is": "up"}, **SHARE}, "share.is: 'up' is not a choice"),
        ({"share": {"of": ERR, "hops": 2}, **SHARE}, "has 'hops' or 'relations' without 'is'"),
        ({"share": {"of": ERR, "is": "upstream", "by": ["ci"]}, **SHARE}, "has 'by' or 'each' beside 'is'"),
        ({"share": {"of": near(ERR), "by": ["ci"]}, **SHARE}, "needs a condition on metrics"),
        ({"share": {"of": ERR}}, "op: is missing"),
        ({"count_of": {"of": {"not": ERR}}, **SHARE}, "'not' has its place"),
        ({"at_least": {"n": 3, "of": [ERR, CPU]}}, "asks for 3 of 2 conditions"),
        ({"at_least": {"n": 0, "of": [ERR]}}, "at_least.n"),
        ({"at_least": {"n": 1, "of": []}}, "at_least.of: is not a list of conditions"),
        ({"at_least": {"n": 1, "of": [{"not": ERR}]}}, "'not' has its place"),
    ],
)
def test_what_cannot_be_counted_is_refused(when: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadRule) as refused:
        load({"when": when})

    assert problem in str(refused.value)


def test_groups_without_a_common_label_are_refused() -> None:
    walk = Walk(steady("err", {"a": 5}), [("a", "b", "calls", None, None)])
    count = {"count_of": {"of": ERR, "by": ["site"]}, "op": ">", "value": 0}

    with pytest.raises(BadRule, match="by ci and another by site: they have no label in common"):
        replayed(walk, {"all": [near(ERR, "downstream"), count]})


def test_a_rule_that_counts_is_written_back_as_it_was_read() -> None:
    group = {"of": ERR, "is": "upstream", "hops": 2}
    rule = {"id": "r", "when": {"any": [{"share": group, **SHARE}, {"at_least": {"n": 1, "of": [CPU, ERR]}}]}}

    (read,) = load(rule)

    assert (rule, [read]) == (read.plain(), load(read.plain()))
