"""Tables on disk: equal rows give equal bytes, however they came, and a table that was not finished is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from ciops_nb.estate.storage import TableWriter, table_path, write_table

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def points(number: int) -> pl.DataFrame:
    times = pl.datetime_range(BEGIN, BEGIN + timedelta(seconds=number - 1), "1s", eager=True)
    return pl.DataFrame(
        {"tenant_id": "t", "ci_id": "c", "metric": "cpu", "ts": times, "value": range(number)}, strict=False
    )


@pytest.mark.parametrize("number", [1, 122_880, 300_000])
@pytest.mark.parametrize("size", [7_000, 122_880, 200_000])
def test_parts_give_the_bytes_of_the_whole(number: int, size: int, tmp_path: Path) -> None:
    whole = points(number)
    with TableWriter(tmp_path, "metric", "parts") as parts:
        for piece in whole.iter_slices(size):
            parts.write(piece, ordered=True)
    with TableWriter(tmp_path, "metric", "whole") as one:
        one.write(whole.reverse(), ordered=False)

    assert one.path.read_bytes() == parts.path.read_bytes()
    meta = pq.ParquetFile(one.path).metadata
    groups = [meta.row_group(n).num_rows for n in range(meta.num_row_groups)]
    assert [122_880] * (number // 122_880) + [number % 122_880] * (number % 122_880 > 0) == groups
    assert whole["ts"].to_list() == pl.read_parquet(one.path)["ts"].to_list()


def test_a_file_that_was_not_finished_is_not_a_table(tmp_path: Path) -> None:
    def fail() -> None:
        with TableWriter(tmp_path, "event") as writer:
            writer.write(pl.DataFrame({"tenant_id": ["t"], "event_id": ["e"], "ts": [BEGIN]}), ordered=True)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert [] == table_path(tmp_path, "event")


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    (path,) = write_table(tmp_path, "incident", pl.DataFrame(schema={"incident_id": pl.String}))

    found = pl.read_parquet(path)
    assert (0, "cause_ci_id") == (found.height, found.columns[-1])
