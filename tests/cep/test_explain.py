"""``explain``: how far rules got, against the samples gone through one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.cep.explain import explain
from tests.cep.test_sweep import T, minutes, past

LAST = 30
OPS: dict[str, Any] = {
    ">": lambda value, other: value - other, ">=": lambda value, other: value - other,
    "<": lambda value, other: other - value, "<=": lambda value, other: other - value,
    "==": lambda value, other: -abs(value - other), "!=": lambda value, other: abs(value - other),
}  # fmt: skip


def newest(rows: list[dict[str, Any]], at: datetime) -> float | None:
    seen = [row for row in rows if at - timedelta(minutes=5) < row["ts"] <= at]
    return max(seen, key=lambda row: row["ts"])["value"] if seen else None


def series_of(metrics: pl.DataFrame, metric: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in metrics.filter(pl.col("metric") == metric).to_dicts():
        found.setdefault((row["ci"], row["series"]), []).append(row)
    return found


def ticks() -> Iterator[datetime]:
    for number in range(LAST + 1):
        yield T + timedelta(minutes=number)


def labelled(ci: str, series: str) -> dict[str, str]:
    return {"ci": ci, "series": series} if series else {"ci": ci}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("seed", range(6))
def test_a_series_gets_as_far_as_its_samples_say(seed: int, op: str) -> None:
    chance = Random(f"{seed} {op}")
    metrics, threshold, hold = past(chance), chance.choice([-1.0, 2.0, 5.0, 6.0]), chance.choice([0, 2, 7])
    metrics = metrics.filter(~((pl.col("ci") == "srv-0") & (pl.col("ts") > minutes(-6))))
    metrics = pl.concat([metrics, metrics[:1].with_columns(ci=pl.lit("early"), ts=pl.lit(minutes(-60)))])
    expected = []
    for (ci, series), rows in sorted(series_of(metrics, "cpu").items()):
        seen = [(at, newest(rows, at)) for at in ticks()]
        near = [(OPS[op](value, threshold), at, value) for at, value in seen if value is not None]
        runs: list[list[datetime]] = [[]]
        for at, value in seen:
            margin = None if value is None else OPS[op](value, threshold)
            holds = margin is not None and (margin > 0 if op in (">", "<", "!=") else margin >= 0)
            if holds:
                runs[-1].append(at)
            else:
                runs.append([])
        longest = max(runs, key=len)
        best = max(near, key=lambda one: one[0]) if near else (None, None, None)
        held = 60.0 * (len(longest) - 1) if longest else None
        state = "no_data" if not near else "never" if not longest else "fired" if held >= 60 * hold else "too_short"
        expected.append({
            "ci": ci, "labels": labelled(ci, series), "state": state, "held_s": held, "needed_s": 60.0 * hold,
            "missing_s": max(0.0, 60.0 * hold - (held or 0.0)), "held_at": longest[0] if longest else None,
            "best": best[2], "margin": best[0], "best_at": best[1], "threshold": threshold, "n": len(near), "part": "",
        })  # fmt: skip
    expected.sort(key=lambda row: (row["ci"], json.dumps(row["labels"])))

    rule = {"id": "r", "when": {"metric": "cpu", "op": op, "value": threshold}, "for": f"{hold}m"}
    found = explain(rule, metrics=metrics, start=T, end=minutes(LAST))

    assert expected == [
        {name: json.loads(row[name]) if name == "labels" else row[name] for name in expected[0]} for row in found.to_dicts()
    ]  # fmt: skip
    alerts = replay(rule, metrics=metrics, start=T, end=minutes(LAST)).filter(pl.col("status") == "fired")
    assert set(alerts["labels"]) == set(found.filter(pl.col("state") == "fired")["labels"])


BOTH = {"all": [{"metric": "cpu", "op": ">", "value": 2}, {"any": [{"metric": "mem", "op": ">", "value": 5}, {"metric": "mem", "op": "<", "value": {"metric": "cpu"}}]}, {"not": {"metric": "mem", "op": ">", "value": 5}}]}  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_each_part_is_told_as_if_it_stood_alone(seed: int) -> None:
    metrics = past(Random(seed))
    parts = {
        "": BOTH, "all[1]": BOTH["all"][0], "all[2]": BOTH["all"][1], "all[2].any[1]": BOTH["all"][1]["any"][0],
        "all[2].any[2]": BOTH["all"][1]["any"][1], "all[3].not": BOTH["all"][2]["not"],
    }  # fmt: skip
    found = explain({"when": BOTH, "for": "4m", "labels": {"team": "x"}}, metrics=metrics, start=T, end=minutes(LAST))

    assert set(parts) == set(found["part"])
    for name, condition in parts.items():
        alone = explain({"when": condition, "labels": {"team": "x"}}, metrics=metrics, start=T, end=minutes(LAST))
        told = ["labels", "held_s", "held_at", "best", "margin", "best_at", "n"]
        assert alone.filter(pl.col("part") == "").select(told).equals(found.filter(pl.col("part") == name).select(told))
    states = {"fired": "held", "too_short": "held"}
    for part, state in found.filter(pl.col("part") != "").select("part", "state").unique().rows():
        assert state in {"held", "never", "no_data"} - {*states}, part


def test_what_is_not_measured_is_not_what_never_happened() -> None:
    rule = {"when": {"metric": "cpu", "op": ">", "value": 9}}
    none = explain(rule, metrics=None, start=T, end=T)
    low = explain(rule, metrics=past(Random(1)), start=T, end=T)

    assert [("no_data", None, None, 0)] == none.select("state", "ci", "best", "n").rows()
    assert {"never"} == set(low["state"])
    assert none.schema == low.schema


def test_a_metric_is_compared_with_another_at_each_tick() -> None:
    metrics = past(Random(3))
    rule = load({"when": {"metric": "cpu", "op": ">", "value": {"metric": "mem", "times": 2}}})
    cpu, mem = series_of(metrics, "cpu"), series_of(metrics, "mem")
    expected = []
    for key, rows in sorted(cpu.items()):
        pairs = [(newest(rows, at), newest(mem.get(key, []), at), at) for at in ticks()]
        near = [(a - 2 * b, a, 2 * b, at) for a, b, at in pairs if a is not None and b is not None]
        expected.append((*key, *(max(near, key=lambda one: one[0]) if near else (None, None, None, None))))

    found = explain(rule, metrics=metrics, start=T, end=minutes(LAST))

    told = [(row["ci"], json.loads(row["labels"]).get("series", "")) for row in found.to_dicts()]
    values = found.select("margin", "best", "threshold", "best_at").rows()
    assert sorted(expected, key=str) == sorted([(*one, *two) for one, two in zip(told, values, strict=True)], key=str)


@pytest.mark.parametrize("seed", range(12))
def test_a_sequence_tells_how_often_it_got_to_each_step(seed: int) -> None:
    chance = Random(seed)
    rows = [
        (minutes(chance.randint(0, LAST)), chance.choice(["a", "b"]), chance.choice(["x", "y", "z"])) for _ in range(20)
    ]
    events = pl.DataFrame(sorted(rows, key=str), schema=["ts", "ci", "type"], orient="row")
    steps = [{"type": "x"}, {"type": "y"}, {"type": "z"}, {"type": "never"}]
    given: dict[str, Any] = {"events": events, "start": T, "end": minutes(LAST)}

    def rule(number: int) -> dict[str, Any]:
        return {"sequence": {"steps": steps[:number], "within": "9m", "by": "ci", "start": "earliest"}}

    found = explain(rule(4), **given)

    assert [("never", 0)] == found.filter(pl.col("part") == "").select("state", "n").rows()
    for number in (1, 2, 3):
        alone = events.filter(pl.col("type") == "x") if number == 1 else replay(rule(number), **given)
        last = "ts" if number == 1 else "fired_at"
        expected = alone.group_by("ci").agg(pl.len().cast(pl.Int64), pl.col(last).max().alias("last")).sort("ci")
        told = found.filter(pl.col("part") == f"sequence[{number}]", pl.col("n") > 0).select("ci", "n", "best_at")
        assert expected.rows() == told.rows()
    whole = explain(rule(2), **given).filter(pl.col("part") == "")
    assert replay(rule(2), **given).height == whole["n"].sum()
