"""Rules that name other rules, alerts that are hushed, and limits that differ for beginning and ending."""

from __future__ import annotations

import json
import random
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import hysteresis, load, parts, replay
from ciops_nb.cep.conditions import Metric
from ciops_nb.errors import BadRule
from tests.cep.test_replay import COMPARE, T0, same, seconds, slow_states
from tests.cep.test_topology import CPU, ERR, fast, near, random_near, since, steady, told
from tests.cep.walk import Walk, small_world

# ── clear ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(60))
def test_with_clear_a_value_holds_from_the_one_limit_to_the_other(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    walk, step = small_world(chance), chance.choice([30, 60, 90])
    op, value, clear = chance.choice([(">", 2, 1), (">=", 9, 2), ("<", 2, 3), ("<=", 1, 1), (">", 2, 2)])
    when = {"metric": "cpu", "op": op, "value": value, "clear": clear}
    expected = []
    for labels in sorted({labels for _, labels in walk.series}):
        held: list[float | None] = []
        for tick in range(0, 1801, step):
            now = walk.values("cpu", tick).get((labels, None))
            on = now is not None and COMPARE[op](now, clear if held and held[-1] is not None else value)
            held.append(now if on else None)
        for alert in slow_states(held, 60, 0, step):
            expected.append((labels, *(alert[name] for name in ("active", "fired", "ended", "value", "n"))))
    expected.sort(key=lambda row: (row[1], dict(row[0])["ci"], row[0]))

    for cells in (4_000_000, 31):
        monkeypatch.setattr(parts, "_CELLS", cells)
        monkeypatch.setattr(hysteresis, "_CELLS", cells)
        assert same(told(expected), told(fast(walk, {"when": when, "for": "60s"}, 1800, step)))


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"op": ">", "value": 90, "clear": 95}, "a 'clear' of 95, above 'value'"),
        ({"op": "<", "value": 90, "clear": 80}, "a 'clear' of 80, below 'value'"),
        ({"op": "==", "value": 90, "clear": 80}, "has 'clear' beside '=='"),
        ({"op": ">", "value": {"metric": "err"}, "clear": 80}, "has 'clear' beside a metric"),
        ({"op": ">", "value": 90, "clear": float("nan")}, "a 'clear' of nan"),
        ({"op": ">", "value": 90, "clear": "low"}, "'low' is not a number"),
    ],
)
def test_a_clear_that_cannot_be_meant_is_refused(how: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadRule) as refused:
        load({"when": {"metric": "cpu", **how}})

    assert problem in str(refused.value)


# ── rules that name rules ───────────────────────────────────────────────────────────────────────────────────────────


def replayed(walk: Walk, *rules: dict[str, Any], step: int = 60) -> pl.DataFrame:
    return replay(
        list(rules), metrics=walk.metrics(), relations=walk.related(), start=T0, end=seconds(1800), every=f"{step}s"
    )


def on(found: pl.DataFrame, rule: str, tick: int, state: str = "firing") -> dict[Any, float | None]:
    """The labels of the alerts of *rule* that are on at *tick*, with their values."""
    there: dict[Any, float | None] = {}
    for row in found.filter(pl.col("rule") == rule).sort("active_at", maintain_order=True).iter_rows(named=True):
        active, fired, ended = (since(row[name]) for name in ("active_at", "fired_at", "ended_at"))
        assert active is not None
        begin, end = (fired, ended) if state == "firing" else (active, ended if fired is None else fired)
        if begin is not None and begin <= tick and (end is None or tick < end):
            labels = {name: text for name, text in json.loads(row["labels"]).items() if name != "team"}
            there.setdefault(tuple(sorted(labels.items())), row["value"])
    return there


