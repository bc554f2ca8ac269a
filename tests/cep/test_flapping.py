"""Changes of a state, counted by a walk in plain Python."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadRule
from tests.cep.test_counted import COMPARE, MINUTE, START, frame, on, stream

OVER = 10 * MINUTE


@pytest.mark.parametrize("by", [[], ["ci"]])
@pytest.mark.parametrize("seed", range(6))
def test_an_event_that_says_another_value_than_the_one_before_is_a_change(seed: int, by: list[str]) -> None:
    rows = stream(seed)
    rule = {"flapping": {"type": ["err", "ok"], "field": "user"}, "over": "10m", "by": by, "op": ">=", "value": 2}
    kept = [r for r in rows if r["type"] in ("err", "ok") and r["user"] is not None and (not by or r["ci"] is not None)]
    expected = set()
    for minute in range(61):
        tick = START + minute * MINUTE
        for ci in sorted({r["ci"] for r in kept}) if by else [None]:
            mine = [r for r in kept if not by or r["ci"] == ci]
            changes = [b["ts"] for a, b in itertools.pairwise(mine) if a["user"] != b["user"]]
            if sum(tick - OVER < ts <= tick for ts in changes) >= 2:
                expected.add((tick, ci))

    found = replay({"when": rule}, events=frame(rows), start=START, end=START + 60 * MINUTE)

    assert expected == on(found)
    assert expected


def samples(seed: int) -> pl.DataFrame:
    rng = random.Random(seed)
    return pl.DataFrame(
        [
            {
                "ts": START + m * MINUTE / 2,
                "metric": "m",
                "ci": ci,
                "disk": disk,
                "value": rng.choice([1.0, 2.0, 3.0, float("nan")]),
            }
            for ci in "ab"
            for disk in ("x", "y")
            for m in range(120)
            if rng.random() < 0.4
        ]
    )


def state(value: float, asked: dict[str, Any]) -> Any:
    if "op" in asked:
        return COMPARE[asked["op"]](value, asked["value"])
    return "nan" if value != value else value


@pytest.mark.parametrize("by", [None, ["ci"], []])
@pytest.mark.parametrize("asked", [{}, {"op": ">", "value": 1}, {"op": "!=", "value": 2}])
def test_changes_of_samples_are_those_between_samples_of_a_window(asked: dict[str, Any], by: list[str] | None) -> None:
    often = 4 if by is None else 9 if by else 19
    if asked:
        often = often * 2 // 3
    some = 0
    for seed in range(3):
        data = samples(seed)
        rule = {"flapping": {"metric": "m", **asked}, "over": "10m", "op": "==", "value": often}
        expected = set()
        for minute in range(61):
            tick, sums = START + minute * MINUTE, {}
            for (ci, disk), part in data.group_by("ci", "disk"):
                key = (ci, disk) if by is None else (ci,) if by else ()
                if not part.filter(pl.col("ts") <= tick).height and key not in sums:
                    continue
                window = part.filter(pl.col("ts") > tick - OVER, pl.col("ts") <= tick).sort("ts")["value"].to_list()
                states = [state(value, asked) for value in window]
                sums[key] = sums.get(key, 0) + sum(a != b for a, b in itertools.pairwise(states))
            expected |= {(tick, key) for key, changes in sums.items() if changes == often}

        found = replay(
            {"when": {**rule, **({} if by is None else {"by": by})}}, metrics=data, start=START, end=START + 60 * MINUTE
        )

        keyed = found.with_columns(ci=pl.col("labels"))
        names = {"{}": (), **{f'{{"ci": "{ci}"}}': (ci,) for ci in "ab"}}
        names |= {f'{{"ci": "{ci}", "disk": "{disk}"}}': (ci, disk) for ci in "ab" for disk in "xy"}
        assert expected == {(tick, names[key]) for tick, key in on(keyed)}
        some += len(expected)
    assert some > 0


def test_a_state_waits_as_others_do() -> None:
    rows = [{"ts": START + m * MINUTE, "ci": "a", "type": "state", "up": m % 2 == 0} for m in range(6)]
    rule = {"flapping": {"type": "state", "field": "up"}, "over": "5m", "by": "ci", "op": ">", "value": 2}

    found = replay({"when": rule, "for": "1m"}, events=pl.DataFrame(rows), start=START, end=START + timedelta(hours=1))

    assert [(START + 3 * MINUTE, START + 4 * MINUTE, START + 8 * MINUTE, 4.0)] == found.select(
        "active_at", "fired_at", "ended_at", "value"
    ).rows()


MORE = {"over": "5m", "op": ">", "value": 2}


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"flapping": {"type": "x"}, **MORE}, "says no state"),
        ({"flapping": {"type": "x", "field": "y", "op": ">", "value": 1}, **MORE}, "compares a field of events"),
        ({"flapping": {"metric": "x", "field": "y"}, **MORE}, "'field' is for events"),
        ({"flapping": {"metric": "x", "op": ">"}, **MORE}, "'op' and 'value' belong together"),
        ({"flapping": {"metric": "x"}, "op": ">", "value": 2}, "over: is missing"),
        ({"flapping": {"metric": "x"}, **MORE, "value": float("nan")}, "NaN"),
        ({"flapping": {"metric": "x"}, **MORE, "window": {"tumbling": "5m"}}, "window: there is no such field"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRule) as caught:
        load({"when": rule})
    assert says in str(caught.value)


def test_states_are_not_replayed_as_they_were_known() -> None:
    with pytest.raises(BadRule, match="data_as_of: 'flapping' is not replayed as it was known"):
        replay({"when": {"flapping": {"metric": "x"}, **MORE}}, start=START, end=START, data_as_of="came")
