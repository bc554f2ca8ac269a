"""A fault put into a copy of the past: point by point as in plain Python, and along the relations as networkx goes."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest

from ciops_nb.cep.inject import faults, hurt_by, injected, struck, told_apart
from ciops_nb.errors import BadParameter
from tests.cep.test_sweep import minutes, past


def relations(chance: Random) -> pl.DataFrame:
    rows = [
        (f"srv-{chance.randint(0, 5)}", f"srv-{chance.randint(0, 5)}", minutes(chance.choice([None, 0, 20])), minutes(chance.choice([None, 12, 30])))
        for _ in range(chance.randint(0, 14))
    ]  # fmt: skip
    time = pl.Datetime("us", "UTC")
    return pl.DataFrame(rows, schema={"src": pl.String, "dst": pl.String, "valid_from": time, "valid_to": time}, orient="row")  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_it_goes_to_what_needs_what_is_hurt(seed: int) -> None:
    chance = Random(seed)
    given, at, hops = relations(chance), minutes(chance.choice([0, 12, 25])), chance.randint(0, 4)
    assert at is not None
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(f"srv-{n}" for n in range(6))
    for src, dst, begin, end in given.iter_rows():
        if (begin is None or begin <= at) and (end is None or at < end):
            graph.add_edge(dst, src)
    expected: dict[str, int] = {}
    for root in ("srv-0", "srv-1"):
        for code, far in nx.single_source_shortest_path_length(graph, root, cutoff=hops).items():
            expected[code] = min(far, expected.get(code, 99))

    found = hurt_by(given, ["srv-1", "srv-0"], at, hops)

    assert expected == {code: hop for code, (hop, _) in found.items()}
    for code, (hop, through) in found.items():
        assert (through is None) == (hop == 0)
        assert through is None or (graph.has_edge(through, code) and expected[through] == hop - 1)


@pytest.mark.parametrize("seed", range(25))
def test_points_are_changed_one_by_one(seed: int) -> None:
    chance = Random(seed)
    metrics, damping = past(chance), chance.choice([0.0, 0.5, 1.0])
    fault = {"cpu": chance.choice([{"add": 10}, {"times": 3}, {"set": 1}]), "mem": chance.choice(["gone", {"add": -1}])}
    hurt = {"srv-1": (0, None), "srv-2": (1, "srv-1"), "nowhere": (2, "srv-2")}
    hit = struck(
        hurt, at=minutes(5), lasting=timedelta(minutes=9), delay=timedelta(minutes=4), damping=damping,
        chance=np.random.default_rng(seed),
    )  # fmt: skip

    found, _ = injected(metrics, None, hit, faults(fault), None, np.random.default_rng(seed))

    assert [minutes(5)] == hit["begin"].to_list()[:1]
    apart = hit["begin"].diff().dt.total_seconds().to_list()[1:]
    assert all(120 <= one <= 360 for one in apart)
    assert [1.0, damping, damping**2] == hit["share"].to_list()
    place = {row["ci"]: row for row in hit.to_dicts()}
    drawn = np.random.default_rng(seed).random(metrics.height)
    expected = []
    for row, draw in zip(metrics.to_dicts(), drawn, strict=True):
        told = place.get(row["ci"])
        if told and told["begin"] <= row["ts"] < told["until"]:
            how: Any = fault[row["metric"]]
            if how == "gone":
                if draw < told["share"]:
                    continue
            elif "add" in how:
                row["value"] += how["add"] * told["share"]
            elif "times" in how:
                row["value"] *= 1 + (how["times"] - 1) * told["share"]
            else:
                row["value"] += (how["set"] - row["value"]) * told["share"]
        expected.append(row)
    assert found is not None
    assert expected == found.to_dicts()


def test_each_ci_reports_an_event_when_it_is_struck() -> None:
    events = pl.DataFrame({"ts": [minutes(6)], "seq": ["e1"], "ci": ["x"], "type": ["info"], "user": [None]}, schema_overrides={"user": pl.String})  # fmt: skip
    hit = struck(
        {"b": (0, None), "a": (1, "b")}, at=minutes(5), lasting=timedelta(minutes=1), delay=timedelta(minutes=10),
        damping=1.0, chance=np.random.default_rng(1),
    )  # fmt: skip
    _, found = injected(None, events, hit, [], {"type": "alert", "none": 3}, np.random.default_rng(1))

    assert found is not None
    assert [("injected-b", "b", "alert"), ("e1", "x", "info"), ("injected-a", "a", "alert")] == found.select("seq", "ci", "type").rows()  # fmt: skip
    assert [minutes(5), minutes(6), hit["begin"][1]] == found["ts"].to_list()


def test_what_was_on_at_the_time_is_not_due_to_the_fault() -> None:
    def alerts(*rows: tuple[str, int | None, int | None]) -> pl.DataFrame:
        told = [("r", ci, f"{{{ci}}}", minutes(at), minutes(at), minutes(end)) for ci, at, end in rows]
        time = pl.Datetime("us", "UTC")
        names = {"rule": pl.String, "ci": pl.String, "labels": pl.String, "active_at": time, "fired_at": time, "ended_at": time}  # fmt: skip
        return pl.DataFrame(told, schema=names, orient="row")

    hit = pl.DataFrame({"ci": ["a"], "hops": [2]})
    found = told_apart(
        alerts(("a", 0, 5), ("a", 6, 9), ("a", 20, None), ("b", 6, 9)), alerts(("a", 4, 6), ("b", 1, None)), hit, minutes(4)
    )  # fmt: skip

    assert [(False, -240.0, 2), (True, 120.0, 2), (True, 960.0, 2), (False, 120.0, None)] == found.select("injected", "delay_s", "hops").rows()  # fmt: skip


@pytest.mark.parametrize("fault", [None, "gone", [], {1: "gone"}, {"cpu": "away"}, {"cpu": 3}, {"cpu": {}}, {"cpu": {"add": 1, "times": 2}}, {"cpu": {"add": "x"}}, {"cpu": {"set": float("nan")}}, {"cpu": {"times": 10**400}}, {"cpu": {"add": True}}])  # fmt: skip
def test_what_cannot_happen_is_refused(fault: Any) -> None:
    with pytest.raises(BadParameter, match="fault"):
        faults(fault)
