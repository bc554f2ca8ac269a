"""Rules on events against the answers of SQLite (as Sigma's correlations) and DuckDB."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from ciops_nb.cep import replay
from tests.cep.cases import case, compared, differences, events, metrics, needs_cases, seqs, zulu

pytestmark = needs_cases

HOUR = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-01T01:00:00Z"}


@pytest.mark.parametrize("name", ["s01_event_count", "s03_temporal", "s05_count_eq"])
def test_at_events_as_sigma_correlations(name: str) -> None:
    found = replay(case(name)["neutral_rule"], events=events(name), **HOUR)

    assert [] == compared(
        name,
        [
            {"ci": r["ci"], "occurred_at": zulu(r["fired_at"]), "metric": r["value"], "event_seqs": seqs(r["evidence"])}
            for r in found.to_dicts()
        ],
    )


def test_absences_as_in_duckdb() -> None:
    found = replay(case("d09_no_data_event")["neutral_rule"], events=events("d09_no_data_event"), **HOUR)

    times = {"last_seen": "active_at", "raised_at": "fired_at", "resolved_at": "ended_at"}
    rows = [{"ci": r["ci"], **{name: zulu(r[ours]) for name, ours in times.items()}} for r in found.to_dicts()]
    assert [] == compared("d09_no_data_event", rows)


def _on(found: pl.DataFrame, every: timedelta, end: Any) -> list[Any]:
    """The ticks at which an alert was on."""
    ticks = []
    for row in found.to_dicts():
        moment = row["active_at"]
        while moment <= end and (row["ended_at"] is None or moment < row["ended_at"]):
            ticks.append(moment)
            moment += every
    return ticks


def test_counts_of_what_had_come_in_as_in_duckdb() -> None:
    rule = case("d08_late_data")["neutral_rule"]
    rows: dict[Any, dict[str, Any]] = {}
    for column, data_as_of in (("n_as_seen", rule["data_as_of"]), ("n_final", None)):
        # An alert for each number there can be: its ticks are those with that number.
        for number in range(11):
            asked = {**rule, "when": {**rule["when"], "op": "==", "value": number}, "data_as_of": data_as_of}
            found = replay(
                asked, events=events("d08_late_data"), start="2026-03-01T00:00:00Z", end="2026-03-01T00:15:00Z"
            )
            for tick in _on(found, timedelta(minutes=1), pl.Series(["2026-03-01T00:15:00Z"]).str.to_datetime()[0]):
                assert column not in rows.setdefault(zulu(tick), {"tick": zulu(tick)})
                rows[zulu(tick)][column] = number

    assert [] == compared("d08_late_data", list(rows.values()))


def test_hours_of_a_place_whose_clocks_change_as_in_duckdb() -> None:
    name = "d05_dst_business_hours"
    samples = metrics(name)
    end = samples["ts"].max()
    found = replay(case(name)["neutral_rule"], metrics=samples, start=samples["ts"].min(), end=end, every="1h")

    ticks = pl.Series("t", _on(found, timedelta(hours=1), end))
    local = ticks.dt.convert_time_zone("Europe/London").dt.to_string("%H:%M")
    assert [] == compared(name, [{"ts": zulu(t), "local": text} for t, text in zip(ticks, local, strict=True)])


def test_an_hour_that_the_clocks_show_twice_is_one_as_in_duckdb() -> None:
    name = "d07_dst_ambiguous_hour"
    samples = metrics(name)
    found = replay(case(name)["neutral_rule"], metrics=samples, start=samples["ts"].min(), end=samples["ts"].max())

    local = found["active_at"].dt.convert_time_zone("America/New_York").dt.to_string("%Y-%m-%d %H")
    assert [] == compared(name, [{"local_hour": at, "n": n} for at, n in zip(local, found["n"], strict=True)])
    assert ["2026-11-01T05:00:00Z/2026-11-01T07:00:00Z"] == [
        f"{zulu(r['active_at'])}/{zulu(r['ended_at'])}" for r in found.to_dicts()
    ]


def test_changes_of_a_state_as_in_prometheus() -> None:
    name, of = "k_KubeNodeReadinessFlapping_1", {"job": "kube-state-metrics"}
    ready = {"metric": "kube_node_status_condition", "where": {"status": "true", "condition": "Ready", **of}}
    keys = {"by": ["cluster", "node"]}
    used = {"metric": "kube_node_spec_unschedulable", "where": of, "reduce": "max", "op": "==", "value": 0, **keys}
    flaps = {"flapping": ready, "over": "15m", "op": ">", "value": 2, **keys}
    rule = {"when": {"all": [flaps, used]}, "for": "15m", "labels": {"severity": "warning"}}
    found = replay({"id": "KubeNodeReadinessFlapping", **rule}, metrics=metrics(name), **case(name)["eval"])

    assert [] == differences(name, found)


# ── the SQL of the cases, on data of our own ────────────────────────────────────────────────────────────────────────

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def by_duckdb(name: str, **tables: pl.DataFrame) -> list[tuple[str | None, ...]]:
    """What the case's own SQL says of other tables, each value as a text."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        for table, frame in tables.items():
            database.register(table, frame.to_arrow())
        return database.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({case(name)['native']['sql']})").fetchall()


