from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.errors import BadMapping, BadParameter, EstateInvalid
from ciops_nb.estate import importer
from ciops_nb.estate.importer import ImportReport, TableReport, import_tables
from ciops_nb.estate.manifest import read_manifest
from ciops_nb.estate.mapping import read_mapping
from ciops_nb.estate.schema import DTYPES, TABLES
from ciops_nb.estate.storage import table_path

CI = "ci_code\nweb\ndb\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    (made / "ci.csv").write_text(CI)
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def mapping(folder: Path, text: str) -> Path:
    path = folder.parent / "mapping.toml"
    path.write_text(text)
    return path


def rows(out: Path, table: str) -> list[dict[str, object]]:
    return pl.concat([pl.read_parquet(path) for path in table_path(out, table)]).to_dicts()


def rejected(out: Path, table: str) -> list[dict[str, str]]:
    with (out / "rejected" / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def counts(report: ImportReport, table: str) -> tuple[int, int, int]:
    of = report.tables[table]
    return of.rows, of.kept, of.rejected


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ---- what is filled, and what codes mean ----


def test_a_list_of_codes_is_enough_for_an_estate(folder: Path, out: Path) -> None:
    report = import_tables(folder, out)

    assert [(row["tenant_id"], row["ci_id"], row["ci_code"]) for row in rows(out, "ci")] == [
        ("default", "default:db", "db"),
        ("default", "default:web", "web"),
    ]
    assert {"ci": TableReport("ci", files=("ci.csv",), rows=2, kept=2)} == report.tables
    assert (report.rejected, report.warnings) == (None, ())
    assert (Path("ci.parquet"), Path("estate.toml")) == report.files
    assert read_manifest(out / "estate.toml").name == "in"


def test_each_table_gets_the_columns_and_types_of_the_schema(folder: Path, out: Path) -> None:
    (folder / "relation.csv").write_text("source_code,target_code,relation_type\nweb,db,USES\n")
    (folder / "metric.csv").write_text("ci_code,metric,ts,value\nweb,cpu,2026-03-01T00:00:00Z,1\n")

    import_tables(folder, out)

    for table in ("ci", "relation", "metric", "metric_def"):
        expected = {column.name: DTYPES[column.kind] for column in TABLES[table].columns}
        assert expected == dict(pl.read_parquet(table_path(out, table)[0]).schema)


def test_codes_stand_for_ids_in_every_table_that_has_them(folder: Path, out: Path) -> None:
    (folder / "relation.csv").write_text("source_code,target_code,relation_type\nweb,db,USES\n")
    (folder / "incident.csv").write_text("incident_id,ci_code,opened_at,cause_code\nI1,web,2026-03-01,db\n")
    (folder / "change.csv").write_text("change_id,ci_code,start_at\nC1,,2026-03-01\n")

    import_tables(folder, out)

    assert tuple(rows(out, "relation")[0][key] for key in ("source_id", "target_id")) == ("default:web", "default:db")
    assert tuple(rows(out, "incident")[0][key] for key in ("ci_id", "cause_ci_id")) == ("default:web", "default:db")
    assert None is rows(out, "change")[0]["ci_id"]


def test_a_code_means_the_ci_of_its_own_tenant(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_text("tenant_id,ci_id,ci_code\na,1,web\nb,2,web\n")
    (folder / "event.csv").write_text("tenant_id,event_id,ci_code,ts\nb,E1,web,2026-03-01\na,E2,web,2026-03-01\n")

    import_tables(folder, out)

    assert [(row["tenant_id"], row["event_id"], row["ci_id"]) for row in rows(out, "event")] == [
        ("a", "E2", "1"),
        ("b", "E1", "2"),
    ]


def test_other_tables_take_the_only_tenant_of_ci(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_text("tenant_id,ci_code\nacme,web\n")
    (folder / "event.csv").write_text("event_id,ci_code,ts\nE1,web,2026-03-01\n")

    import_tables(folder, out)

    assert rows(out, "event")[0]["tenant_id"] == "acme"


def test_a_table_without_tenant_is_refused_if_ci_has_several(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_text("tenant_id,ci_code\na,web\nb,web\n")
    (folder / "event.csv").write_text("event_id,ci_code,ts,tenant\nE1,web,2026-03-01,a\n")

    with pytest.raises(EstateInvalid, match=r'event.csv: needs a column tenant_id\. .* tenant_id = "tenant"'):
        import_tables(folder, out)
    assert not out.exists()


def test_metrics_without_a_definition_get_one(folder: Path, out: Path) -> None:
    (folder / "metric.csv").write_text(
        "ci_code,metric,ts,value\nweb,cpu,2026-03-01,1\nweb,mem,2026-03-01,1\nweb,io,2026-03-01,1\n"
    )
    (folder / "metric_def.csv").write_text("metric,unit,kind\nmem,bytes,\n")
    told = mapping(folder, '[metrics.cpu]\nunit = "percent"\nbad_direction = "up"\n[metrics.cqu]\nunit = "s"\n')

    report = import_tables(folder, out, mapping=told)

    assert [(row["metric"], row["unit"], row["kind"], row["bad_direction"]) for row in rows(out, "metric_def")] == [
        ("cpu", "percent", "gauge", "up"),
        ("io", None, "gauge", "none"),
        ("mem", "bytes", "gauge", "none"),
    ]
    assert (*counts(report, "metric_def"), report.tables["metric_def"].derived) == (1, 1, 0, 2)
    assert report.warnings == ("[metrics.cqu] speaks of a metric that has no points. Did you mean cpu?",)


LATE = 10**9


def meant(versions: list[tuple[str, int, int | None]], when: int | None) -> str:
    """By the words of the docstring: the valid one, else the one that ended last, else the first."""
    time = LATE if when is None else when
    valid = [v for v in versions if v[1] <= time and (v[2] is None or time < v[2])]
    if valid:
        return max(valid, key=lambda v: (v[1], LATE if v[2] is None else v[2], v[0]))[0]
    gone = [v for v in versions if v[2] is not None and v[2] <= time]
    if gone:
        return max(gone, key=lambda v: (v[2] or 0, v[1], v[0]))[0]
    return min(versions, key=lambda v: (v[1], LATE if v[2] is None else v[2], v[0]))[0]


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    spells=st.lists(st.tuples(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 9))), min_size=2, max_size=5),
    times=st.lists(st.integers(0, 50), min_size=1, max_size=8, unique=True),
)
def test_a_code_used_again_means_the_ci_of_that_time(
    tmp_path_factory: pytest.TempPathFactory, spells: list[tuple[int, int | None]], times: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("in")
    versions = [
        (f"id{i}", start, None if length is None else start + length) for i, (start, length) in enumerate(spells)
    ]
    day = "2026-03-01T00:{:02}:00Z".format
    lines = [f"{key},web,{day(start)},{day(end) if end is not None else ''}" for key, start, end in versions]
    (folder / "ci.csv").write_text("\n".join(["ci_id,ci_code,valid_from,valid_to", *lines, "x,other,,"]))
    (folder / "event.csv").write_text("\n".join(["event_id,ci_code,ts", *(f"{t},web,{day(t)}" for t in times)]))
    (folder / "ci_property.csv").write_text("ci_code,kind,name,value\nweb,tag,env,prod\n")

    import_tables(folder, folder / "out")

    assert {str(t): meant(versions, t) for t in times} == {
        row["event_id"]: row["ci_id"] for row in rows(folder / "out", "event")
    }
    assert [meant(versions, None)] == [row["ci_id"] for row in rows(folder / "out", "ci_property")]


# ---- what is rejected ----


@pytest.mark.parametrize(
    ("table", "header", "line", "reason"),
    [
        ("event", "event_id,ci_code,ts", "E,web,31.12.2026", "ts '31.12.2026' is not a time"),
        ("event", "event_id,ci_code,ts", "E,web,2026-02-30T00:00Z", "ts '2026-02-30T00:00Z' is not a time"),
        ("event", "event_id,ci_code,ts", "E,web,", "ts is missing"),
        ("event", "event_id,ci_code,ts", ",web,2026-03-01", "event_id is missing"),
        ("event", "event_id,ci_code,ts", "E,wob,2026-03-01", "ci_code 'wob' is unknown"),
        ("event", "event_id,ci_id,ts", "E,wob,2026-03-01", "ci_id 'wob' is unknown"),
        ("event", "event_id,ts,severity", "E,2026-03-01,6", "severity 6 is not between 1 and 5"),
        ("event", "event_id,ts,severity", "E,2026-03-01,high", "severity 'high' is not a whole number"),
        ("event", "event_id,ts,severity", "E,2026-03-01,2.5", "severity '2.5' is not a whole number"),
        ("ci", "ci_code,criticality", "x,0", "criticality 0 is not between 1 and 5"),
        ("ci", "ci_code,valid_from,valid_to", "x,2026-03-02,2026-03-01", "valid_to is before valid_from"),
        ("ci", "ci_code,ci_id", "x,", "ci_id is missing"),
        ("metric", "ci_code,metric,ts,value", "web,cpu,2026-03-01,1o", "value '1o' is not a number"),
        ("metric", "ci_code,metric,ts,value", ",cpu,2026-03-01,1", "ci_code is missing"),
        ("change", "change_id,start_at,end_at", "C,2026-03-02,2026-03-01", "end_at is before start_at"),
        ("incident", "incident_id,opened_at,cause_code", "I,2026-03-01,wob", "cause_code 'wob' is unknown"),
        ("relation", "source_code,target_code,relation_type", "web,x,USES", "target_code 'x' is unknown"),
        ("metric_def", "metric,kind", "cpu,histogram", "kind 'histogram' is not gauge or counter"),
        ("event", "event_id,ci_code,ts", "E,wob,x", "ts 'x' is not a time; ci_code 'wob' is unknown"),
        ("event", "event_id,ci_code,ts", "E,web,2026-03-01,x", "has 4 fields, not 3: E,web,2026-03-01,x"),
        ("event", "event_id,ci_code,ts", "E,web", "has 2 fields, not 3: E,web"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_with_its_reason(
    folder: Path, out: Path, table: str, header: str, line: str, reason: str
) -> None:
    (folder / f"{table}.csv").write_text(f"{header}\n{line}\n")

    report = import_tables(folder, out)

    values = dict(zip(header.split(","), [*line.split(","), ""], strict=False))
    assert [{**values, "reason": reason}] == rejected(out, table)
    assert counts(report, table) == (1, 0, 1)
    assert out / "rejected" == report.rejected


def test_of_equal_keys_the_first_is_kept(folder: Path, out: Path) -> None:
    (folder / "metric.csv").write_text(
        "ci_code,metric,ts,value\nweb,cpu,2026-03-01T00:00Z,1\nweb,cpu,2026-03-01,2\nweb,cpu,2026-03-02,3\n"
    )

    report = import_tables(folder, out)

    assert [row["value"] for row in rows(out, "metric")] == [1.0, 3.0]
    assert [(row["value"], row["reason"]) for row in rejected(out, "metric")] == [
        ("2", "another row before it has the same tenant_id, metric, ci_id, series, ts")
    ]
    assert counts(report, "metric") == (3, 2, 1)


def test_of_equal_keys_in_two_files_the_first_is_kept(folder: Path, out: Path) -> None:
    (folder / "event").mkdir()
    (folder / "event" / "a.csv").write_text("event_id,ts,title\nE,2026-03-01,first\n")
    (folder / "event" / "b.csv").write_text("event_id,ts,note,title\nE,2026-03-01,n,second\nF,2026-03-01,n,third\n")

    report = import_tables(folder, out)

    assert [row["title"] for row in rows(out, "event")] == ["first", "third"]
    assert [(row["title"], row["note"]) for row in rejected(out, "event")] == [("second", "n")]
    assert (report.tables["event"].files, report.tables["event"].ignored) == (("a.csv", "b.csv"), ("note",))


def test_rejected_rows_lie_in_the_order_of_their_file(folder: Path, out: Path) -> None:
    (folder / "event.csv").write_text("event_id,ts\nA\nB,x\nC\nD,2026-03-01\nE,2026-03-01,x\nF,\n")

    import_tables(folder, out)

    assert ["A", "B", "C", "E", "F"] == [row["event_id"] for row in rejected(out, "event")]


def test_names_of_theirs_may_hold_braces_and_patterns(folder: Path, out: Path) -> None:
    (folder / "event.csv").write_text("event_id,^t{}$,row\nE,x,1\n")

    import_tables(folder, out, mapping=mapping(folder, '[tables.event.columns]\nts = "^t{}$"\n'))

    assert [{"event_id": "E", "^t{}$": "x", "row": "1", "reason": "^t{}$ 'x' is not a time"}] == rejected(out, "event")


def test_a_version_may_end_when_it_begins(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_text("ci_code,valid_from,valid_to\nweb,2026-03-01,2026-03-01\n")

    assert (1, 1, 0) == counts(import_tables(folder, out), "ci")


def test_blanks_are_no_value(folder: Path, out: Path) -> None:
    (folder / "event.csv").write_text("event_id,ts,severity,title\nE,2026-03-01,  ,  \n")

    import_tables(folder, out)

    assert (None, None) == (rows(out, "event")[0]["severity"], rows(out, "event")[0]["title"])


def test_a_column_named_reason_is_kept_beside_ours(folder: Path, out: Path) -> None:
    (folder / "event.csv").write_text("event_id,ts,reason\nE,x,theirs\n")

    import_tables(folder, out)

    assert rejected(out, "event") == [
        {"event_id": "E", "ts": "x", "reason (theirs)": "theirs", "reason": "ts 'x' is not a time"}
    ]


EVENT_IDS = ("E1", "E2", "E3", "")
CODES = ("web", "db", "", "wob", " web")
TIMES = {"2026-03-01T00:00:00Z": 0, "2026-03-01": 0, "2026-03-01T01:00+01:00": 0, "2026-03-01 00:01": 60, "": None,
         "x": None, "2026-02-30": None, "1772323200": None}  # fmt: skip
SEVERITIES = {"": True, "1": True, "5": True, "3.0": True, "0": False, "6": False, "x": False, "2.5": False}


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(EVENT_IDS), st.sampled_from(CODES), st.sampled_from(sorted(TIMES)),
            st.sampled_from(sorted(SEVERITIES)), st.sampled_from((4, 4, 4, 3, 5)),
        ),
        max_size=12,
    ),
    batch=st.sampled_from((1, 3, 1_000_000)),
)  # fmt: skip
def test_rows_in_are_rows_kept_and_rows_rejected_whatever_the_dirt(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str, str, int]], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("in")
    out = folder / "out"
    (folder / "ci.csv").write_text(CI)
    texts = [",".join([*line[:4], "surplus"][: line[4]]) for line in lines]
    (folder / "event.csv").write_text("\n".join(["event_id,ci_code,ts,severity", *texts]) + "\n")
    seen: set[str] = set()
    expected = []
    for name, code, time, severity, fields in lines:
        good = name and code in ("web", "db", "") and TIMES[time] is not None and SEVERITIES[severity] and fields == 4
        expected.append(bool(good and name not in seen))
        seen |= {name} if good else set()
    usual, importer._BATCH = importer._BATCH, batch
    try:
        report = import_tables(folder, out)
    finally:
        importer._BATCH = usual

    assert (len(lines), sum(expected), len(lines) - sum(expected)) == counts(report, "event")
    kept = [line for line, good in zip(lines, expected, strict=True) if good]
    assert sorted(line[0] for line in kept) == sorted(row["event_id"] for row in rows(out, "event"))
    bad = [line for line, good in zip(lines, expected, strict=True) if not good]
    if bad:
        found = rejected(out, "event")
        assert sorted(line[0] for line in bad) == sorted(row["event_id"] for row in found)
        assert all(row["reason"] for row in found)


# ---- how values are written ----


def test_times_with_offset_without_and_of_a_zone(folder: Path, out: Path) -> None:
    texts = ["2026-03-01T10:00:00Z", "2026-03-01T10:00:00.25+02:00", "2026-07-01 10:00", "2026-03-29T02:30:00",
             "2026-10-25T02:30:00"]  # fmt: skip
    (folder / "event.csv").write_text("\n".join(["event_id,ts", *(f"{i},{text}" for i, text in enumerate(texts))]))
    told = mapping(folder, 'time_zone = "Europe/Berlin"\n')

    import_tables(folder, out, mapping=told)

    assert {"0": at("2026-03-01T10:00"), "1": at("2026-03-01T08:00:00.25"), "2": at("2026-07-01T08:00")} == {
        row["event_id"]: row["ts"] for row in rows(out, "event")
    }
    reason = "ts '2026-03-29T02:30:00' is not a time, or clocks were changed then in Europe/Berlin"
    assert reason == rejected(out, "event")[0]["reason"]
    assert len(rejected(out, "event")) == 2


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("epoch_s", "1772359200.5"),
        ("epoch_ms", "1772359200500"),
        ("%d.%m.%Y %H:%M:%S%.f", "01.03.2026 10:00:00.5"),
        ("iso", "2026-03-01T10:00:00,500000999Z"),
        ("iso", "2026-03-01T05:30:00.5-0430"),
    ],
)
def test_times_in_the_format_of_the_mapping(folder: Path, out: Path, form: str, text: str) -> None:
    (folder / "event.csv").write_text(f'event_id,ts\nE,"{text}"\n')

    import_tables(folder, out, mapping=mapping(folder, f'[tables.event]\ntime_format = "{form}"\n'))

    assert [at("2026-03-01T10:00:00.5")] == [row["ts"] for row in rows(out, "event")]


