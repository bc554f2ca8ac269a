from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.errors import EstateInvalid
from ciops_nb.estate.check import check
from ciops_nb.estate.manifest import Manifest, write_manifest
from ciops_nb.estate.schema import DEFAULT_RELATION_TYPES, DTYPES, TABLES
from ciops_nb.estate.storage import write_table

Row = dict[str, Any]
Finding = tuple[str, str | None, str, str | None, str | None, int]

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def minute(number: int | None) -> datetime | None:
    return None if number is None else DAY + timedelta(minutes=number)


def frame(table: str, rows: list[Row]) -> pl.DataFrame:
    schema = {column.name: DTYPES[column.kind] for column in TABLES[table].columns}
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def estate(folder: Path, **tables: list[Row]) -> Path:
    folder.mkdir(exist_ok=True)
    write_manifest(folder, Manifest("test"))
    for table, rows in tables.items():
        write_table(folder, table, frame(table, rows))
    return folder


def found(folder: Path) -> list[Finding]:
    columns = ("severity", "table", "problem", "tenant_id", "subject", "count")
    return list(check(folder).select(columns).iter_rows())


def ci(code: str, key: str | None = None, **more: Any) -> Row:
    return {"tenant_id": "t", "ci_id": key or code.upper(), "ci_code": code, **more}


def point(key: str, at: int, **more: Any) -> Row:
    return {"tenant_id": "t", "ci_id": key, "metric": "cpu", "series": "", "ts": minute(at), "value": 1.0, **more}


CPU = {"tenant_id": "t", "metric": "cpu", "kind": "gauge", "bad_direction": "none"}


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return estate(
        tmp_path / "estate",
        ci=[ci("web"), ci("db", criticality=5)],
        relation=[{"tenant_id": "t", "source_id": "WEB", "target_id": "DB", "relation_type": "USES"}],
        metric_def=[CPU],
        metric=[point("WEB", 0), point("WEB", 24 * 60), point("DB", 0)],
        event=[{"tenant_id": "t", "event_id": "E", "ts": DAY}],
    )


def test_a_sound_estate_has_an_empty_typed_list(sound: Path) -> None:
    findings = check(sound)

    text = pl.String()
    assert {
        "severity": text, "table": text, "problem": text, "tenant_id": text, "subject": text, "count": pl.Int64(),
        "detail": text,
    } == dict(findings.schema)  # fmt: skip
    assert findings.is_empty()


def test_what_is_no_estate_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EstateInvalid, match=r"has no estate\.toml"):
        check(tmp_path)


def test_a_bad_manifest_is_a_finding(sound: Path) -> None:
    (sound / "estate.toml").write_text('clock = "sun"')

    assert found(sound) == [("error", None, "bad_manifest", None, "estate.toml", 1)]


def test_a_missing_table_ci_is_a_finding(sound: Path) -> None:
    (sound / "ci.parquet").unlink()

    assert found(sound)[0] == ("error", "ci", "missing_table", None, None, 1)
    assert {"missing_table", "not_checked"} == set(check(sound)["problem"])


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def nothing(data: bytes) -> bytes:
    return b""


def text(data: bytes) -> bytes:
    return b"ci_code,ci_name\nweb,Web\n"


def holed(data: bytes) -> bytes:
    return data[:30] + bytes(40) + data[70:]


@pytest.mark.parametrize("damage", [half, nothing, text, holed])
def test_a_damaged_file_is_a_finding_and_the_others_are_checked(sound: Path, damage: Callable[[bytes], bytes]) -> None:
    path = sound / "metric" / "2026-03-01.parquet"
    path.write_bytes(damage(path.read_bytes()))
    write_table(sound, "event", frame("event", [{"tenant_id": "t", "event_id": "E", "ts": DAY, "severity": 9}]))

    assert found(sound) == [
        ("error", "metric", "unreadable_file", None, "metric/2026-03-01.parquet", 1),
        ("error", "event", "bad_value", "t", "E", 1),
    ]


def test_a_flipped_bit_that_would_change_an_answer_is_a_finding(sound: Path) -> None:
    path = sound / "metric" / "2026-03-01.parquet"
    points = [
        {"tenant_id": "t", "ci_id": "i-web", "metric": "cpu", "ts": DAY + timedelta(seconds=n), "value": n * 0.37}
        for n in range(3000)
    ]
    write_table(sound, "metric", frame("metric", points))
    whole, rows = path.read_bytes(), pl.read_parquet(path)
    ends = whole.index(b"\x00", 8)  # well inside of the first page
    wrong = 0
    for place in range(ends, len(whole) - 2500, 211):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with contextlib.suppress(pl.exceptions.PolarsError, pl.exceptions.PanicException):
            if not rows.equals(pl.read_parquet(path)):
                wrong += 1
                assert "unreadable_file" in check(sound)["problem"].to_list(), place

    assert wrong > 0


