"""Slow, obvious answers in plain Python to what the tools answer, and the sessions that are compared with them.

The worlds are those of ``tests.worlds.rich_world``, each written once and opened once a way; tenant ``a`` asks.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import math
import re
import shutil
import statistics
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import ciops_nb as ciops
from tests.worlds import HOSTILE, Rows, hours, rich_world, write_world

Row = dict[str, Any]

NOW = hours(24)
SETTINGS = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
WAYS = [
    ("polars", "pandas", "sync"),
    ("polars", "polars", "await"),
    ("duckdb", "polars", "sync"),
    ("duckdb", "pandas", "await"),
]
every_way = pytest.mark.parametrize(("engine", "frames", "way"), WAYS)
seeds = st.integers(0, 11)


@functools.cache
def world(seed: int) -> Rows:
    return rich_world(seed)


@functools.cache
def folder(seed: int) -> Path:
    made = Path(tempfile.mkdtemp(prefix="ciops-world-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return write_world(made / "estate", world(seed))


@functools.cache
def opened(seed: int, engine: str = "polars", frames: Any = "polars", tenant: str = "a", tz: str = "UTC") -> ciops.Ops:
    """The session of one world, open until the tests end."""
    ops = ciops.connect(f"{engine}:{folder(seed)}", tenant=tenant, frames=frames, now=NOW, tz=tz)
    atexit.register(ops.close)
    return ops


def ask(ops: ciops.Ops, way: str, tool: str, *args: Any, **kwargs: Any) -> Any:
    bound = ops.tool(tool)
    if way == "sync":
        return bound.sync(*args, **kwargs)

    async def main() -> Any:
        return await bound(*args, **kwargs)

    return asyncio.run(main())


def plain(frame: Any) -> list[Row]:
    """The rows of either kind of frame as dicts of plain values; null and NaN are None, floats have nine digits."""
    rows = frame.rows(named=True) if isinstance(frame, pl.DataFrame) else frame.astype(object).to_dict("records")
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return value
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if isinstance(value, float):
        return digits(value)
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value


def digits(value: float) -> float:
    return float(f"{value:.9g}")


# ── what there is ───────────────────────────────────────────────────────────────────────────────────────────────────


def of_a(rows: Rows, table: str) -> list[Row]:
    return [row for row in rows[table] if row["tenant_id"] == "a"]


def is_valid(row: Row, moment: datetime) -> bool:
    start, end = row["valid_from"], row["valid_to"]
    return (start is None or start <= moment) and (end is None or moment < end)


def cis_at(rows: Rows, moment: datetime) -> list[Row]:
    """The CIs of a moment, each with its tags and attributes under ``tags.NAME`` and ``attributes.NAME``."""
    return [{**row, **properties_of(rows, row["ci_id"], moment)} for row in of_a(rows, "ci") if is_valid(row, moment)]


def latest_cis(rows: Rows) -> dict[str, Row]:
    """By id the last version of each CI that has begun by now, with the properties of now."""
    last: dict[str, Row] = {}
    for row in sorted(of_a(rows, "ci"), key=lambda row: row["valid_from"] or datetime.min.replace(tzinfo=NOW.tzinfo)):
        if row["valid_from"] is None or row["valid_from"] <= NOW:
            last[row["ci_id"]] = {**row, **properties_of(rows, row["ci_id"], NOW)}
    return last


def properties_of(rows: Rows, ci_id: str, moment: datetime) -> Row:
    return {
        f"{'tags' if row['kind'] == 'tag' else 'attributes'}.{row['name']}": row["value"]
        for row in of_a(rows, "ci_property")
        if row["ci_id"] == ci_id and is_valid(row, moment)
    }


def known_fields(rows: Rows) -> set[str]:
    properties = of_a(rows, "ci_property")
    return {f"{'tags' if row['kind'] == 'tag' else 'attributes'}.{row['name']}" for row in properties}


def ids_of(rows: Rows, codes: Iterable[str]) -> set[str]:
    wanted = set(codes)
    return {row["ci_id"] for row in of_a(rows, "ci") if row["ci_code"] in wanted}


# ── where ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    """A ``where`` of one or two conditions, with every operator that its fields have."""
    where = {}
    for _ in range(draw(st.integers(1, 2))):
        field = draw(st.sampled_from([*FIELDS]))
        values, orders = FIELDS[field], ("<", "<=", ">", ">=")
        operators = ["=", "!=", *orders, "in", "not_in", "is_null"]
        operator = draw(st.sampled_from([*operators, *(["contains", "startswith"] if values[0] == "text" else [])]))
        one = st.sampled_from(values[1])
        if operator == "is_null":
            where[field] = (operator, draw(st.booleans()))
        elif operator in ("in", "not_in"):
            asked = draw(st.lists(one | st.none(), max_size=3))
            where[field] = asked if operator == "in" and draw(st.booleans()) else (operator, asked)
        elif operator in ("contains", "startswith"):
            where[field] = (operator, draw(st.sampled_from([*HOSTILE, "b", "W", "a"])))
        elif operator in orders:
            where[field] = (operator, draw(one))
        else:
            asked = draw(one | st.none())
            where[field] = asked if operator == "=" and draw(st.booleans()) else (operator, asked)
    return where


TEXTS = [*HOSTILE, "db", "web", "Web Server", "a db", "zz"]
TIMES = [hours(0), hours(1), hours(2.5), hours(12), hours(24)]
NUMBERS = [8, 8.0, 10, -2.0, 0.5, 1e300, 10**400]
FIELDS: dict[str, tuple[str, list[Any]]] = {
    "ci_name": ("text", TEXTS),
    "owner": ("text", TEXTS),
    "ci_type": ("text", ["HW", "SW", "hw"]),
    "ci_code": ("text", ["ci-0", "ci-1", "ci-1-new", "ci_0"]),
    "criticality": ("int", [1, 2, 3, 5, 2.5, 3.0, 10**30, -(10**400), math.inf]),
    "created_at": ("time", TIMES),
    "valid_to": ("time", TIMES),
    "updated_at": ("time", TIMES),
    "tags.role": ("text", [*TEXTS, 8]),
    "tags.a.b %": ("text", ["db", "'"]),
    "attributes.cores": ("text", ["8", "many", "", *NUMBERS]),
    "attributes.role": ("text", ["db", "attribute"]),
}


def meets(ci: Row, where: dict[str, Any]) -> bool:
    return all(_holds(ci.get(field), field, asked) for field, asked in where.items())


def _holds(value: Any, field: str, asked: Any) -> bool:
    operator, wanted = asked if isinstance(asked, tuple) else ("in" if isinstance(asked, list) else "=", asked)
    if operator == "is_null":
        return (value is None) is wanted
    if operator == "in":
        return any(_equal(value, field, one) for one in wanted)
    if operator == "not_in":
        return not any(_equal(value, field, one) for one in wanted)
    if operator == "=":
        return _equal(value, field, wanted)
    if operator == "!=":
        return not _equal(value, field, wanted)
    if value is None:
        return False
    if operator == "contains":
        return wanted in value
    if operator == "startswith":
        return value.startswith(wanted)
    if isinstance(value, str) and not isinstance(wanted, str):
        value = number(value)
    if value is None:
        return False
    return {"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[operator]


def _equal(value: Any, field: str, wanted: Any) -> bool:
    if wanted is None or value is None:
        return wanted is value
    if isinstance(value, str) and not isinstance(wanted, str):
        return number(value) == wanted
    return value == wanted


def number(text: str | None) -> float | None:
    """The number that a text is, with blanks around it or not."""
    if text is None or not re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text.strip(" \t\n\r\f")):
        return None
    return float(text)


# ── points ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def points_of(rows: Rows, metric: str, span: tuple[datetime, datetime] | None, ids: set[str] | None) -> list[Row]:
    """The points of a metric in order of time, those without a value left out; NaN is a point."""
    found = [
        row
        for row in of_a(rows, "metric")
        if row["metric"] == metric
        and row["value"] is not None
        and (span is None or span[0] <= row["ts"] < span[1])
        and (ids is None or row["ci_id"] in ids)
    ]
    return sorted(found, key=lambda row: (row["ts"], row["ci_id"], row["series"]))


def aggregate(points: list[Row], name: str) -> Any:
    """One aggregate of points in order of time."""
    values = [row["value"] for row in points]
    if name == "count":
        return len(values)
    if name in ("rate", "increase"):
        raise ValueError("steps need the points outside of the group: see steps_of")
    if not values:
        return None
    if name == "stddev":
        return digits(statistics.stdev(values)) if len(values) > 1 else None
    if name.startswith("p"):
        return digits(_quantile(sorted(values), float(name[1:]) / 100))
    made = {"min": min, "max": max, "mean": statistics.fmean, "sum": math.fsum}
    made |= {"first": lambda some: some[0], "last": lambda some: some[-1]}
    return digits(made[name](values))


def _quantile(ordered: list[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def steps_of(points: list[Row]) -> list[tuple[Row, float, float]]:
    """For each point that has one before it in its series: the point, the increase and the seconds since."""
    before: dict[tuple[str, str], Row] = {}
    steps = []
    for row in points:
        earlier = before.get((row["ci_id"], row["series"]))
        if earlier is not None:
            rise = row["value"] - earlier["value"]
            seconds = (row["ts"] - earlier["ts"]).total_seconds()
            steps.append((row, row["value"] if rise < 0 else rise, seconds))
        before[row["ci_id"], row["series"]] = row
    return steps


def counted(steps: list[tuple[Row, float, float]], name: str) -> float | None:
    """The increase, or the sum of the rates of each series, of some steps."""
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row, rise, seconds in steps:
        series.setdefault((row["ci_id"], row["series"]), []).append((rise, seconds))
    if not series:
        return None
    if name == "increase":
        return digits(sum(rise for some in series.values() for rise, _ in some))
    return digits(sum(sum(rise for rise, _ in some) / sum(s for _, s in some) for some in series.values()))
