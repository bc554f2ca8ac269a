"""Events near each other, against networkx and loops over all pairs."""

from __future__ import annotations

import itertools
import json
import random
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadParameter, BadRule
from tests.cep.test_replay import T0, seconds
from tests.cep.walk import Walk

Event = tuple[int, int, str, str]  # seconds since T0, seq, ci, type

END = 1800


def world(seed: int) -> tuple[random.Random, Walk, list[Event]]:
    chance = random.Random(seed)
    cis = [f"c{n}" for n in range(chance.randint(2, 7))]
    relations: list[Any] = [("c0", "c1", "calls", None, None), ("c1", "c0", "runs_on", None, 600)]
    for _ in range(chance.randint(0, 12)):
        begin = chance.choice([None, chance.randint(0, END)])
        end = chance.choice([None, (begin or 0) + chance.choice([60, 300, 600])])
        relations.append((chance.choice(cis), chance.choice(cis), chance.choice(["calls", "runs_on"]), begin, end))
    moments = sorted(chance.randint(-20, 80) * 30 for _ in range(chance.randint(0, 40)))
    named = [*cis, "alone"]
    return (
        chance,
        Walk({}, relations),
        [
            (at, seq, chance.choice(named), chance.choice(["alert", "change", "other"]))
            for seq, at in enumerate(moments, start=1)
        ],
    )