def test_what_needs_a_damaged_table_is_said_to_be_unchecked(sound: Path) -> None:
    for table in ("ci", "metric_def"):
        (sound / f"{table}.parquet").write_bytes(b"x")

    warnings = [row for row in found(sound) if row[0] == "warning"]
    assert [
        ("warning", table, "not_checked", None, None, 1) for table in ("relation", "metric", "metric", "event")
    ] == warnings


def test_columns_that_are_missing_wrong_or_foreign_are_found(sound: Path) -> None:
    path = sound / "event.parquet"
    good = pl.read_parquet(path)
    good.drop("ts").write_parquet(path)
    assert found(sound) == [("error", "event", "missing_column", None, "event.parquet", 1)]

    good.with_columns(pl.lit("now").alias("ts"), pl.lit(1).alias("mine")).write_parquet(path)
    assert found(sound) == [
        ("error", "event", "wrong_column_type", None, "event.parquet", 1),
        ("warning", "event", "unknown_column", None, "event.parquet", 1),
    ]

    good.select("tenant_id", "event_id", pl.col("ts").cast(pl.Datetime("ns"))).write_parquet(path)
    assert found(sound) == []


def test_findings_name_cis_by_code_and_say_what_is_wrong(sound: Path) -> None:
    write_table(
        sound, "ci", frame("ci", [ci("web", criticality=7), ci("db", valid_from=minute(5), valid_to=minute(9))])
    )
    write_table(sound, "metric", frame("metric", [point("DB", 3), point("DB", 9), point("DB", 10), point("X", 0)]))

    assert list(check(sound).select("severity", "table", "problem", "subject", "count", "detail").iter_rows()) == [
        ("error", "ci", "bad_value", "web", 1, "criticality 7 is not between 1 and 5"),
        ("error", "metric", "unknown_ci", "X", 1, "ci_id is not the id of a CI"),
        ("warning", "metric", "point_after_life", "db", 2, "the life of the CI ended at 2026-03-01T00:09:00Z"),
        ("warning", "metric", "point_before_life", "db", 1, "the life of the CI began at 2026-03-01T00:05:00Z"),
    ]


def test_a_dangling_relation_says_which_end(sound: Path) -> None:
    lost = [("WEB", "X"), ("Y", "DB"), ("X", "Y")]
    rows = [{"tenant_id": "t", "source_id": a, "target_id": b, "relation_type": "USES"} for a, b in lost]
    write_table(sound, "relation", frame("relation", rows))

    assert list(check(sound).select("subject", "detail").iter_rows()) == [
        ("X -> Y", "USES: no CI is its source and target"),
        ("Y -> db", "USES: no CI is its source"),
        ("web -> X", "USES: no CI is its target"),
    ]


def test_a_code_that_changed_hands_is_no_duplicate(tmp_path: Path) -> None:
    first = ci("web", "A", valid_to=minute(5))
    assert found(estate(tmp_path / "e", ci=[first, ci("web", "B", valid_from=minute(5))])) == []

    write_table(tmp_path / "e", "ci", frame("ci", [first, ci("web", "B", valid_from=minute(4))]))
    assert found(tmp_path / "e") == [("error", "ci", "duplicate_code", "t", "web", 2)]


def test_a_code_that_comes_back_is_no_duplicate(tmp_path: Path) -> None:
    spells = [("A", 0, 2), ("B", 2, 4), ("A", 4, 6)]
    rows = [ci("web", key, valid_from=minute(start), valid_to=minute(end)) for key, start, end in spells]

    assert [] == found(estate(tmp_path / "e", ci=rows))


def test_versions_within_a_longer_one_overlap_it(tmp_path: Path) -> None:
    spells = [(0, 9), (1, 2), (3, 4), (9, 10)]
    rows = [ci("web", valid_from=minute(start), valid_to=minute(end)) for start, end in spells]

    assert [("error", "ci", "overlapping_versions", "t", "web", 2)] == found(estate(tmp_path / "e", ci=rows))


# ---- planted faults against a slow oracle ----

FIRST, LAST = -1, 10**6
RECORDS = {"metric_def": "metric", "event": "event_id", "incident": "incident_id"}


