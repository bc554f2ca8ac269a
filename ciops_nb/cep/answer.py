"""What a replay hands out: the columns of an alert, and rows made of what was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

__all__ = [
    "EVIDENCE", "FOUND", "SCHEMA", "Match", "evidence_lists", "found_rows", "label_text", "matched", "moments_column",
    "owner",
]  # fmt: skip

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


def matched(matches: Sequence[Match]) -> pl.DataFrame:
    """*matches* as rows of FOUND, in their order."""
    return found_rows(
        labels=[one.labels for one in matches],
        ci=[owner(one.labels) if one.ci is None else one.ci for one in matches],
        active=[one.active for one in matches],
        fired=[one.fired for one in matches],
        ended=[one.ended for one in matches],
        value=[one.value for one in matches],
        n=[one.n for one in matches],
        evidence=evidence_lists(
            [record for one in matches for record in one.evidence], [len(one.evidence) for one in matches]
        ),
    )


def found_rows(
    *,
    labels: Sequence[dict[str, str]],
    ci: Sequence[str | None],
    active: Any,
    fired: Any,
    ended: Any,
    n: Any,
    evidence: pl.Series,
    value: Any = None,
    status: Any = "fired",
) -> pl.DataFrame:
    """Rows of FOUND; times are microseconds since 1970, and what is None is null."""
    count = len(labels)
    texts = {key: label_text(one) for key, one in {id(one): one for one in labels}.items()}  # alerts share their labels
    return pl.DataFrame(
        {
            "ci": pl.Series(ci, dtype=pl.String),
            "labels": pl.Series([texts[id(one)] for one in labels], dtype=pl.String),
            "status": pl.Series([status] * count if isinstance(status, str) else status, dtype=pl.String),
            "active_at": moments_column(active),
            "fired_at": moments_column(fired),
            "ended_at": moments_column(ended),
            "value": pl.Series([None] * count if value is None else value, dtype=pl.Float64),
            "n": pl.Series(n, dtype=pl.Int64),
            "evidence": evidence,
        }
    )


_RECORD = {each.name: each.dtype for each in EVIDENCE.fields} | {"ts": pl.Int64()}


def evidence_lists(records: pl.DataFrame | list[dict[str, Any]], counts: Any) -> pl.Series:
    """*records* (ts in microseconds; a column that is not there is null) as lists of so many records each."""
    import pyarrow as pa

    if not isinstance(records, pl.DataFrame):
        records = pl.DataFrame(records, schema=_RECORD)
    whole = records.select(
        (pl.col(name) if name in records.columns else pl.lit(None).alias(name)).cast(dtype)
        for name, dtype in _RECORD.items()
    ).with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    lists = pa.LargeListArray.from_arrays(pa.array(ends), whole.to_struct("evidence").to_arrow())
    return pl.Series("evidence", pl.from_arrow(lists)).cast(pl.List(EVIDENCE))


def moments_column(micros: Any) -> pl.Series:
    """Microseconds since 1970 (None for none) as times."""
    return pl.Series(micros, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))


def owner(labels: dict[str, str]) -> str | None:
    """The CI of an alert: its label ``ci``, or the one by which Prometheus names what was measured."""
    return labels.get("ci", labels.get("instance"))


def label_text(labels: dict[str, str]) -> str:
    return json.dumps(labels, sort_keys=True, ensure_ascii=False)
