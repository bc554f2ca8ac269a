"""``history_recent`` against plain Python."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import ciops_nb as ciops
from tests.oracle import (
    SETTINGS,
    Row,
    ask,
    conditions,
    every_way,
    ids_of,
    known_fields,
    latest_cis,
    meets,
    of_a,
    opened,
    plain,
    seeds,
    world,
)
from tests.worlds import Rows, hours

KINDS = {
    "event": ("ts", None, "source", "event_id"),
    "change": ("start_at", "end_at", "requested_by", "change_id"),
    "maintenance": ("start_at", "end_at", "performer", "maintenance_id"),
    "incident": ("opened_at", "resolved_at", None, "incident_id"),
}


def records(rows: Rows, kinds: list[str], span: tuple[datetime, datetime] | None, ids: set[str] | None) -> list[Row]:
    """What overlaps *span*, in the columns of the tool: without an end it still goes on, an event is a moment."""
    codes = {ci_id: ci["ci_code"] for ci_id, ci in latest_cis(rows).items()}
    found = []
    for kind in kinds:
        begin, finish, actor, name = KINDS[kind]
        for row in of_a(rows, kind):
            start, end = row[begin], row[finish] if finish else row[begin]
            if ids is not None and row["ci_id"] not in ids:
                continue
            if span and not (start < span[1] and (start >= span[0] or (finish and (end is None or end > span[0])))):
                continue
            told = {name: row.get(name) for name in ("type", "severity", "title", "detail", "result")}
            code = codes.get(row["ci_id"])
            made = {"start_at": start, "end_at": end if finish else None, "kind": kind, "ci_code": code, **told}
            found.append({**made, "actor": row[actor] if actor else None, "record_id": row[name]})
    return sorted(found, key=lambda row: (-row["start_at"].timestamp(), row["kind"], row["record_id"]))


@every_way
@SETTINGS
@given(
    seed=seeds,
    span=st.none() | st.tuples(st.integers(0, 20), st.integers(1, 12)),
    kinds=st.none() | st.lists(st.sampled_from([*KINDS]), max_size=3, unique=True),
    codes=st.none() | st.lists(st.sampled_from(["ci-0", "ci-1", "ci-1-new"]), max_size=2),
    where=st.none() | conditions(),
    severity=st.none() | st.integers(1, 5),
    limit=st.none() | st.integers(0, 30),
)
def test_history_is_what_python_finds(
    engine: str, frames: str, way: str, seed: int, span: Any, kinds: list[str] | None, codes: list[str] | None,
    where: dict[str, Any] | None, severity: int | None, limit: int | None,
) -> None:  # fmt: skip
    rows = world(seed)
    if {name for name in where or () if "." in name} - known_fields(rows):
        return
    if codes and not all(ids_of(rows, [code]) for code in codes):
        return
    ids = None if codes is None else ids_of(rows, codes)
    if where is not None:
        met = {ci_id for ci_id, ci in latest_cis(rows).items() if meets(ci, where)}
        ids = met if ids is None else ids & met
    time_range = None if span is None else (hours(span[0]), hours(sum(span)))
    everything = records(rows, [*KINDS] if kinds is None else kinds, time_range, ids)
    without = sum(row["severity"] is None for row in everything) if severity else 0
    expected = [row for row in everything if severity is None or (row["severity"] or 0) >= severity]
    found = ask(
        opened(seed, engine, frames), way, "history_recent", codes, where=where, time_range=time_range or "all",
        kinds=kinds, min_severity=severity, limit=limit,
    )  # fmt: skip
    assert expected[:limit] == plain(found)
    told = ciops.provenance(found)
    assert (
        len(expected) == told.completeness.total == len(found) + sum(part.count for part in told.completeness.left_out)
    )
    warning = f"{without} records have no severity and are not shown under min_severity={severity}"
    absent = [kind for kind in ([*KINDS] if kinds is None else kinds) if not rows[kind]]
    unknown = [f"this estate has no table {kind!r}: nothing is known of it" for kind in absent]
    assert [*unknown, *([warning] if without else [])] == told.warnings