def spell(row: Row) -> tuple[int, int]:
    start, end = row["valid_from"], row["valid_to"]
    return (FIRST if start is None else start, LAST if end is None else end)


def overlap(a: Row, b: Row) -> bool:
    (start, end), (other_start, other_end) = spell(a), spell(b)
    return start < end and other_start < other_end and start < other_end and other_start < end


def oracle(tables: dict[str, list[Row]]) -> Iterator[Finding]:
    items = tables["ci"]
    ids = {(row["tenant_id"], row["ci_id"]) for row in items}

    def code(tenant: str | None, key: str | None) -> str:
        mine = [row for row in items if (row["tenant_id"], row["ci_id"]) == (tenant, key)]
        newest = max(mine, key=lambda row: (spell(row)[0], row["ci_code"] or ""), default=None)
        return (newest and newest["ci_code"]) or key or "?"

    def subject(table: str, row: Row) -> str:
        if table == "relation":
            return f"{code(row['tenant_id'], row['source_id'])} -> {code(row['tenant_id'], row['target_id'])}"
        if table in RECORDS:
            return str(row[RECORDS[table]])
        return code(row["tenant_id"], row["ci_id"])

    def each(severity: str, table: str, problem: str, faults: list[tuple[Any, ...]]) -> Iterator[Finding]:
        for fault in sorted(set(faults), key=repr):  # tenant, subject, and what else tells findings apart
            yield severity, table, problem, fault[0], fault[1], faults.count(fault)

    for table, rows in tables.items():
        spec = TABLES[table]
        for column in [column for column in spec.columns if column.required]:
            problem, name = ("no_tenant", None) if column.name == "tenant_id" else ("missing_value", column.name)
            missing = [(row["tenant_id"], name) for row in rows if row[column.name] in (None, "")]
            yield from each("error", table, problem, missing)
        for name in ("criticality", "severity"):
            bad = [row for row in rows if row.get(name) is not None and not 1 <= row[name] <= 5]
            yield from each(
                "error",
                table,
                "bad_value",
                [(r["tenant_id"], subject(table, r), r[name], ids_of(table, r)) for r in bad],
            )
        if "valid_from" in spec.by_name:
            bad = [
                row
                for row in rows
                if None not in (row["valid_from"], row["valid_to"]) and row["valid_to"] < row["valid_from"]
            ]
            yield from each(
                "error", table, "backwards", [(r["tenant_id"], subject(table, r), ids_of(table, r)) for r in bad]
            )
        keys = [tuple(row.get(name) for name in spec.key) for row in rows]
        again = [row for i, row in enumerate(rows) if keys[i] in keys[:i]]
        yield from each(
            "error", table, "duplicate_key", [(r["tenant_id"], subject(table, r), ids_of(table, r)) for r in again]
        )
        for name in ("ci_id", "cause_ci_id"):
            if table != "ci" and name in spec.by_name:
                lost = [
                    (r["tenant_id"], r[name])
                    for r in rows
                    if r[name] is not None and (r["tenant_id"], r[name]) not in ids
                ]
                yield from each("error", table, "unknown_ci", lost)
    yield from each("error", "ci", "overlapping_versions", list(overlaps(items, ("tenant_id", "ci_id"), code)))
    for tenant, name in sorted({(row["tenant_id"], row["ci_code"]) for row in items}, key=repr):
        mine = [row for row in items if (row["tenant_id"], row["ci_code"]) == (tenant, name)]
        living = {row["ci_id"] for row in mine if spell(row)[0] < spell(row)[1]}
        if any(a["ci_id"] != b["ci_id"] and overlap(a, b) for a, b in combinations(mine, 2)):
            yield "error", "ci", "duplicate_code", tenant, name, len(living)
    edges = tables["relation"]
    for row in edges:
        row["lost"] = tuple(
            row[end] is not None and (row["tenant_id"], row[end]) not in ids for end in ("source_id", "target_id")
        )
    shown = [
        (r, (r["tenant_id"], subject("relation", r), r["relation_type"], ids_of("relation", r), r["lost"]))
        for r in edges
    ]
    yield from each("error", "relation", "dangling_relation", [key for row, key in shown if any(row["lost"])])
    loops = [key for row, key in shown if row["source_id"] is not None and row["source_id"] == row["target_id"]]
    yield from each("warning", "relation", "self_relation", loops)
    odd = [
        (r["tenant_id"], r["relation_type"]) for r in edges if r["relation_type"] not in (None, *DEFAULT_RELATION_TYPES)
    ]
    yield from each("warning", "relation", "unknown_relation_type", odd)
    thing = ("tenant_id", "source_id", "target_id", "relation_type")
    yield from each("error", "relation", "overlapping_versions", list(overlaps(edges, thing, code)))
    defined = {(row["tenant_id"], row["metric"]) for row in tables["metric_def"]}
    points = tables["metric"]
    unknown = [
        (r["tenant_id"], r["metric"]) for r in points if r["metric"] and (r["tenant_id"], r["metric"]) not in defined
    ]
    yield from each("error", "metric", "unknown_metric", unknown)
    before, after = [], []
    for row in points:
        lives = [
            spell(item) for item in items if (item["tenant_id"], item["ci_id"]) == (row["tenant_id"], row["ci_id"])
        ]
        key = (row["tenant_id"], subject("metric", row), row["ci_id"])
        if lives and row["ts"] < min(start for start, _ in lives):
            before.append(key)
        if lives and row["ts"] >= max(end for _, end in lives):
            after.append(key)
    yield from each("warning", "metric", "point_before_life", before)
    yield from each("warning", "metric", "point_after_life", after)


