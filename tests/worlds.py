"""Small estates for tests: made row by row, so that an oracle can read the same rows in plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from ciops_nb.estate.manifest import Manifest, write_manifest
from ciops_nb.estate.storage import write_table

T0 = datetime(2026, 3, 1, tzinfo=UTC)
Rows = dict[str, list[dict[str, Any]]]

HOSTILE = ["%", "'; drop table ci; --", "<script>alert(1)</script>", "Ünïcode", "a_b", "", "\u202eabc", "x" * 60]


def write_world(folder: Path, rows: Rows) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, Manifest("test"))
    for table, content in rows.items():
        if content or table == "ci":
            write_table(folder, table, pl.DataFrame(content, infer_schema_length=None))
    return folder


def hours(number: float) -> datetime:
    return T0 + timedelta(hours=number)


@st.composite
def worlds(draw: st.DrawFn) -> Rows:
    """Two tenants with the same codes and other values; versions, ended CIs, nulls, hubs, cycles, hostile texts."""
    size = draw(st.integers(1, 7))
    text = st.sampled_from([*HOSTILE, "db", "web", "Web Server", None])
    rows: Rows = {
        name: [] for name in ("ci", "ci_property", "relation", "metric_def", "metric", "event", "change", "incident")
    }
    for tenant in ("a", "b"):
        rows["metric_def"].append({"tenant_id": tenant, "metric": "cpu", "unit": "percent", "kind": "gauge"})
        for number in range(size):
            ci_id = f"{tenant}-{number}"
            cut = draw(st.sampled_from([None, 5, 12]))
            fields = {
                "tenant_id": tenant,
                "ci_id": ci_id,
                "ci_code": f"ci-{number}",
                "ci_type": draw(st.sampled_from(["HW", "SW", None])),
                "created_at": hours(draw(st.integers(0, 3))),
            }
            ends = draw(st.sampled_from([None, None, 20]))
            spans = [(0, cut), (cut, ends)] if cut is not None else [(0, ends)]
            for start, end in spans:
                rows["ci"].append(
                    {
                        **fields,
                        "ci_name": draw(text),
                        "owner": f"{tenant} {draw(text)}",
                        "criticality": draw(st.sampled_from([1, 3, 5, None])),
                        "valid_from": hours(start),
                        "valid_to": None if end is None else hours(end),
                    }
                )
            if draw(st.booleans()):
                rows["ci_property"].append(
                    {
                        "tenant_id": tenant,
                        "ci_id": ci_id,
                        "kind": "tag",
                        "name": "role",
                        "value": draw(text),
                        "valid_from": hours(0),
                    }
                )
            for k in range(draw(st.integers(0, 4))):
                value = draw(st.sampled_from([0.0, 1.5, -2.0, 100.0, float("nan")]))
                rows["metric"].append(
                    {
                        "tenant_id": tenant,
                        "ci_id": ci_id,
                        "metric": "cpu",
                        "series": draw(st.sampled_from(["", "s1"])),
                        "ts": hours(k * 3),
                        "value": value,
                    }
                )
            for k in range(draw(st.integers(0, 3))):
                rows["event"].append(
                    {
                        "tenant_id": tenant,
                        "event_id": f"e{number}-{k}",
                        "ci_id": ci_id,
                        "ts": hours(draw(st.integers(0, 24))),
                        "type": "alert",
                        "severity": draw(st.integers(1, 5)),
                        "title": f"{tenant} {draw(text)}",
                    }
                )
            if draw(st.booleans()):
                start = draw(st.integers(0, 20))
                rows["change"].append(
                    {
                        "tenant_id": tenant,
                        "change_id": f"c{number}",
                        "ci_id": ci_id,
                        "type": "config",
                        "title": f"{tenant} change",
                        "start_at": hours(start),
                        "end_at": draw(st.sampled_from([None, hours(start + 2)])),
                    }
                )
        for _ in range(draw(st.integers(0, 12))):
            ends_of = st.integers(0, size)  # one more than there are: a dangling end
            rows["relation"].append(
                {
                    "tenant_id": tenant,
                    "source_id": f"{tenant}-{draw(ends_of)}",
                    "target_id": f"{tenant}-{draw(ends_of)}",
                    "relation_type": draw(st.sampled_from(["DEPENDS_ON", "CONNECTED_TO", "COMPOSED_OF"])),
                    "valid_from": hours(0),
                }
            )
    rows["metric"] = list({(r["ci_id"], r["series"], r["ts"]): r for r in rows["metric"]}.values())
    return rows
