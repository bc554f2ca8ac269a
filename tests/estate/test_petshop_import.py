"""A real estate comes in whole: PetShop, by the mapping that is shipped for it."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from ciops_nb.estate.check import check
from ciops_nb.estate.importer import ImportReport, TableReport, import_tables
from ciops_nb.estate.manifest import read_manifest
from ciops_nb.estate.storage import table_path

ROOT = Path(__file__).parents[2]
PETSHOP = ROOT / "../shared/real/petshop"
MAPPING = ROOT / "data/mappings/petshop.toml"

pytestmark = pytest.mark.skipif(
    not PETSHOP.is_dir(), reason="NOT TESTED: the PetShop tables are not beside the project, so no real import was made"
)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> ImportReport:
    return import_tables(PETSHOP, tmp_path_factory.mktemp("petshop") / "estate", mapping=MAPPING)


def read(report: ImportReport, table: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in table_path(report.out, table)])


def source(table: str) -> list[dict[str, str]]:
    path = PETSHOP / (f"{table}.csv.gz" if table == "metric" else f"{table}.csv")
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_kept_and_the_column_that_is_not_ours_is_named(imported: ImportReport) -> None:
    assert {
        "ci": TableReport("ci", ("ci.csv",), rows=86, kept=86),
        "relation": TableReport("relation", ("relation.csv",), rows=91, kept=91),
        "metric_def": TableReport("metric_def", derived=14),
        "metric": TableReport("metric", ("metric.csv.gz",), rows=308_902, kept=308_902),
        "incident": TableReport("incident", ("incident.csv",), rows=16, kept=16, ignored=("metric",)),
    } == imported.tables
    assert (None, ()) == (imported.rejected, imported.warnings)
    assert "petshop" == read_manifest(imported.out / "estate.toml").name


def test_nothing_is_wrong_with_it(imported: ImportReport) -> None:
    assert [] == check(imported.out).rows()


def test_equal_codes_of_the_two_tenants_are_two_items(imported: ImportReport) -> None:
    ci = read(imported, "ci")

    assert {"high_traffic": 44, "low_traffic": 42} == Counter(ci["tenant_id"])
    assert 44 == ci["ci_code"].n_unique()
    assert 86 == ci["ci_id"].n_unique()
    site = ci.filter(pl.col("ci_code") == "PetSite").sort("tenant_id")
    assert ["high_traffic:PetSite", "low_traffic:PetSite"] == site["ci_id"].to_list()
    assert ["SW"] == ci["ci_type"].unique().to_list()
    assert Counter(row["ci_type"] for row in source("ci")) == Counter(ci["ci_subtype"])


def test_each_point_is_where_it_was(imported: ImportReport) -> None:
    codes = read(imported, "ci").select("tenant_id", "ci_id", "ci_code")
    points = read(imported, "metric").join(codes, on=["tenant_id", "ci_id"])
    asked = points.select(
        "tenant_id", pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "ci_code", "metric", "value", "series"
    )

    expected = [(r["scenario"], r["ts"], r["ci_code"], r["metric"], float(r["value"]), "") for r in source("metric")]

    assert sorted(expected) == sorted(asked.iter_rows())


def test_relations_and_incidents_stay_within_their_tenant(imported: ImportReport) -> None:
    relations = read(imported, "relation").select("tenant_id", "source_id", "target_id", "relation_type")
    incidents = read(imported, "incident").select("tenant_id", "incident_id", "ci_id", "cause_ci_id")

    def name(row: dict[str, str], code: str) -> str:
        return f"{row['scenario']}:{row[code]}"

    assert sorted(
        (row["scenario"], name(row, "source_code"), name(row, "target_code"), row["relation_type"])
        for row in source("relation")
    ) == sorted(relations.iter_rows())
    assert sorted(
        (row["scenario"], row["incident_id"], name(row, "ci_code"), name(row, "cause_code"))
        for row in source("incident")
    ) == sorted(incidents.iter_rows())


def test_metrics_have_their_units(imported: ImportReport) -> None:
    defined = read(imported, "metric_def").filter(tenant_id="low_traffic")

    assert [
        ("availability", "percent", "gauge", "down"),
        ("latency", "s", "gauge", "up"),
        ("latency_p50", "s", "gauge", "up"),
        ("latency_p90", "s", "gauge", "up"),
        ("latency_p95", "s", "gauge", "up"),
        ("latency_p99", "s", "gauge", "up"),
        ("requests", "count", "gauge", "none"),
    ] == list(defined.select("metric", "unit", "kind", "bad_direction").iter_rows())


def test_without_the_mapping_the_second_of_equal_codes_is_rejected_not_lost(tmp_path: Path) -> None:
    small = tmp_path / "in"
    small.mkdir()
    (small / "ci.csv").write_bytes((PETSHOP / "ci.csv").read_bytes())

    report = import_tables(small, tmp_path / "out")

    assert TableReport("ci", ("ci.csv",), rows=86, kept=44, rejected=42, ignored=("scenario",)) == report.tables["ci"]
    with (tmp_path / "out/rejected/ci.csv").open(newline="") as file:
        assert {"another row before it has the same tenant_id, ci_id, valid_from"} == {
            row["reason"] for row in csv.DictReader(file)
        }