def test_floats_may_be_nan_infinite_or_absent(folder: Path, out: Path) -> None:
    texts = ["NaN", "+Inf", "-inf", "", "1e3", " 2 "]
    lines = [f"web,cpu,2026-03-01T00:0{i}:00Z,{text}" for i, text in enumerate(texts)]
    (folder / "metric.csv").write_text("\n".join(["ci_code,metric,ts,value", *lines, "web,cpu,2026-03-02,1e999"]))

    import_tables(folder, out)

    assert [str(row["value"]) for row in rows(out, "metric")] == ["nan", "inf", "-inf", "None", "1000.0", "2.0"]
    assert [row["reason"] for row in rejected(out, "metric")] == ["value '1e999' is not a number"]


def test_a_file_of_a_german_spreadsheet(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_bytes("Kürzel;Name\nweb;Prüfstand\n".encode("cp1252"))
    (folder / "metric.csv").write_bytes(
        b"host;metric;ts;value\nweb;cpu;01.03.2026 10:00;1,5\nweb;mem;01.03.2026 10:00;NULL\n"
    )
    told = mapping(
        folder,
        """
        delimiter = ";"
        encoding = "cp1252"
        decimal = ","
        null_values = ["NULL"]
        time_format = "%d.%m.%Y %H:%M"
        [tables.ci.columns]
        ci_code = "Kürzel"
        ci_name = "Name"
        [tables.metric.columns]
        ci_code = "host"
        """,
    )

    import_tables(folder, out, mapping=told)

    assert rows(out, "ci")[0]["ci_name"] == "Prüfstand"
    assert [(at("2026-03-01T10:00"), 1.5), (at("2026-03-01T10:00"), None)] == [
        (row["ts"], row["value"]) for row in rows(out, "metric")
    ]


def test_a_byte_order_mark_and_line_breaks_in_quotes_are_understood(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_text('\ufeffci_code,ci_name\r\nweb,"a\nb"\r\n\r\ndb,"say ""x"", y"\r\n')

    import_tables(folder, out)

    assert [row["ci_name"] for row in rows(out, "ci")] == ['say "x", y', "a\nb"]


def test_parquet_and_gzip_give_what_csv_gives(folder: Path, out: Path, tmp_path: Path) -> None:
    text = (
        "ci_code,metric,ts,value\nweb,cpu,2026-03-01T00:00:00Z,1\nweb,cpu,2026-03-02T00:00:00Z,\nwob,cpu,2026-03-02,1\n"
    )
    (folder / "metric.csv").write_text(text)
    plain = import_tables(folder, out)
    (folder / "metric.csv").unlink()
    (folder / "metric.csv.gz").write_bytes(gzip.compress(text.encode()))
    packed = import_tables(folder, tmp_path / "gz")
    (folder / "metric.csv.gz").unlink()
    day = [datetime(2026, 3, 1), datetime(2026, 3, 2), datetime(2026, 3, 2)]
    pl.DataFrame(
        {
            "ci_code": pl.Series(["web", "web", "wob"], dtype=pl.Categorical()),
            "metric": "cpu",
            "ts": day,
            "value": [1, None, 1],
        }
    ).write_parquet(folder / "metric.parquet")
    binary = import_tables(folder, tmp_path / "parquet")

    assert rows(out, "metric") == rows(tmp_path / "gz", "metric") == rows(tmp_path / "parquet", "metric")
    assert [counts(report, "metric") for report in (plain, packed, binary)] == [(3, 2, 1)] * 3
    assert rejected(out, "metric")[0]["reason"] == rejected(tmp_path / "parquet", "metric")[0]["reason"]


def test_an_estate_imported_again_is_the_same_estate(folder: Path, out: Path, tmp_path: Path) -> None:
    (folder / "metric.csv").write_text("ci_code,metric,ts,value\nweb,cpu,2026-03-01,1\ndb,cpu,2026-03-02,2\n")
    (folder / "relation.csv").write_text("source_code,target_code,relation_type\nweb,db,FEEDS\n")
    import_tables(folder, out, mapping=mapping(folder, '[relation_types]\nFEEDS = "both"\n'))

    import_tables(out, tmp_path / "again")

    names = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert len(names) == 6
    assert {name: (out / name).read_bytes() for name in names} == {
        path.relative_to(tmp_path / "again"): path.read_bytes()
        for path in (tmp_path / "again").rglob("*")
        if path.is_file()
    }


# ---- mappings ----


def test_a_mapping_renames_fills_translates_and_unfolds(folder: Path, out: Path) -> None:
    (folder / "ci.csv").unlink()
    (folder / "cmdb-1.csv").write_text("host,ci_type,prio,env,os\nweb,nginx,high,prod,\ndb,pg,2,,linux\n")
    told = mapping(
        folder,
        """
        name = "shop"
        tenant = "acme"
        [tables.ci]
        file = "cmdb-*.csv"
        tags = ["env"]
        attributes = ["os"]
        [tables.ci.columns]
        ci_code = "host"
        ci_subtype = "ci_type"
        criticality = "prio"
        [tables.ci.values]
        ci_type = "SW"
        valid_from = 2026-01-01
        [tables.ci.translate.criticality]
        high = 5
        """,
    )

    report = import_tables(folder, out, mapping=told)

    keys = ("tenant_id", "ci_code", "ci_type", "ci_subtype", "criticality", "valid_from")
    born = at("2026-01-01")
    assert [("acme", "db", "SW", "pg", 2, born), ("acme", "web", "SW", "nginx", 5, born)] == [
        tuple(row[key] for key in keys) for row in rows(out, "ci")
    ]
    assert [tuple(row[key] for key in ("ci_id", "kind", "name", "value")) for row in rows(out, "ci_property")] == [
        ("acme:db", "attribute", "os", "linux"),
        ("acme:web", "tag", "env", "prod"),
    ]
    assert (read_manifest(out / "estate.toml").name, report.tables["ci_property"].derived) == ("shop", 2)


def test_a_column_that_is_mapped_is_not_also_taken_by_its_own_name(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_text("ci_code,ci_type\nweb,nginx\n")
    told = mapping(folder, '[tables.ci.columns]\nci_subtype = "ci_type"\n')

    import_tables(folder, out, mapping=told)

    assert (None, "nginx") == (rows(out, "ci")[0]["ci_type"], rows(out, "ci")[0]["ci_subtype"])


def test_columns_that_are_not_ours_are_reported(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_text("ci_code,zeta,alpha\nweb,1,2\n")

    assert import_tables(folder, out).tables["ci"].ignored == ("alpha", "zeta")


def test_a_relation_type_without_meaning_is_a_warning(folder: Path, out: Path) -> None:
    (folder / "relation.csv").write_text("source_code,target_code,relation_type\nweb,db,DEPEND_ON\nweb,db,USES\n")

    assert import_tables(folder, out).warnings == (
        "relation type 'DEPEND_ON' has no meaning: write it under [relation_types] in the mapping, "
        "or translate it to DEPENDS_ON",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nme = 'x'", "names 'nme', which is unknown. Did you mean name?"),
        ("name = 3", "name = 3 is not a text"),
        ("[tables.metrics]", "[tables] names 'metrics', which is unknown. Did you mean metric"),
        ("[tables.ci.columns]\nci_cod = 'x'", "[tables.ci.columns] names 'ci_cod', which is unknown"),
        ("[tables.ci.columns]\nci_name = 'ci_cod'", "which ci.csv does not have. Did you mean ci_code?"),
        ("[tables.ci]\ntags = ['env']", "[tables.ci] takes a tag or attribute from 'env', which ci.csv does not have"),
        ("[columns]\ntenant_id = 'ci_cod'", "no file has this column. Did you mean ci_code?"),
        ("[tables.ci]\nfile = 'cis.csv'", "has no such file. Did you mean ci.csv?"),
        ("[tables.ci]\nfile = '/ci.csv'", "is not a name inside of the folder"),
        ("[tables.event.columns]\nts = 'x'", "has no event.csv and no event.parquet"),
        ("[tables.ci.values]\ncriticality = 'high'", "criticality = 'high' is not a whole number"),
        ("[tables.ci]\ncolumns.owner = 'ci_code'\nvalues.owner = 'me'", "gives 'owner' both a column and a value"),
        ("[tables.ci]\ntime_zone = 'Berlin'", "[tables.ci] time_zone = 'Berlin': there is no such time zone"),
        ("time_format = 'unix'", "time_format = 'unix' is not a format"),
        ("time_format = '%d.%m.%Y %H'", "time_format = '%d.%m.%Y %H' cannot be used"),
        ("time_format = '%H:%M'", "time_format = '%H:%M' has no year"),
        ("time_format = '%Y-%m-%d %H:%M %Z'", "reads the name of a zone, and would ignore it"),
        ("encoding = 'utf-9'", "encoding = 'utf-9' is unknown"),
        ("delimiter = ';;'", "delimiter = ';;' is not one character"),
        ("null_values = 'x'", "null_values = 'x' is not a list"),
        ("[relation_types]\nX = 'up'", "relation type 'X' has impact 'up'"),
        ("[metrics.cpu]\nkind = 'x'", "[metrics.cpu] kind = 'x' is unknown. Choose one of gauge, counter"),
        ("tables = 3", "tables is not a section"),
        ("x = ", "is not TOML"),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_says_where_and_what_is_near(
    folder: Path, out: Path, text: str, message: str
) -> None:
    with pytest.raises(BadMapping) as caught:
        import_tables(folder, out, mapping=mapping(folder, text))

    assert message in str(caught.value)
    assert not out.exists()


def test_a_mapping_that_is_not_there_is_named(folder: Path, out: Path) -> None:
    with pytest.raises(BadMapping, match=r"nowhere.toml: cannot be read"):
        import_tables(folder, out, mapping=folder / "nowhere.toml")


def test_the_mapping_in_the_docstring_can_be_read(tmp_path: Path) -> None:
    from ciops_nb.estate import mapping as module

    lines = (module.__doc__ or "").split("::\n\n")[1].split("\n\nA table")[0].splitlines()
    (tmp_path / "m.toml").write_text("\n".join(line[4:] for line in lines))

    found = read_mapping(tmp_path / "m.toml")

    assert (found.name, found.delimiter, found.tables["ci"].translate["criticality"]) == ("petshop", ";", {"high": "5"})


# ---- folders and files that will not do ----


def test_a_folder_that_is_not_there_is_named(out: Path, tmp_path: Path) -> None:
    with pytest.raises(EstateInvalid, match="nowhere: there is no such folder"):
        import_tables(tmp_path / "nowhere", out)


def test_without_a_table_ci_the_file_that_may_be_it_is_named(folder: Path, out: Path) -> None:
    (folder / "ci.csv").rename(folder / "cis.csv")

    with pytest.raises(EstateInvalid, match=r'has no table ci.*Is it cis.csv\?.*\[tables.ci\] file = "cis.csv"'):
        import_tables(folder, out)


def test_a_needed_column_that_is_missing_comes_with_the_line_to_write(folder: Path, out: Path) -> None:
    (folder / "relation.csv").write_text("source,target_code,relation_type\nweb,db,USES\n")

    with pytest.raises(EstateInvalid) as caught:
        import_tables(folder, out)

    assert (
        f"{folder / 'relation.csv'}: needs a column source_id or source_code. "
        'It has source. Write in a mapping: [tables.relation.columns] source_code = "source"'
    ) == str(caught.value)


def test_another_delimiter_is_noticed(folder: Path, out: Path) -> None:
    (folder / "ci.csv").write_text("ci_code;ci_name\nweb;x\n")

    with pytest.raises(EstateInvalid, match="separated by ';': write delimiter = ';' in a mapping"):
        import_tables(folder, out)


def test_a_parquet_column_of_the_wrong_type_is_refused(folder: Path, out: Path) -> None:
    pl.DataFrame({"event_id": ["E"], "ts": [1772359200]}).write_parquet(folder / "event.parquet")

    with pytest.raises(EstateInvalid, match=r'column ts is Int64, not a time.*time_format = "epoch_s"'):
        import_tables(folder, out)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("event.csv", b"", "cannot be read \\(Empty CSV file\\)"),
        ("event.csv", b"event_id,ts\nE\xe4,2026-03-01\n", 'cannot be read .*encoding = "cp1252"'),
        ("event.csv.gz", b"event_id,ts\n", "cannot be read"),
        ("event.csv.gz", gzip.compress(b"event_id,ts\n" + b"E,2026-03-01\n" * 9999)[:-30], "cannot be read"),
        ("event.parquet", b"PAR1 no more", "cannot be read"),
        ("event.csv", b"ts,ts\n", "has two columns named 'ts'"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_written(
    folder: Path, out: Path, name: str, content: bytes, problem: str
) -> None:
    (folder / name).write_bytes(content)

    with pytest.raises(EstateInvalid, match=f"{name}: {problem}"):
        import_tables(folder, out)
    assert [path.name for path in out.parent.iterdir()] == ["in"]


def test_two_files_for_one_table_are_refused(folder: Path, out: Path) -> None:
    (folder / "ci.csv.gz").write_bytes(gzip.compress(CI.encode()))

    with pytest.raises(EstateInvalid, match=r"has ci.csv and ci.csv.gz, which are both table ci"):
        import_tables(folder, out)


def test_files_that_look_like_tables_are_warned_of(folder: Path, out: Path) -> None:
    (folder / "metrics.csv").write_text("x\n")
    (folder / "event.xlsx").write_text("x")
    (folder / "README.md").write_text("x")

    assert import_tables(folder, out).warnings == (
        "event.xlsx was not read: it is neither CSV nor Parquet",
        "metrics.csv was not read: there is no table 'metrics'. Did you mean metric? "
        'Then rename it, or write [tables.metric] file = "metrics.csv"',
    )


def test_a_file_that_the_mapping_passes_over_is_warned_of(folder: Path, out: Path) -> None:
    (folder / "cmdb.csv").write_text(CI)
    told = mapping(folder, '[tables.ci]\nfile = "cmdb.csv"\n')

    assert ("ci.csv was not read: the mapping names another file for table ci",) == import_tables(
        folder, out, mapping=told
    ).warnings


def test_a_folder_that_is_in_use_is_not_written_to(folder: Path, out: Path) -> None:
    out.mkdir()
    (out / "mine.txt").write_text("x")

    with pytest.raises(EstateInvalid, match="exists and is not an empty folder"):
        import_tables(folder, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_an_interrupted_import_leaves_nothing_behind(folder: Path, out: Path) -> None:
    def stop(step: str, done: int, total: int) -> None:
        if step.startswith("metric"):
            raise KeyboardInterrupt

    (folder / "metric.csv").write_text("ci_code,metric,ts,value\nweb,cpu,2026-03-01,1\n")

    with pytest.raises(KeyboardInterrupt):
        import_tables(folder, out, progress=stop)
    assert [path.name for path in out.parent.iterdir()] == ["in"]


def test_progress_ends_each_step_at_its_total(folder: Path, out: Path) -> None:
    (folder / "metric.csv").write_text("ci_code,metric,ts,value\nweb,cpu,2026-03-01,1\n")
    last: dict[str, tuple[int, int]] = {}

    import_tables(folder, out, progress=lambda step, done, total: last.update({step: (done, total)}))

    sizes = {name: (folder / f"{name}.csv").stat().st_size for name in ("ci", "metric")}
    assert {
        "ci: read": (sizes["ci"],) * 2, "metric: read": (sizes["metric"],) * 2, "metric: write days": (1, 1),
    } == last  # fmt: skip


def test_a_clock_that_is_none_is_refused(folder: Path, out: Path) -> None:
    with pytest.raises(BadParameter, match="clock='sun': is not a clock"):
        import_tables(folder, out, clock="sun")  # type: ignore[arg-type]


def test_two_imports_of_the_same_files_are_equal_to_the_byte(folder: Path, out: Path, tmp_path: Path) -> None:
    lines = [f"{'web' if i % 3 else 'wob'},m{i % 4},2026-03-0{1 + i % 5}T00:{i % 60:02}:00Z,{i}" for i in range(300)]
    (folder / "metric.csv").write_text("\n".join(["ci_code,metric,ts,value", *lines]))

    def content(place: Path) -> str:
        import_tables(folder, place)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        return json.dumps({str(path.relative_to(place)): path.read_bytes().hex() for path in files})

    assert content(out) == content(tmp_path / "second")
