"""The tables of an estate: their columns, types and keys, and the meaning of the relation types.

This is the one place that knows them; engines, import, check, generator and tools all read it here.
Only names and types live here; reading is for ``engines``, writing for ``estate.storage``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

__all__ = ["CI_COLUMNS", "DEFAULT_RELATION_TYPES", "DTYPES", "SCHEMA_VERSION", "TABLES", "Column", "Impact", "Table"]

SCHEMA_VERSION = 1

Kind = Literal["text", "int", "float", "time"]  # time: UTC, microseconds

DTYPES: dict[str, pl.DataType] = {
    "text": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "time": pl.Datetime("us", "UTC"),
}

Impact = Literal["target_to_source", "source_to_target", "both", "none"]


@dataclass(frozen=True)
class Column:
    """One column: *required* means that a row without a value in it cannot be used."""

    name: str
    kind: Kind = "text"
    required: bool = False
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Table:
    """One table: *sort* is its order on disk, *key* tells two rows apart, *time* is the column its span is told by."""

    name: str
    columns: tuple[Column, ...]
    sort: tuple[str, ...]
    key: tuple[str, ...]
    time: str | None = None
    needed: bool = False
    by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _must(name: str, kind: Kind = "text") -> Column:
    return Column(name, kind, required=True)


def _rank(name: str) -> Column:
    return Column(name, "int", low=1, high=5)  # 5 is the highest criticality, the worst severity


_VALID = (Column("valid_from", "time"), Column("valid_to", "time"))

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "ci",
            (
                _must("tenant_id"),
                _must("ci_id"),
                _must("ci_code"),
                Column("ci_name"),
                Column("ci_type"),
                Column("ci_subtype"),
                Column("ci_category"),
                Column("status"),
                _rank("criticality"),
                Column("location"),
                Column("owner"),
                Column("created_at", "time"),
                Column("updated_at", "time"),
                *_VALID,
            ),
            sort=("tenant_id", "ci_code", "valid_from"),
            key=("tenant_id", "ci_id", "valid_from"),
            time="valid_from",
            needed=True,
        ),
        Table(
            "ci_property",
            (_must("tenant_id"), _must("ci_id"), _must("kind"), _must("name"), Column("value"), *_VALID),
            sort=("tenant_id", "ci_id", "kind", "name", "valid_from"),
            key=("tenant_id", "ci_id", "kind", "name", "valid_from"),
            time="valid_from",
        ),
        Table(
            "relation",
            (
                _must("tenant_id"),
                _must("source_id"),
                _must("target_id"),
                _must("relation_type"),
                Column("redundancy_group"),
                Column("min_healthy", "int"),
                *_VALID,
            ),
            sort=("tenant_id", "source_id", "target_id", "relation_type", "valid_from"),
            key=("tenant_id", "source_id", "target_id", "relation_type", "valid_from"),
            time="valid_from",
        ),
        Table(
            "metric_def",
            (
                _must("tenant_id"),
                _must("metric"),
                Column("unit"),
                Column("kind"),
                Column("description"),
                Column("bad_direction"),
            ),
            sort=("tenant_id", "metric"),
            key=("tenant_id", "metric"),
        ),
        Table(
            "metric",
            (
                _must("tenant_id"),
                _must("ci_id"),
                _must("metric"),
                Column("series"),
                _must("ts", "time"),
                Column("value", "float"),
            ),
            sort=("tenant_id", "metric", "ci_id", "series", "ts"),
            key=("tenant_id", "metric", "ci_id", "series", "ts"),
            time="ts",
        ),
        Table(
            "event",
            (
                _must("tenant_id"),
                _must("event_id"),
                Column("ci_id"),
                _must("ts", "time"),
                Column("type"),
                _rank("severity"),
                Column("source"),
                Column("title"),
                Column("detail"),
                Column("properties"),
            ),
            sort=("tenant_id", "ts", "event_id"),
            key=("tenant_id", "event_id"),
            time="ts",
        ),
        Table(
            "change",
            (
                _must("tenant_id"),
                _must("change_id"),
                Column("ci_id"),
                Column("type"),
                Column("title"),
                Column("detail"),
                Column("requested_by"),
                Column("approved_by"),
                Column("risk"),
                _must("start_at", "time"),
                Column("end_at", "time"),
                Column("result"),
            ),
            sort=("tenant_id", "start_at", "change_id"),
            key=("tenant_id", "change_id", "ci_id"),
            time="start_at",
        ),
        Table(
            "maintenance",
            (
                _must("tenant_id"),
                _must("maintenance_id"),
                Column("ci_id"),
                Column("type"),
                Column("title"),
                Column("detail"),
                Column("performer"),
                _must("start_at", "time"),
                Column("end_at", "time"),
                Column("result"),
            ),
            sort=("tenant_id", "start_at", "maintenance_id"),
            key=("tenant_id", "maintenance_id", "ci_id"),
            time="start_at",
        ),
        Table(
            "incident",
            (
                _must("tenant_id"),
                _must("incident_id"),
                Column("ci_id"),
                _rank("severity"),
                Column("title"),
                _must("opened_at", "time"),
                Column("resolved_at", "time"),
                Column("cause_ci_id"),
            ),
            sort=("tenant_id", "opened_at", "incident_id"),
            key=("tenant_id", "incident_id", "ci_id"),
            time="opened_at",
        ),
        Table(
            "label",
            (_must("tenant_id"), _must("ci_id"), _must("metric"), Column("series"), _must("name"), Column("value")),
            sort=("tenant_id", "metric", "ci_id", "series", "name"),
            key=("tenant_id", "metric", "ci_id", "series", "name"),
        ),
    )
}

CI_COLUMNS: tuple[str, ...] = TABLES["ci"].names[1:]
"""The columns of a CI as a tool shows them: those of the table without the tenant."""

DEFAULT_RELATION_TYPES: dict[str, Impact] = {
    "COMPOSED_OF": "target_to_source",
    "CONNECTED_TO": "both",
    "DEPENDS_ON": "target_to_source",
    "DEPLOYED_ON": "target_to_source",
    "PROTECTED_BY": "target_to_source",
    "RUNS_ON": "target_to_source",
    "USES": "target_to_source",
}
"""Who is hurt when the other end fails. The arrow of a relation runs from source to target."""