def frame(events: list[Event]) -> pl.DataFrame:
    rows = [(seconds(at), seq, ci, kind) for at, seq, ci, kind in events]
    schema = {"ts": pl.Datetime("us", "UTC"), "seq": pl.Int64, "ci": pl.String, "type": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def replayed(walk: Walk, events: list[Event], **rule: Any) -> pl.DataFrame:
    return replay(rule, events=frame(events), relations=walk.related(), start=T0, end=seconds(END))


def since(moment: Any) -> int | None:
    return None if moment is None else int((moment - T0).total_seconds())


# ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def slow_pairs(walk: Walk, events: list[Event], how: dict[str, Any]) -> list[tuple[Any, ...]]:
    """a's seq, b's seq, hops, and when the later one was."""
    found = []
    for a, b in itertools.product(events, events):
        if a[3] != how["a"]["type"] or b[3] != how["b"]["type"] or abs(a[0] - b[0]) > length(how["within"]):
            continue
        if (how["order"] == "b_before_a" and b[0] > a[0]) or (how["order"] == "a_before_b" and a[0] > b[0]):
            continue
        later = max(a[0], b[0])
        near = walk.near(later, a[2], {"is": how["b_is"], "hops": how["max_hops"], "relations": how.get("relations")})
        if 0 <= later <= END and b[2] in near:
            found.append((a, b, near[b[2]], later))
    keys: dict[str, Any] = {
        "first": lambda pair: pair[1][:2],
        "last": lambda pair: (-pair[1][0], -pair[1][1]),
        "nearest": lambda pair: (pair[2], abs(pair[0][0] - pair[1][0]), pair[1][1]),
    }
    if how["pairs"] != "all":
        key = keys[how["pairs"]]
        found = [min(pairs, key=key) for _, pairs in itertools.groupby(found, key=lambda pair: pair[0])]
    found.sort(key=lambda pair: (pair[3], pair[0][2], pair[0][1], pair[1][1]))
    return [(a[1], b[1], a[2], b[2], hops, min(a[0], b[0]), later) for a, b, hops, later in found]


def length(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("seed", range(150))
def test_pairs_are_those_of_a_loop_over_all_pairs(seed: int) -> None:
    chance, walk, events = world(seed)
    how: dict[str, Any] = {
        "a": {"type": "alert"}, "b": {"type": chance.choice(["change", "alert"])},
        "b_is": chance.choice(["upstream", "downstream", "either"]), "max_hops": chance.randint(1, 4),
        "within": f"{chance.choice([30, 60, 300, 900])}s", "order": chance.choice(["b_before_a", "a_before_b", "any"]),
        "pairs": chance.choice(["all", "first", "last", "nearest"]),
    }  # fmt: skip
    if chance.random() < 0.3:
        how["relations"] = [chance.choice(["calls", "runs_on"])]

    found = replayed(walk, events, near=how)

    rows = [
        (
            int(a["record_id"]), int(b["record_id"]), row["ci"], b["ci_code"], b["hops"],
            since(row["active_at"]), since(row["fired_at"]),
        )
        for row in found.iter_rows(named=True)
        for a, b in [row["evidence"]]
    ]  # fmt: skip
    assert slow_pairs(walk, events, how) == rows


def test_a_pair_is_by_the_relations_of_its_later_event() -> None:
    walk = Walk({}, [("web", "db", "calls", 50, 150)])
    events: list[Event] = [
        (0, 1, "db", "change"),
        (100, 2, "web", "alert"),
        (120, 3, "db", "change"),
        (200, 4, "web", "alert"),
    ]
    how = {"a": {"type": "alert"}, "b": {"type": "change"}, "b_is": "upstream", "within": "10m"}

    found = replayed(walk, events, near=how, labels={"team": "web"})

    assert [["2", "1"], ["2", "3"]] == [[one["record_id"] for one in row] for row in found["evidence"]]
    assert [{"ci": "web", "team": "web"}] * 2 == [json.loads(text) for text in found["labels"]]


# ── what is in common ───────────────────────────────────────────────────────────────────────────────────────────────


def upstream(walk: Walk, events: list[Event], hops: int) -> dict[str, list[tuple[Event, int]]]:
    found: dict[str, list[tuple[Event, int]]] = {}
    for event in events:
        if event[3] == "alert" and event[0] <= END:
            for ci, away in walk.near(event[0], event[2], {"is": "upstream", "hops": hops}).items():
                found.setdefault(ci, []).append((event, away))
    return found


def told(found: pl.DataFrame) -> list[tuple[Any, ...]]:
    return [
        (
            row["ci"],
            *(since(row[name]) for name in ("active_at", "fired_at", "ended_at")),
            row["value"],
            [(int(one["record_id"]), one["hops"]) for one in row["evidence"]],
        )
        for row in found.iter_rows(named=True)
    ]


@pytest.mark.parametrize("seed", range(100))
def test_common_cis_of_a_window_are_those_of_a_count(seed: int) -> None:
    chance, walk, events = world(seed)
    hops, least = chance.randint(1, 4), chance.randint(2, 3)
    begin = chance.randint(0, 20)
    end = begin + chance.randint(0, 10)
    window = [f"00:{begin:02}", f"00:{end:02}"]

    found = replayed(walk, events, common_upstream={
        "of": {"type": "alert"}, "max_hops": hops, "min_cis": least, "window": window
    })  # fmt: skip

    expected = []
    for ci, near in upstream(walk, events, hops).items():
        inside = [one for one in near if 60 * begin <= one[0][0] <= 60 * end]
        cis = list(dict.fromkeys(event[2] for event, _ in inside))
        if len(cis) >= least:
            fired = next(event[0] for event, _ in inside if event[2] == cis[least - 1])
            rows = [(event[1], away) for event, away in inside]
            expected.append((ci, inside[0][0][0], fired, inside[-1][0][0], len(cis), rows))
    assert sorted(expected, key=lambda one: (-one[4], one[0])) == told(found)


@pytest.mark.parametrize("seed", range(100))
def test_common_cis_within_a_time_are_those_of_a_walk_over_seconds(seed: int) -> None:
    chance, walk, events = world(seed)
    hops, least, within = chance.randint(1, 4), chance.randint(2, 3), chance.choice([30, 60, 150, 600])

    found = replayed(walk, events, common_upstream={
        "of": {"type": "alert"}, "max_hops": hops, "min_cis": least, "within": f"{within}s"
    })  # fmt: skip

    expected = []
    for ci, near in upstream(walk, events, hops).items():
        begun: int | None = None
        for at in range(-900, END + 1500, 5):  # all events lie on halves of minutes
            there = {event[2] for event, _ in near if at - within <= event[0] <= at}
            if begun is None and len(there) >= least:
                begun = at
            if begun is not None and len(there) < least:
                last = at - 5
                rows = [one for one in near if begun - within <= one[0][0] <= last]
                if 0 <= begun <= END:
                    expected.append((
                        ci, rows[0][0][0], begun, last if last <= END else None, len({event[2] for event, _ in rows}),
                        [(event[1], away) for event, away in rows],
                    ))  # fmt: skip
                begun = None
    assert sorted(expected, key=lambda one: (one[2], one[0])) == told(found)


def test_a_window_by_the_clock_is_asked_on_each_day_in_the_zone_of_the_replay() -> None:
    walk = Walk({}, [("a", "db", "calls", None, None), ("b", "db", "calls", None, None)])
    hour = 3600
    at = [22.5 * hour, 23.5 * hour, 46.25 * hour, 46.75 * hour, 60 * hour, 60.5 * hour]
    events: list[Event] = [(int(ts), seq, "ab"[seq % 2], "alert") for seq, ts in enumerate(at, start=1)]
    rule = {"common_upstream": {"of": {"type": "alert"}, "window": ["23:00", "01:00"]}}

    found = replay(
        rule, events=frame(events), relations=walk.related(), start=T0, end=T0 + timedelta(days=3), tz="Europe/Berlin"
    )

    assert [[1, 2], [3, 4]] == [[int(one["record_id"]) for one in row] for row in found["evidence"]]


@pytest.mark.parametrize(
    ("window", "read"),
    [
        ("['00:05', '00:15']", ("00:05", "00:15")),
        ("[10:05, 10:15:30]", ("10:05", "10:15:30")),
        ("[2026-03-01T10:00:00Z, 2026-03-01 11:00:00Z]", ("2026-03-01T10:00:00+00:00", "2026-03-01T11:00:00+00:00")),
    ],
)
def test_windows_are_read_as_yaml_writes_them(window: str, read: tuple[str, str]) -> None:
    (rule,) = load(f"common_upstream:\n  of: {{type: alert}}\n  window: {window}\n")

    assert rule.common_upstream is not None
    assert read == rule.common_upstream.window
    assert [rule] == load(rule.plain())


PAIR = {"a": {"type": "alert"}, "b": {"type": "change"}, "b_is": "upstream", "within": "10m"}
COMMON = {"of": {"type": "alert"}, "within": "10m"}


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"near": PAIR | {"max_hops": 0}}, "near.max_hops: 0 is not between 1 and 10"),
        ({"near": PAIR | {"b_is": "above"}}, "near.b_is: 'above' is not a choice"),
        ({"near": PAIR | {"order": "before"}}, "near.order: 'before' is not a choice"),
        ({"near": PAIR | {"pairs": "some"}}, "near.pairs: 'some' is not a choice"),
        ({"near": {"a": {"type": "alert"}}}, "near.b: is missing"),
        ({"near": PAIR | {"a": {}}}, "near.a: says no event"),
        ({"near": PAIR, "for": "5m"}, "has 'for' beside a pattern"),
        ({"near": PAIR, "common_upstream": COMMON}, "says near and common_upstream"),
        ({"common_upstream": COMMON | {"min_cis": 1}}, "common_upstream.min_cis"),
        ({"common_upstream": COMMON | {"window": ["00:05", "00:10"]}}, "needs 'window' or 'within'"),
        ({"common_upstream": {"of": {"type": "alert"}}}, "needs 'window' or 'within'"),
        ({"common_upstream": {"of": {"type": "alert"}, "window": ["00:05", "2026-03-01"]}}, "from a time of day to"),
        ({"common_upstream": {"of": {"type": "alert"}, "window": ["2026-03-02", "2026-03-01"]}}, "ends before it"),
        ({"common_upstream": {"of": {"type": "alert"}, "window": ["25:00", "26:00"]}}, "'25:00'"),
        ({"common_upstream": {"of": {"type": "alert"}, "window": [5, 6]}}, "5 is not a time"),
    ],
)
def test_what_cannot_be_meant_is_refused(rule: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadRule) as refused:
        load(rule)

    assert problem in str(refused.value)


def test_unknown_types_of_relation_and_missing_relations_are_refused() -> None:
    walk = Walk({}, [("a", "b", "runs_on", None, None)])

    with pytest.raises(BadRule, match="near, relations: no relation has the type 'run_on'"):
        replayed(walk, [], near=PAIR | {"relations": ["run_on"]})
    with pytest.raises(BadParameter, match="relations=None: is needed by rule 'rule-1'"):
        replay({"near": PAIR}, events=frame([]), start=T0, end=seconds(END))
    assert 0 == replayed(walk, [], near=PAIR).height
    assert 0 == replayed(walk, [], common_upstream=COMMON).height
