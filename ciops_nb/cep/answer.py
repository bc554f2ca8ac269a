"""What a replay hands out: the columns of an alert, and rows made of what was found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

__all__ = ["EVIDENCE", "FOUND", "SCHEMA", "Match", "label_text", "matched", "moments_column", "owner"]

EVIDENCE = pl.Struct(
    {
        "step": pl.String(),
        "record_id": pl.String(),
        "ts": pl.Datetime("us", "UTC"),
        "ci_code": pl.String(),
        "metric": pl.String(),
        "value": pl.Float64(),
        "hops": pl.Int64(),
    }
)

SCHEMA: dict[str, pl.DataType] = {
    "rule": pl.String(),
    "match": pl.Int64(),
    "ci": pl.String(),
    "labels": pl.String(),
    "status": pl.String(),
    "active_at": pl.Datetime("us", "UTC"),
    "fired_at": pl.Datetime("us", "UTC"),
    "ended_at": pl.Datetime("us", "UTC"),
    "value": pl.Float64(),
    "n": pl.Int64(),
    "evidence": pl.List(EVIDENCE),
}

FOUND = {name: dtype for name, dtype in SCHEMA.items() if name not in ("rule", "match")}
"""What one rule finds: its name and the numbers are put beside it by the replay."""


@dataclass(frozen=True)
class Match:
    """One finding of a pattern: labels, and times in microseconds since 1970.

    The times of its evidence are microseconds too; what a record there does not say is null.
    """

    labels: dict[str, str]
    active: int
    fired: int
    ended: int | None
    value: float | None = None
    n: int = 0
    evidence: list[dict[str, Any]] = field(default_factory=list)
    ci: str | None = None


def matched(matches: Iterable[Match]) -> pl.DataFrame:
    """*matches* as rows of FOUND, in their order."""
    rows = [
        (
            owner(one.labels) if one.ci is None else one.ci,
            label_text(one.labels),
            "fired",
            one.active,
            one.fired,
            one.ended,
            one.value,
            one.n,
            [[record.get(name) for name in _RECORD] for record in one.evidence],
        )
        for one in matches
    ]
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in FOUND]
    times = ("active_at", "fired_at", "ended_at")
    return pl.DataFrame(
        [
            moments_column(name, values)
            if name in times
            else evidence_column(values)
            if name == "evidence"
            else pl.Series(name, values, dtype)
            for (name, dtype), values in zip(FOUND.items(), columns, strict=True)
        ]
    )


_RECORD = [field.name for field in EVIDENCE.fields]


def evidence_column(rows: Sequence[Any]) -> pl.Series:
    raw = pl.Struct({f.name: pl.Int64() if f.name == "ts" else f.dtype for f in EVIDENCE.fields})
    records = [[dict(zip(_RECORD, record, strict=True)) for record in row] for row in rows]
    return pl.Series("evidence", records, pl.List(raw)).cast(pl.List(EVIDENCE))


def moments_column(name: str, micros: Any) -> pl.Series:
    """Microseconds since 1970 (null for none) as times."""
    return pl.Series(name, micros, pl.Int64).cast(pl.Datetime("us", "UTC"))


def owner(labels: dict[str, str]) -> str | None:
    """The CI of an alert: its label ``ci``, or the one by which Prometheus names what was measured."""
    return labels.get("ci", labels.get("instance"))


def label_text(labels: dict[str, str]) -> str:
    return json.dumps(labels, sort_keys=True, ensure_ascii=False)
