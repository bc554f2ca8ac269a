"""The cases that other engines answered, where they are beside the project."""

from __future__ import annotations

import csv
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "../shared/cases/cep"

needs_cases = pytest.mark.skipif(
    not (FOLDER / "check.py").exists(),
    reason="THE CASES ARE NOT HERE: ../shared/cases/cep is missing, nothing compared",
)


def case_names() -> list[str]:
    return sorted(path.parent.name for path in (FOLDER / "cases").glob("*/case.yaml"))


def case(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / "cases" / name / "case.yaml").read_text())
    return read


def metrics(name: str) -> pl.DataFrame | None:
    if not (FOLDER / "cases" / name / "metrics.csv").exists():
        return None
    with (FOLDER / "cases" / name / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["stale"] = row["value"] == "stale"
        row["value"] = None if row["stale"] else float(row["value"])
    frame = pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"value": pl.Float64})
    return frame.with_columns(pl.col("ts").str.to_datetime(time_unit="us", time_zone="UTC"))


def events(name: str) -> pl.DataFrame | None:
    path = FOLDER / "cases" / name / "events.csv"
    return pl.read_csv(path, infer_schema_length=None) if path.exists() else None


def relations(name: str) -> pl.DataFrame | None:
    path = FOLDER / "cases" / name / "topology.csv"
    return pl.read_csv(path) if path.exists() else None


def compared(name: str, rows: list[dict[str, Any]], *, ignore: tuple[str, ...] = ()) -> list[Any]:
    """What the folder's own comparison says of *rows*, which have the columns of its expected.csv."""
    spec = importlib.util.spec_from_file_location("cep_check", FOLDER / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to be closed by whoever comes
        result: list[Any] = module.compare(FOLDER / "cases" / name, rows, ignore=ignore)
    return result


def differences(name: str, found: pl.DataFrame) -> list[Any]:
    """What the folder's own comparison says of *found*."""
    rows = found.rename({"value": "value_at_fire"}).with_columns(
        pl.col("active_at", "fired_at", "ended_at").dt.to_string("%Y-%m-%dT%H:%M:%SZ")
    )
    # Some values were not cross-checked on a server: the folder leaves them empty and says so in ``oracle``.
    unchecked = () if "value_at_fire" in case(name)["oracle"] else ("value_at_fire",)
    return compared(name, rows.to_dicts(), ignore=unchecked)


def seqs(evidence: list[dict[str, Any]]) -> str:
    """The events of some evidence as the folder writes them."""
    return " ".join(record["record_id"] for record in evidence)


def zulu(moment: Any) -> str:
    return "" if moment is None else str(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
