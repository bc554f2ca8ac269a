"""Samples for the tests of expressions, and what an expression makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from ciops_nb.cep.promql import compiled, exact, parse
from ciops_nb.cep.samples import Grid, Samples

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOON = 1_772_366_400 * SECOND  # 2026-03-01 12:00 UTC


def samples(metric: str, series: Mapping[tuple[tuple[str, str], ...], Sequence[tuple[int, float | None]]]) -> Samples:
    """One metric: from labels to (microseconds, value), None for an end."""
    labels = tuple(sorted(series))
    rows = [
        (number, ts, np.nan if value is None else value, value is None)
        for number, key in enumerate(labels)
        for ts, value in sorted(series[key], key=lambda pair: pair[0])
    ]
    return Samples(
        metric,
        labels,
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
        np.array([row[3] for row in rows], dtype=np.bool_),
    )


def finder(known: Sequence[Samples]) -> Any:
    def find(matchers: Any) -> list[Samples]:
        name = exact(matchers)
        return [one for one in known if name is None or one.metric == name]

    return find


def of_frame(frame: pl.DataFrame) -> list[Samples]:
    """The metrics of a frame with metric, ts, value, stale and labels."""
    names = [name for name in frame.columns if name not in ("metric", "ts", "value", "stale")]
    found: dict[str, dict[Any, list[Any]]] = {}
    for row in frame.with_columns(pl.col("ts").dt.epoch("us")).iter_rows(named=True):
        labels = tuple((name, row[name]) for name in sorted(names) if row[name])
        value = None if row["stale"] else row["value"]
        found.setdefault(row["metric"], {}).setdefault(labels, []).append((row["ts"], value))
    return [samples(metric, series) for metric, series in sorted(found.items())]


def evaluated(
    text: str,
    known: Sequence[Samples],
    grid: Grid,
    *,
    lookback: timedelta = timedelta(minutes=5),
    chunk: int | None = None,
    **more: Any,
) -> dict[tuple[tuple[str, str], ...], dict[int, float]]:
    """The values of *text*: from labels to the numbers of ticks to values."""
    part = compiled(parse(text), finder(known), grid, lambda metric: lookback, **more)
    found: dict[Any, dict[int, float]] = {}
    for begin in range(0, grid.count, chunk or grid.count):
        ticks = np.arange(begin, min(grid.count, begin + (chunk or grid.count)), dtype=np.int64)
        value, there = part.at(ticks)
        assert value.shape == there.shape == (len(part.labels), len(ticks))
        for row, column in zip(*np.nonzero(there), strict=True):
            found.setdefault(tuple(sorted(part.labels[row])), {})[begin + int(column)] = float(value[row, column])
    return found