@pytest.mark.parametrize("seed", range(40))
def test_a_rule_holds_while_an_alert_of_the_other_is_on(seed: int) -> None:
    chance = random.Random(seed)
    walk, step = small_world(chance), chance.choice([30, 60])
    state, by = chance.choice(["firing", "pending"]), chance.choice([None, ["ci"], ["disk"]])
    first = {"id": "first", "when": ERR, "for": chance.choice(["0s", "60s", "120s"]), "labels": {"team": "t"}}
    named: dict[str, Any] = {"rule": "first", "state": state} | ({"by": by} if by else {})
    second = {"id": "second", "when": {"all": [CPU, named]}}
    denied = {"id": "denied", "when": {"all": [CPU, {"not": named}]}}

    found = replayed(walk, second, denied, first, step=step)

    for name, wanted in (("second", True), ("denied", False)):
        expected = set()
        for tick in range(0, 1801, step):
            others = set(on(found, "first", tick, state))
            keys = {tuple(pair for pair in one if by is None or pair[0] in by) for one in others}
            for (labels, _), value in walk.at(CPU, tick).items():
                key = tuple(pair for pair in labels if by is None or pair[0] in by)
                if (key in keys) == wanted:
                    expected.add((tick, labels, value))
        got = {(tick, labels) for tick in range(0, 1801, step) for labels in on(found, name, tick)}
        assert {(tick, labels) for tick, labels, _ in expected} == got


