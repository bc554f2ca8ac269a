"""``sweep``: each cell of the grid is worth what its own replay is, counted by hand."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from importlib import import_module
from random import Random
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.cep.maintenance import WINDOWS, in_maintenance
from ciops_nb.cep.sweep import INCIDENTS, sweep
from ciops_nb.errors import BadParameter, BadRule

MODULE = import_module("ciops_nb.cep.sweep")
T = datetime(2026, 3, 2, tzinfo=UTC)
Row = dict[str, Any]


def minutes(number: float | None) -> datetime | None:
    return None if number is None else T + timedelta(minutes=number)


RULES: list[Row] = [
    {"when": {"metric": "cpu", "op": ">", "value": 50}},
    {"when": {"metric": "cpu", "op": "<=", "value": 50, "agg": "avg", "over": "3m"}, "keep_firing_for": "2m"},
    {"when": {"metric": "cpu", "op": ">=", "value": 50, "reduce": "max", "by": ["ci"]}, "every": "90s"},
    {"when": {"ratio": [{"metric": "cpu"}, {"metric": "mem"}], "op": "!=", "value": 1}, "labels": {"team": "x"}},
    {"when": {"all": [{"not": {"metric": "mem", "op": ">", "value": 3}}, {"metric": "cpu", "op": ">", "value": 50}, {"metric": "mem", "op": ">", "value": 1}]}},
    {"when": {"metric": "cpu", "op": ">", "value": 50, "reduce": "sum"}, "labels": {"ci": "srv-0"}},
    {"when": {"metric": "cpu", "op": ">", "value": 50, "where": {"series": [""]}}, "labels": {"series": "{{ $labels.ci }}"}},
]  # fmt: skip
VALUES = [0.5, 2, 3, 50]
HOLDS = ["0s", "1m", "2m30s", "6m"]


def past(chance: Random) -> pl.DataFrame:
    rows = []
    for metric in ("cpu", "mem"):
        for ci in range(4):
            for series in ("", "sda")[: chance.randint(1, 2)]:
                value = 2.0
                for at in range(-3, 40):
                    value = min(6.0, max(0.0, value + chance.choice([-1, 0, 0, 1])))
                    if chance.random() < 0.9:
                        rows.append((minutes(at + chance.choice([0, 0.3])), metric, f"srv-{ci}", series, value))
    names = ["ts", "metric", "ci", "series", "value"]
    return pl.DataFrame(rows, schema=names, orient="row").cast({"ts": WINDOWS["start_at"]})


def known(chance: Random) -> pl.DataFrame:
    rows = []
    for number in range(chance.randint(0, 5)):
        opened = chance.randint(-5, 45)
        resolved = chance.choice([None, opened + chance.randint(0, 15)])
        for ci in chance.sample(["srv-0", "srv-1", "srv-2", "elsewhere"], chance.randint(1, 2)):
            rows.append((f"i{number}", ci, minutes(opened), minutes(resolved)))
    return pl.DataFrame(rows, schema=INCIDENTS, orient="row")


def announced(chance: Random) -> pl.DataFrame:
    rows = [
        (f"m{n}", chance.choice(["srv-0", "srv-1"]), minutes(at), minutes(chance.choice([None, at + chance.randint(0, 20)])))
        for n in range(chance.randint(0, 4))
        for at in [chance.randint(-10, 30)]
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=WINDOWS, orient="row")


def by_hand(alerts: list[Row], incidents: list[Row], start: datetime, end: datetime) -> Row:
    """What the alerts of one replay are worth, one after another."""
    needless, first = 0, {row["incident"]: None for row in incidents if start <= row["opened_at"] <= end}
    pages = [alert for alert in alerts if alert["status"] == "fired"]
    for alert in pages:
        useful = False
        for row in incidents:
            until = row["resolved_at"] or row["opened_at"] + timedelta(minutes=8)
            if alert["ci"] == row["ci"] and row["opened_at"] - timedelta(minutes=5) <= alert["fired_at"] <= until:
                useful = True
                name, at = row["incident"], alert["fired_at"]
                if name in first:
                    first[name] = min(first[name] or at, at)
        needless += not useful
    opened = {row["incident"]: row["opened_at"] for row in incidents}
    leads = [(opened[name] - at).total_seconds() for name, at in first.items() if at is not None]
    return {
        "fired": len(pages),
        "suppressed": sum(alert["status"] == "suppressed" for alert in alerts),
        "pages_per_week": len(pages) / ((end - start) / timedelta(weeks=1)),
        "caught": len(leads),
        "missed": len(first) - len(leads),
        "needless": needless,
        "precision": (len(pages) - needless) / len(pages) if pages else None,
        "recall": len(leads) / len(first) if first else None,
        "lead_time_s": statistics.median(leads) if leads else None,
    }


def turned(rule: Row, value: float, hold: str) -> Row:
    when = dict(rule["when"])
    if "all" in when:
        first = next(place for place, one in enumerate(when["all"]) if "not" not in one)
        when["all"] = [{**one, "value": value} if place == first else one for place, one in enumerate(when["all"])]
    else:
        when["value"] = value
    return {**rule, "when": when, "for": hold}


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("seed", range(21))
def test_each_cell_is_worth_what_its_own_replay_is(seed: int, slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, rule = Random(seed), RULES[seed % len(RULES)]
    metrics, incidents, maintenance = past(chance), known(chance), announced(chance)
    start, end = minutes(0), minutes(chance.choice([30, 32.5]))
    assert start is not None
    assert end is not None
    expected = []
    for value in VALUES:
        for hold in HOLDS:
            found = replay(turned(rule, value, hold), metrics=metrics, start=start, end=end)
            found = in_maintenance(found, maintenance, end)
            expected.append(by_hand(found.to_dicts(), incidents.to_dicts(), start, end))
    if slow:
        monkeypatch.setattr(MODULE, "_is_plain", lambda rule: False)
    elif seed % 2:
        monkeypatch.setattr(MODULE, "CELLS", 8)  # more than may be kept

    found = sweep(
        rule, values=VALUES, holds=HOLDS, incidents=incidents, maintenance=maintenance, before="5m", after="8m",
        metrics=metrics, start=start, end=end,
    )  # fmt: skip

    assert [(value, hold) for value in VALUES for hold in HOLDS] == found.select("value", "for").rows()
    assert expected == [{name: row[name] for name in expected[0]} for row in found.to_dicts()]
    assert any(row["fired"] or row["suppressed"] for row in expected)
    cells = found.to_dicts()
    for cell in cells:
        beaten = any(
            (other["caught"], -other["needless"], -other["fired"]) != (cell["caught"], -cell["needless"], -cell["fired"])
            and other["caught"] >= cell["caught"]
            and (other["needless"], other["fired"]) <= (cell["needless"], cell["fired"])
            for other in cells
        )  # fmt: skip
        assert cell["on_front"] is not beaten


@pytest.mark.parametrize(
    ("rule", "changes", "error", "says"),
    [
        ({"any": [RULES[0]["when"]]}, {}, BadRule, "no threshold to turn"),
        ({"metric": "cpu", "op": ">", "value": {"metric": "mem"}}, {}, BadRule, "no threshold to turn"),
        ([{**RULES[0], "id": "a"}, {**RULES[0], "id": "b"}], {}, BadParameter, "one rule at a time"),
        (RULES[0], {"values": ["x"]}, BadParameter, "is not a threshold"),
        (RULES[0], {"values": []}, BadParameter, "is no grid"),
        (RULES[0], {"values": range(200), "holds": [f"{n}s" for n in range(1, 60)]}, BadParameter, "is no grid"),
        (RULES[0], {"holds": ["soon"]}, BadParameter, "is not a length of time"),
    ],
)
def test_what_cannot_be_swept_is_refused(rule: Any, changes: Row, error: Any, says: str) -> None:
    given = {"values": [1.0], "holds": ["1m"], **changes}
    with pytest.raises(error, match=says):
        sweep(load(rule), incidents=pl.DataFrame(schema=INCIDENTS), start=T, end=T, **given)


def test_what_is_hushed_has_not_fired() -> None:
    chance = Random(3)
    hush = {"near": {"of": {"metric": "mem", "op": ">", "value": 2}, "is": "upstream", "hops": 1}}
    rule = {"when": {"metric": "cpu", "op": ">", "value": 3}, "inhibit": [hush]}
    relations = pl.DataFrame({"src": ["srv-0", "srv-1"], "dst": ["srv-1", "srv-2"], "rel": ["NEEDS", "NEEDS"]})
    given: dict[str, Any] = {"metrics": past(chance), "relations": relations, "start": minutes(0), "end": minutes(30)}
    expected = []
    for value in (2.0, 3.0, 4.0):
        found = replay(turned(rule, value, "1m"), **given)
        assert "suppressed" in found["status"].to_list() or value == 4.0
        expected.append(found.filter(pl.col("status") == "fired").height)

    swept = sweep(rule, values=[2, 3, 4], holds=["1m"], incidents=pl.DataFrame(schema=INCIDENTS), **given)

    assert expected == swept["fired"].to_list()
