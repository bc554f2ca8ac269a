"""``compared``: alerts of two rules side by side, each once, and as many together as there can be."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import networkx as nx
import polars as pl
import pytest

from ciops_nb.cep import load
from ciops_nb.cep.answer import SCHEMA
from ciops_nb.cep.compare import compare, compared
from tests.cep.test_sweep import minutes, past

WHEN = {"metric": "cpu", "op": ">", "value": 3}


def alerts(chance: Random, rules: list[str], own: dict[str, str]) -> pl.DataFrame:
    """Alerts as a replay gives them: those of a series one after another."""
    rows: list[dict[str, Any]] = []
    for rule in rules:
        for ci in ("a", "b"):
            at = 0
            while at < 30:
                fired = at + chance.randint(1, 8)
                at = fired + chance.randint(1, 6)
                last = at >= 30 and chance.random() < 0.5
                status = "fired" if chance.random() < 0.8 else "pending_only"
                labels = json.dumps({"ci": ci, **own}, sort_keys=True)
                rows.append({
                    "rule": rule, "ci": ci, "labels": labels, "status": status,
                    "fired_at": minutes(fired) if status == "fired" else None, "ended_at": None if last else minutes(at),
                })  # fmt: skip
    return pl.DataFrame(rows, schema={name: SCHEMA[name] for name in rows[0]}, orient="row")


def spans(frame: pl.DataFrame, rule: Any, ci: str) -> list[tuple[Any, Any]]:
    some = frame.filter(pl.col("rule").is_in(rule), pl.col("ci") == ci, pl.col("status") == "fired")
    return some.select("fired_at", pl.col("ended_at").fill_null(minutes(999))).rows()


@pytest.mark.parametrize("seed", range(40))
def test_each_alert_is_told_once_and_as_many_as_can_be_are_matched(seed: int) -> None:
    chance = Random(seed)
    ids = [["one"], ["other"]] if seed % 2 else [["x", "y"], ["y", "z"]]
    old, new = alerts(chance, ids[0], {"team": "t"}), alerts(chance, ids[1], {"severity": "5", "team": "u"})
    before = load([{"id": name, "when": WHEN, "labels": {"team": "t"}} for name in ids[0]])
    after = load([{"id": name, "when": WHEN, "labels": {"severity": "5", "team": "u"}} for name in ids[1]])

    found = compared(old, new, before, after)

    rows = found.to_dicts()
    for side, frame in (("old", old), ("new", new)):
        told = sorted((row[f"{side}_rule"], row["ci"], row[f"{side}_fired_at"]) for row in rows if row[f"{side}_rule"])
        assert sorted(frame.filter(pl.col("status") == "fired").select("rule", "ci", "fired_at").rows()) == told
    groups = [(ids[0], ids[1])] if seed % 2 else [(["x"], []), (["y"], ["y"]), ([], ["z"])]
    together = 0
    for ours, theirs in groups:
        for ci in ("a", "b"):
            graph: nx.Graph[Any] = nx.Graph()
            left, right = spans(old, ours, ci), spans(new, theirs, ci)
            graph.add_nodes_from(("left", *span) for span in left)
            graph.add_edges_from(
                (("left", *one), ("right", *two)) for one in left for two in right if one[0] < two[1] and two[0] < one[1]
            )  # fmt: skip
            matching = nx.bipartite.maximum_matching(graph, top_nodes=[("left", *span) for span in left])
            together += len(matching) // 2
    both = [row for row in rows if row["state"] == "both"]
    assert together == len(both)
    for row in both:
        assert (row["new_fired_at"] - row["old_fired_at"]).total_seconds() == row["fired_later_s"]
        assert row["old_ended_at"] is None or row["new_fired_at"] < row["old_ended_at"]
        assert row["new_ended_at"] is None or row["old_fired_at"] < row["new_ended_at"]
        assert {"ci": row["ci"]} == json.loads(row["labels"])
    times = [min(filter(None, (row["old_fired_at"], row["new_fired_at"]))) for row in rows]
    assert sorted(times) == times


def test_a_rule_that_waits_longer_fires_later_or_not_at_all() -> None:
    given = {"metrics": past(Random(5)), "start": minutes(0), "end": minutes(30)}
    same = compare({"when": WHEN}, {"when": WHEN, "id": "other"}, **given)
    later = compare({"when": WHEN}, {"when": WHEN, "for": "2m"}, **given)

    assert {("both", 0.0)} == set(same.select("state", "fired_later_s").rows())
    assert {"both", "only_old"} == set(later["state"])
    assert {120.0} == set(later["fired_later_s"].drop_nulls())
