"""What ``cep_simulate`` hands to the replay: of the estate all that a rule reads, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb.cep import Rule
from ciops_nb.cep.answer import EVIDENCE
from ciops_nb.cep.conditions import Condition, Read
from ciops_nb.cep.conditions.event import EventFilter
from ciops_nb.cep.maintenance import WINDOWS, in_maintenance
from ciops_nb.cep.samples import Bools, Floats, Ints
from ciops_nb.cep.world import World
from ciops_nb.estate.manifest import Manifest, write_manifest
from tests.oracle import latest_cis, of_a, opened, world
from tests.worlds import hours, write_world

SEEN: list[World] = []


class Witness(Condition):
    """Holds never, and keeps what it was shown."""

    KIND: ClassVar[str] = "witness"
    PARTS: ClassVar[Any] = {"meant": EventFilter}

    witness: tuple[str, ...]
    meant: EventFilter | None = None
    back: timedelta | None = None

    def reads(self) -> Iterator[Read]:
        for table in self.witness:
            yield Read(table, None, self.back)  # type: ignore[arg-type]

    def part(self, world: World) -> Nothing:
        SEEN.append(world)
        return Nothing()


class Nothing:
    labels = ()

    def at(self, ticks: Ints) -> tuple[Floats, Bools]:
        return np.zeros((0, len(ticks))), np.zeros((0, len(ticks)), dtype=np.bool_)

    def sources(self, series: Ints, ticks: Ints) -> list[Any]:
        return []


def shown(ops: ciops.Ops, *tables: str, time_range: Any = "all", ci: Any = None, **fields: Any) -> tuple[World, Any]:
    """What a rule that reads *tables* sees, and the answer."""
    SEEN.clear()
    ops.cache.clear()
    found = ops.cep_simulate.sync(Rule(id="w", when=Witness(witness=tables, **fields)), time_range=time_range, ci=ci)
    return SEEN[0], found


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────

BEGINS = {"event": "ts", "change": "start_at", "maintenance": "start_at", "incident": "opened_at"}
ACTOR = {"event": "source", "change": "requested_by", "maintenance": "performer"}


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ci", [None, ["ci-0", "ci-1"]])
def test_what_happened_is_in_the_order_of_time_with_the_fields_of_history(engine: str, seed: int, ci: Any) -> None:
    rows, start, end = world(seed), hours(3), hours(20)
    codes = {ci_id: row["ci_code"] for ci_id, row in latest_cis(rows).items()}
    versions = {row["ci_id"] for row in of_a(rows, "ci") if ci is None or row["ci_code"] in ci}
    expected = sorted(
        (
            row[BEGINS[kind]], row[f"{kind}_id"], kind, codes.get(row["ci_id"]), row.get("type"), row.get("severity"),
            row.get("title"), row.get("detail") if kind != "incident" else None, row.get(ACTOR.get(kind, "")), row.get("result"),
        )
        for kind in BEGINS
        for row in of_a(rows, kind)
        if start - timedelta(minutes=5) < row[BEGINS[kind]] <= end and (ci is None or row["ci_id"] in versions)
    )  # fmt: skip

    seen, _ = shown(opened(seed, engine), "event", time_range=(start, end), ci=ci)

    names = ["ts", "seq", "kind", "ci", "type", "severity", "title", "detail", "source", "result"]
    frame = seen.events.frame.with_columns(pl.from_epoch("ts", "us").dt.replace_time_zone("UTC"))
    assert expected == sorted(frame.select(names).rows())
    assert frame["ts"].to_list() == sorted(frame["ts"])


def events(folder: Path, properties: list[str | None]) -> ciops.Ops:
    key = {"tenant_id": "a", "ci_id": "id-1", "type": "alert"}
    rows: Any = {
        "ci": [{"tenant_id": "a", "ci_id": "id-1", "ci_code": "srv-1", "valid_from": hours(0)}],
        "event": [
            {**key, "event_id": f"e{n}", "ts": hours(n), "properties": text} for n, text in enumerate(properties)
        ],
    }
    return ciops.connect(write_world(folder, rows), frames="polars")


def test_the_keys_of_properties_are_fields(tmp_path: Path) -> None:
    given = [
        '{"user": "bob", "n": 3, "type": "x", "deep": {"b": [1]}, "on": true, "gone": null}',
        None,
        "no json",
        "[1]",
    ]
    with events(tmp_path / "e", given) as ops:
        seen, found = shown(ops, "event")
        later, _ = shown(ops, "event", time_range=(hours(1), hours(2)))

    assert {"user": "bob", "n": "3", "exported_type": "x", "deep": '{"b": [1]}', "on": "true", "gone": None} == (
        seen.events.frame.select("user", "n", "exported_type", "deep", "on", "gone").to_dicts()[0]
    )
    assert {"user", "n", "exported_type"} < set(later.events.fields)
    assert "the properties of 2 events are no JSON objects and were not read" in ciops.provenance(found).warnings


def test_a_type_that_nothing_has_is_told(tmp_path: Path) -> None:
    with events(tmp_path / "e", [None]) as ops:
        _, found = shown(ops, "event", meant=EventFilter(type=("alert", "deploy")))

    assert "nothing of type 'deploy' happened here: a rule on it could not see one" in ciops.provenance(found).warnings


def test_how_far_back_events_are_read_is_for_the_rule_to_say(tmp_path: Path) -> None:
    with events(tmp_path / "e", [None] * 9) as ops:
        seen, _ = shown(ops, "event", time_range=(hours(5), hours(6)), back=timedelta(hours=2))

    assert ["e4", "e5", "e6"] == seen.events.seq.to_list()


# ── relations ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
@pytest.mark.parametrize("seed", range(4))
def test_who_depends_on_whom_follows_the_types_of_the_estate(tmp_path: Path, engine: str, seed: int) -> None:
    types: Any = {"DEPENDS_ON": "target_to_source", "CONNECTED_TO": "both", "RUNS_ON": "source_to_target", "COMPOSED_OF": "none"}  # fmt: skip
    rows = world(seed)
    place = write_world(tmp_path / "e", rows)
    write_manifest(place, Manifest("test", relation_types=types))
    codes = {ci_id: row["ci_code"] for ci_id, row in latest_cis(rows).items()}
    expected = set()
    for row in of_a(rows, "relation"):
        source, target = codes.get(row["source_id"]), codes.get(row["target_id"])
        said, bounds = types.get(row["relation_type"]), (row["valid_from"], row["valid_to"])
        if source and target and said in ("target_to_source", "both"):
            expected.add((source, target, row["relation_type"], *bounds))
        if source and target and said in ("source_to_target", "both"):
            expected.add((target, source, row["relation_type"], *bounds))

    with ciops.connect(f"{engine}:{place}", tenant="a", now=hours(24), frames="polars") as ops:
        seen, _ = shown(ops, "relation", time_range=(hours(0), hours(1)))

    times = [pl.from_epoch(name, "us").dt.replace_time_zone("UTC") for name in ("valid_from", "valid_to")]
    assert expected == set(seen.relations.frame.with_columns(times).rows())


def test_only_what_rules_read_is_read(tmp_path: Path) -> None:
    with events(tmp_path / "e", [None]) as ops:
        seen, _ = shown(ops, "event")
        other, _ = shown(ops, "relation", time_range=(hours(0), hours(1)))

    assert (1, 0) == (len(seen.events), seen.relations.frame.height)
    assert 0 == len(other.events)


# ── maintenance ─────────────────────────────────────────────────────────────────────────────────────────────────────


def moment(number: int | None) -> datetime | None:
    return None if number is None else hours(number / 60)


@pytest.mark.parametrize("seed", range(60))
def test_an_alert_is_suppressed_if_each_moment_of_it_is_in_maintenance(seed: int) -> None:
    chance = Random(seed)
    last, codes = 40, ["a", "b", None]
    alerts = [
        (chance.choice(codes), status, fired if status == "fired" else None, chance.choice([None, fired + chance.randint(1, 9)]))
        for status in chance.choices(["fired", "fired", "fired", "pending_only"], k=chance.randint(0, 9))
        for fired in [chance.randint(0, last)]
    ]  # fmt: skip
    windows = [
        (f"m{n}", chance.choice(codes), begin, chance.choice([None, begin, begin + chance.randint(1, 12)]))
        for n in range(chance.randint(0, 8))
        for begin in [chance.randint(-5, last)]
    ]

    def during(code: str | None, at: int) -> set[str]:
        return {name for name, ci, begin, end in windows if ci == code is not None and begin <= at < (99 if end is None else end)}  # fmt: skip

    expected = []
    for code, status, fired, ended in alerts:
        while_on = range(fired, last + 1 if ended is None else ended) if fired is not None else range(0)
        met = set().union(*(during(code, at) for at in while_on))
        whole = status == "fired" and len(while_on) > 0 and all(during(code, at) for at in while_on)
        expected.append(("suppressed" if whole else status, sorted(met)))
    frame = pl.DataFrame(
        [(code, status, moment(fired), moment(ended)) for code, status, fired, ended in alerts],
        schema={"ci": pl.String, "status": pl.String, "fired_at": WINDOWS["start_at"], "ended_at": WINDOWS["end_at"]},
        orient="row",
    ).with_columns(evidence=pl.lit([], pl.List(EVIDENCE)))
    told = pl.DataFrame([(n, ci, moment(a), moment(b)) for n, ci, a, b in windows], schema=WINDOWS, orient="row")

    found = in_maintenance(frame, told, hours(last / 60))

    assert expected == [(row["status"], sorted(record["record_id"] for record in row["evidence"])) for row in found.to_dicts()]  # fmt: skip


def test_an_alert_in_maintenance_is_told_apart(tmp_path: Path) -> None:
    key = {"tenant_id": "a", "metric": "cpu", "series": ""}
    values = [10.0, 90.0, 90.0, 10.0, 90.0, 90.0, 90.0, 10.0]
    rows: Any = {
        "ci": [{"tenant_id": "a", "ci_id": f"id-{n}", "ci_code": f"srv-{n}", "valid_from": hours(0)} for n in (1, 2)],
        "metric": [
            {**key, "ci_id": ci, "ts": hours(n / 60), "value": value} for ci in ("id-1", "id-2") for n, value in enumerate(values)
        ],
        "maintenance": [
            {"tenant_id": "a", "maintenance_id": "m1", "ci_id": "id-1", "start_at": hours(0), "end_at": hours(5 / 60)}
        ],
    }  # fmt: skip
    with ciops.connect(write_world(tmp_path / "e", rows), frames="polars") as ops:
        found = ops.cep_simulate.sync({"metric": "cpu", "op": ">", "value": 50}, time_range="all")

    assert [("srv-1", "suppressed"), ("srv-2", "fired"), ("srv-1", "fired"), ("srv-2", "fired")] == found.select("ci_code", "status").rows()  # fmt: skip
    told = [[(one["step"], one["record_id"]) for one in row if one["step"] == "maintenance"] for row in found["evidence"]]  # fmt: skip
    assert [[("maintenance", "m1")], [], [("maintenance", "m1")], []] == told