def text(moment: Any) -> str | None:
    return None if moment is None else str(moment.strftime("%Y-%m-%d %H:%M:%S+00"))


def beats(seed: int, minutes: int, count: int) -> pl.DataFrame:
    rng = random.Random(seed)
    rows = [
        {
            "ts": DAY + timedelta(minutes=rng.randrange(minutes), seconds=rng.choice([0, 0, 1, 59])),
            "ci": rng.choice("abc"),
        }
        for _ in range(count)
    ]
    # A third of them late, and a few never.
    late = [rng.choice([0, 0, 1, 5, 30, None]) for _ in rows]
    return pl.DataFrame(
        [
            {
                **row,
                "type": rng.choice(["err", "hb"]),
                "ingest_ts": None if wait is None else row["ts"] + timedelta(minutes=wait),
            }
            for row, wait in zip(rows, late, strict=True)
        ]
    )


@pytest.mark.parametrize("seed", range(8))
def test_absences_by_the_sql_of_the_case(seed: int) -> None:
    rows = beats(seed, 60, 25)
    found = replay(case("d09_no_data_event")["neutral_rule"], events=rows, **HOUR)

    expected = by_duckdb("d09_no_data_event", events=rows)
    ours = [(r["ci"], *(text(r[name]) for name in ("active_at", "fired_at", "ended_at"))) for r in found.to_dicts()]
    assert sorted(expected, key=str) == sorted(ours, key=str)


@pytest.mark.parametrize("seed", range(8))
def test_counts_of_what_had_come_in_by_the_sql_of_the_case(seed: int) -> None:
    rule = case("d08_late_data")["neutral_rule"]
    rows = beats(seed, 15, 20).with_columns(type=pl.lit("err"))
    end = DAY + timedelta(minutes=15)
    counts: dict[Any, dict[str, int]] = {}
    for column, data_as_of in (("seen", rule["data_as_of"]), ("final", None)):
        for number in range(21):
            asked = {**rule, "when": {**rule["when"], "op": "==", "value": number}, "data_as_of": data_as_of}
            for tick in _on(replay(asked, events=rows, start=DAY, end=end), timedelta(minutes=1), end):
                counts.setdefault(text(tick), {})[column] = number

    expected = by_duckdb("d08_late_data", events=rows)
    assert expected == [(tick, str(both["seen"]), str(both["final"])) for tick, both in sorted(counts.items())]


@pytest.mark.parametrize("start", [datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)])
def test_hours_of_a_place_by_the_sql_of_the_case(start: datetime) -> None:
    rng = random.Random(1)
    ticks = [start + timedelta(minutes=15 * n) for n in range(4 * 24 * 5)]
    rows = pl.DataFrame({"ts": ticks, "metric": "cpu", "ci": "a", "value": [rng.choice([80.0, 95.0]) for _ in ticks]})
    found = replay(
        case("d05_dst_business_hours")["neutral_rule"], metrics=rows, start=start, end=ticks[-1], every="15m"
    )

    on = sorted(_on(found, timedelta(minutes=15), ticks[-1]))
    assert [at for at, _ in by_duckdb("d05_dst_business_hours", metrics=rows)] == [text(tick) for tick in on]