def ids_of(table: str, row: Row) -> tuple[Any, ...]:
    """Findings are told apart by ids, though shown by codes."""
    if table == "relation":
        return row["source_id"], row["target_id"]
    return (row[RECORDS.get(table, "ci_id")],)


def overlaps(
    rows: list[Row], thing: tuple[str, ...], code: Callable[[str | None, str | None], str]
) -> Iterator[tuple[Any, ...]]:
    """Versions that begin while one before them still runs; of those with one start, that which ends first counts."""
    for key in sorted({tuple(row[name] for name in thing) for row in rows}, key=repr):
        spells = sorted(spell(row) for row in rows if tuple(row[name] for name in thing) == key)
        firsts: dict[int, int] = {}
        for start, end in spells:
            if start < end:
                firsts.setdefault(start, end)
        shown = code(key[0], key[1]) if len(thing) == 2 else f"{code(key[0], key[1])} -> {code(key[0], key[2])}"
        for start in firsts:
            if any(other < start < end for other, end in firsts.items()):
                yield key[0], shown, key


TENANT = st.sampled_from(("t", "t", "t", "t", "t", "u", None))
KEY = st.sampled_from(("A", "A", "A", "B", "C", None))
MINUTE = st.one_of(st.none(), st.integers(0, 9))
TYPE = st.sampled_from(("USES", "FEEDS"))
RECORD = st.sampled_from(("E", "F", ""))
RANK = st.sampled_from((None, 1, 5, 0, 6))
TIMED = {"valid_from": MINUTE, "valid_to": MINUTE}
FAULTY = st.fixed_dictionaries(
    {
        table: st.lists(st.fixed_dictionaries({"tenant_id": TENANT, **columns}), max_size=6)
        for table, columns in {
            "ci": {"ci_id": KEY, "ci_code": st.sampled_from(("a", "b", None)), "criticality": RANK, **TIMED},
            "relation": {"source_id": KEY, "target_id": KEY, "relation_type": TYPE, **TIMED},
            "metric_def": {"metric": st.sampled_from(("m", "n"))},
            "metric": {"ci_id": KEY, "metric": st.sampled_from(("m", "n", "o")), "ts": st.integers(0, 9)},
            "event": {"event_id": RECORD, "ci_id": KEY, "severity": RANK, "ts": st.integers(0, 1)},
            "incident": {"incident_id": RECORD, "ci_id": KEY, "cause_ci_id": KEY, "opened_at": st.integers(0, 1)},
        }.items()
    }
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(tables=FAULTY)
def test_the_planted_faults_are_found_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, tables: dict[str, list[Row]]
) -> None:
    for row in tables["metric_def"]:
        row.update(kind="gauge", bad_direction="none")
    for row in tables["metric"]:
        row["series"] = ""
    folder = tmp_path_factory.mktemp("estate")
    times = {column.name for table in TABLES.values() for column in table.columns if column.kind == "time"}
    dated = {
        table: [{name: minute(value) if name in times else value for name, value in row.items()} for row in rows]
        for table, rows in tables.items()
    }
    # Rows lie on disk as they come: a faulty estate need not be sorted.
    estate(folder)
    for table, rows in dated.items():
        frame(table, rows).write_parquet(folder / f"{table}.parquet")

    actual = found(folder)
    shutil.rmtree(folder)

    assert sorted(oracle(tables), key=repr) == sorted(actual, key=repr)
