"""A question about a day opens a day's file, and finds all that is of that day."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb.errors import EngineUnavailable
from ciops_nb.estate.storage import write_table
from tests.worlds import hours, write_world

ENGINES = pytest.mark.parametrize("engine", ["polars", "duckdb"])


def four_days(folder: Path) -> Path:
    """A point every four hours: the last of one day and the first of the next lie at the ends of their files."""
    points = [
        {"tenant_id": "t", "ci_id": "a", "metric": "cpu", "series": "", "ts": hours(4 * n), "value": float(n)}
        for n in range(24)
    ]
    ci = [{"tenant_id": "t", "ci_id": "a", "ci_code": "srv-a", "valid_from": hours(-24)}]
    defined = [{"tenant_id": "t", "metric": "cpu", "kind": "gauge"}]
    return write_world(folder, {"ci": ci, "metric_def": defined, "metric": points})


def asked(ops: ciops.Ops, start: datetime | None, end: datetime | None) -> list[float]:
    span: Any = "all" if start is None and end is None else (start, end)
    return list(ops.metric_series_table.sync("cpu", "srv-a", time_range=span)["value"])


@ENGINES
def test_any_range_finds_the_points_in_it(engine: str, tmp_path: Path) -> None:
    edges = [hours(-48), *(hours(4 * n) + timedelta(microseconds=by) for n in range(0, 25, 6) for by in (-1, 0, 1))]
    with ciops.connect(f"{engine}:{four_days(tmp_path)}") as ops:
        for start in edges:
            for end in (edge for edge in edges if edge > start):
                expected = [float(n) for n in range(24) if start <= hours(4 * n) < end]
                assert expected == asked(ops, start, end)
        assert [float(n) for n in range(24)] == asked(ops, None, None)


@ENGINES
def test_a_day_is_read_from_its_file_alone(engine: str, tmp_path: Path) -> None:
    folder = four_days(tmp_path)
    for path in sorted((folder / "metric").iterdir())[1:]:
        whole = path.read_bytes()
        footer = int.from_bytes(whole[-8:-4], "little") + 8
        path.write_bytes(b"PAR1" + b"\xff" * (len(whole) - footer - 4) + whole[-footer:])  # its rows are lost
    with ciops.connect(f"{engine}:{folder}", now=hours(96)) as ops:  # the clock would read all
        assert [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] == asked(ops, hours(0), hours(24))
        with pytest.raises(EngineUnavailable, match="ciops-nb check"):
            asked(ops, hours(0), hours(28))


@ENGINES
def test_files_that_do_not_tell_their_times_are_read(engine: str, tmp_path: Path) -> None:
    folder = four_days(tmp_path)
    for path in (folder / "metric").iterdir():
        pl.read_parquet(path).write_parquet(path, statistics=False)
    with ciops.connect(f"{engine}:{folder}") as ops:
        assert [6.0, 7.0] == asked(ops, hours(24), hours(32))


@ENGINES
def test_points_that_came_later_are_found(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciops_nb.estate.files._LOOK_AGAIN", 0.0)
    folder = four_days(tmp_path)
    with ciops.connect(f"{engine}:{folder}") as ops:
        assert [] == asked(ops, hours(95), hours(96))
        old = pl.read_parquet(folder / "metric" / "2026-03-04.parquet")
        write_table(folder, "metric", pl.concat([old, old[-1:].with_columns(ts=pl.lit(hours(95)), value=99.0)]))
        assert [99.0] == asked(ops, hours(95), hours(96))