def test_evidence_names_the_rule_and_when_its_alert_fired() -> None:
    walk = Walk(steady("err", {"a": 5}), [])

    found = replayed(walk, {"id": "own", "when": {"rule": "err"}}, {"id": "err", "when": ERR, "for": "2m"})

    assert ["own", "err"] == found["rule"].to_list()
    row = found.row(0, named=True)
    assert (120, 5.0) == (since(row["fired_at"]), row["value"])
    assert ("err", "a", 5.0, 120) == (
        *(row["evidence"][0][name] for name in ("record_id", "ci_code", "value")), since(row["evidence"][0]["ts"]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (
            [{"id": "own", "when": {"rule": "othre"}}, {"id": "other", "when": ERR}],
            "no rule 'othre'. Did you mean 'other'",
        ),
        ([{"id": "a", "when": {"rule": "a"}}], "rule 'a': waits for itself: 'a' needs 'a'"),
        (
            [{"id": "a", "when": {"rule": "b"}}, {"id": "b", "when": {"all": [ERR, near({"rule": "a"})]}}],
            "waits for itself: 'a' needs 'b' needs 'a'",
        ),
        ([{"id": "a", "when": {"rule": "m"}}, {"id": "m", "when": ERR, "record": "m"}], "records and makes no alerts"),
        ([{"id": "a", "when": ERR, "inhibit": [{"rule": "bb"}]}], "there is no rule 'bb'"),
        ([{"id": "a", "when": ERR, "inhibit": [{"rule": "a"}]}], "inhibits itself"),
        ([{"id": "a", "when": ERR, "inhibit": [{}]}], "needs 'rule' or 'near'"),
        ([{"id": "a", "when": ERR, "inhibit": [{"rule": "b", "near": near(ERR)["near"]}]}], "needs 'rule' or 'near'"),
        ([{"id": "a", "when": ERR, "inhibit": {"rule": "b"}}], "is not a list of inhibitions"),
        ([{"id": "a", "when": {"rule": "b", "state": "on"}}], "'on' is not a choice"),
    ],
)
def test_rules_that_cannot_be_put_in_order_are_refused(rules: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(BadRule) as refused:
        replayed(Walk(steady("err", {"a": 5}), []), *rules)

    assert problem in str(refused.value)


# ── inhibition ──────────────────────────────────────────────────────────────────────────────────────────────────────


def hushed(found: pl.DataFrame, rule: str) -> list[tuple[Any, ...]]:
    """labels, status, and what hushed it: the id of the rule or the metric, its CI, when, hops."""
    return [
        (
            tuple(sorted(json.loads(row["labels"]).items())), row["status"], since(row["fired_at"]), since(row["ended_at"]),
            [
                (one["record_id"] or one["metric"], one["ci_code"], since(one["ts"]), one["hops"])
                for one in row["evidence"] if one["step"] == "inhibited"
            ],
        )
        for row in found.filter(pl.col("rule") == rule).iter_rows(named=True)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_alerts_are_hushed_at_the_ticks_at_which_a_walk_finds_a_source(seed: int) -> None:
    chance = random.Random(seed)
    walk, step = small_world(chance), chance.choice([30, 60])
    source = {"id": "source", "when": ERR, "for": chance.choice(["0s", "60s"])}
    by_topology = chance.random() < 0.5
    equal = chance.choice([["ci"], ["disk"], ["ci", "disk"], []])
    where = random_near(chance, {"rule": "source"})
    where["near"].pop("relations", None)
    inhibit = where if by_topology else {"rule": "source", "equal": equal}
    target = {"id": "target", "when": CPU, "for": chance.choice(["0s", "60s"])}

    found = replayed(walk, {**target, "inhibit": [inhibit]}, source, step=step)

    plain = replayed(walk, target, source, step=step)
    columns = ["rule", "ci", "labels", "active_at", "fired_at", "ended_at", "value", "n"]
    assert plain.select(columns).equals(found.select(columns))
    for labels, status, fired, ended, records in hushed(found, "target"):
        if fired is None:
            assert ("pending_only", []) == (status, records)
            continue
        quiet = []
        ticks = range(int(fired), int(1801 if ended is None else ended), step)
        for tick in ticks:
            others = on(found, "source", tick)
            if by_topology:
                around = walk.near(tick, dict(labels)["ci"], where["near"])
                quiet.append(any(dict(one)["ci"] in around for one in others))
            else:
                quiet.append(any(all(dict(one).get(n) == dict(labels).get(n) for n in equal) for one in others))
        assert ("suppressed" if all(quiet) else "fired") == status
        assert any(quiet) == bool(records)
        assert quiet[0] == (fired in [at for _, _, at, _ in records])


def test_an_alert_is_hushed_by_what_is_upstream_and_says_by_what() -> None:
    walk = Walk(
        steady("cpu", {"web": 9, "mail": 9}) | steady("err", {"db": 5}),
        [("web", "api", "calls", None, None), ("api", "db", "calls", None, 300)],
    )
    rule = {"id": "slow", "when": CPU, "inhibit": [near({"rule": "err"}, hops=3)]}

    found = replayed(walk, rule, {"id": "err", "when": ERR, "for": "2m"})

    assert [("mail", "fired", []), ("web", "fired", [("err", "db", 120, 2)])] == [
        (dict(labels)["ci"], status, records) for labels, status, _, _, records in hushed(found, "slow")
    ]


def test_alerts_that_hush_each_other_are_both_hushed_and_no_alert_hushes_itself() -> None:
    walk = Walk(
        steady("cpu", {"a": 9, "b": 9, "c": 9}), [("a", "b", "calls", None, None), ("b", "a", "calls", None, None)]
    )

    found = replayed(walk, {"id": "slow", "when": CPU, "inhibit": [near({"rule": "slow"})]})

    assert ["suppressed", "suppressed", "fired"] == found["status"].to_list()


def test_a_rule_that_inhibits_is_written_back_as_it_was_read() -> None:
    rule = {"id": "r", "when": {"rule": "b", "by": ["ci"]}, "inhibit": [{"rule": "c", "equal": ["site"]}, near(ERR)]}

    (read,) = load(rule)

    assert [read] == load(read.plain())
    assert "site" in str(read)


@pytest.mark.parametrize(
    ("rules", "times"),
    [
        ([{"id": "a", "when": {"rule": "b"}}, {"id": "b", "when": CPU}, {"id": "c", "when": {"rule": "b"}}], 1),
        ([{"id": "a", "when": CPU, "inhibit": [{"rule": "b"}]}, {"id": "b", "when": CPU}], 2),
        ([{"id": "a", "when": {"share": {"of": CPU, "is": "upstream"}, "op": ">", "value": 0}}], 1),
    ],
)
def test_a_condition_is_made_once(rules: list[dict[str, Any]], times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Metric] = []
    part = Metric.part
    monkeypatch.setattr(Metric, "part", lambda self, world: made.append(self) or part(self, world))  # type: ignore[func-returns-value]
    walk = Walk(steady("cpu", {"x": 99.0, "y": 1.0}), [("x", "y", "calls", None, None)])

    replay(rules, metrics=walk.metrics(), relations=walk.related(), start=T0, end=seconds(600))

    assert times == len(made)
