"""How metrics should lie on disk: contenders of writer and settings, asked typical questions by polars.

Run with ``python -m tests.bench.parquet_layout``; it uses the estate of ``make bench`` (10 million points). Each
contender holds the same rows in the same order, a file a day. A figure is the least of several turns, contenders taking
turns; the last column is the sum of the questions against DuckDB's v2 writer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq

from ciops_nb.estate.generate import generate
from tests.bench.bench import BENCH, ESTATE

TURNS = 9
DAY = (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))
Writer = Callable[[pl.DataFrame, Path], Any]


def by_polars(**options: Any) -> Writer:
    return lambda frame, path: frame.write_parquet(path, statistics=True, **options)


def by_pyarrow(rows: int, compression: str, **options: Any) -> Writer:
    def write(frame: pl.DataFrame, path: Path) -> None:
        pq.write_table(frame.to_arrow(), path, row_group_size=rows, compression=compression, **options)

    return write


def by_duckdb(rows: int, compression: str) -> Writer:
    def write(frame: pl.DataFrame, path: Path) -> None:
        with duckdb.connect() as connection:
            connection.from_arrow(frame.to_arrow()).create_view("points")
            connection.execute(
                f"COPY points TO '{path}' (FORMAT parquet, PARQUET_VERSION v2, COMPRESSION {compression}, ROW_GROUP_SIZE {rows})"
            )

    return write


TEXT = ["tenant_id", "ci_id", "metric", "series"]
SPLIT = {"use_dictionary": TEXT, "column_encoding": {"ts": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}}
WHOLE = 64 * 1024 * 1024  # one page a column chunk, as DuckDB writes
CONTENDERS: dict[str, Writer] = {
    "duckdb v2 zstd 122880": by_duckdb(122_880, "zstd"),
    "duckdb v2 snappy 122880": by_duckdb(122_880, "snappy"),
    "polars zstd 122880": by_polars(compression="zstd", row_group_size=122_880),
    "polars zstd 122880 whole pages": by_polars(compression="zstd", row_group_size=122_880, data_page_size=WHOLE),
    "polars zstd 1M": by_polars(compression="zstd", row_group_size=1_048_576),
    "polars lz4 122880": by_polars(compression="lz4", row_group_size=122_880),
    "pyarrow zstd 122880": by_pyarrow(122_880, "zstd"),
    "pyarrow zstd 122880 whole pages": by_pyarrow(
        122_880, "zstd", data_page_size=WHOLE, max_rows_per_page=1_000_000, dictionary_pagesize_limit=WHOLE
    ),
    "pyarrow snappy 122880 whole pages": by_pyarrow(
        122_880, "snappy", data_page_size=WHOLE, max_rows_per_page=1_000_000, dictionary_pagesize_limit=WHOLE
    ),
    "pyarrow zstd 122880 v2 pages": by_pyarrow(122_880, "zstd", data_page_version="2.0", data_page_size=WHOLE),
    "pyarrow zstd 122880 split": by_pyarrow(122_880, "zstd", **SPLIT),
}


def questions(folder: Path, ids: list[str]) -> dict[str, pl.LazyFrame]:
    scan = pl.scan_parquet(folder).filter(pl.col("tenant_id") == "demo")
    day = (pl.col("ts") >= DAY[0]) & (pl.col("ts") < DAY[1])
    one = pl.col("metric") == "cpu_usage"
    return {
        "one series, one day": scan.filter(one, pl.col("ci_id") == ids[0], day).select("ts", "value"),
        "one metric, one day, mean per CI": scan.filter(one, day).group_by("ci_id").agg(pl.col("value").mean()),
        "count and newest time": scan.select(pl.len(), pl.col("ts").max()),
        "20 CIs, all metrics, 2 hours": scan.filter(
            pl.col("ci_id").is_in(ids[:20]), pl.col("ts") >= DAY[0], pl.col("ts") < DAY[0].replace(hour=2)
        ),
    }


def main() -> None:
    if not ESTATE.exists():
        generate(ESTATE, cis=100_000, relations=500_000, days=3, every_minutes=85)
    days = {path.name: pl.read_parquet(path) for path in sorted((ESTATE / "metric").glob("*.parquet"))}
    ids = next(iter(days.values())).filter(pl.col("metric") == "cpu_usage")["ci_id"].unique().sort()[::500].to_list()
    asked: dict[str, dict[str, pl.LazyFrame]] = {}
    for name, write in CONTENDERS.items():
        folder = BENCH / "layout" / name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        for file, frame in days.items():
            if not (folder / file).exists():
                write(frame, folder / file)
        asked[name] = questions(folder, ids)
    del days
    least: dict[tuple[str, str], float] = {}
    for _ in range(TURNS):
        for name, frames in asked.items():
            for question, lazy in frames.items():
                began = time.perf_counter()
                lazy.collect()
                taken = (time.perf_counter() - began) * 1e3
                least[name, question] = min(taken, least.get((name, question), taken))
    names = list(next(iter(asked.values())))
    base = sum(least["duckdb v2 zstd 122880", question] for question in names)
    print("| written by | MB |", " | ".join(f"{name}, ms" for name in names), "| sum against DuckDB v2 |")
    print("|---|---|" + "---|" * (len(names) + 1))
    for name in asked:
        size = sum(path.stat().st_size for path in (BENCH / "layout" / name.replace(" ", "-")).iterdir()) / 1e6
        times = [least[name, question] for question in names]
        print(f"| {name} | {size:.1f} |", " | ".join(f"{value:.1f}" for value in times), f"| {sum(times) / base:.2f} |")


if __name__ == "__main__":
    main()
