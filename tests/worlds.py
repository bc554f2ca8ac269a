"""Small estates for tests: made row by row, so that an oracle can read the same rows in plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
from hypothesis import strategies as st

from ciops_nb.estate.manifest import Manifest, write_manifest
from ciops_nb.estate.schema import TABLES
from ciops_nb.estate.storage import write_table

T0 = datetime(2026, 3, 1, tzinfo=UTC)
Rows = dict[str, list[dict[str, Any]]]

HOSTILE = ["%", "'; drop table ci; --", "<script>alert(1)</script>", "Ünïcode", "a_b", "", "\u202eabc", "x" * 60]
PROPERTIES: list[tuple[str, str, list[str | None]]] = [
    ("tag", "role", [*HOSTILE, "db", "web", None]),
    ("tag", "a.b %", ["db", "'", None]),
    (
        "attribute",
        "cores",
        ["8", " 8.0 ", "1e1", "-2", ".5", "many", "", "8x", "NaN", "\u00a08", "\x0b8", "1e999", None],
    ),
    ("attribute", "role", ["db", "attribute"]),
]


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


def rich_world(seed: int, tenants: tuple[str, ...] = ("a", "b")) -> Rows:
    """All that an estate can hold, from a seed: a tenant's rows are the same whether or not there are others.

    Codes are the same in each tenant, ids in every second world too. CIs have versions with gaps and renames and may
    have ended; texts are null or hostile; relations run parallel, to themselves, to a hub and to nowhere; points are
    NaN, infinite, null, of unknown CIs; records have no CI, no end and no severity.
    """
    rows: Rows = {name: [] for name in TABLES}
    for tenant in tenants:
        _fill(rows, tenant, "id" if seed % 2 else tenant, Random(f"{seed} {tenant}"))
    return rows


def _fill(rows: Rows, tenant: str, prefix: str, chance: Random) -> None:
    ids = [f"{prefix}-{number}" for number in range(chance.choice((1, 5, 6, 7, 7)))]
    nowhere = f"{prefix}-nowhere"

    def add(table: str, **values: Any) -> None:
        rows[table].append({"tenant_id": tenant, **values})

    def text() -> str | None:
        return chance.choice([*HOSTILE, "db", "web", "Web Server", None, None])

    for number, ci_id in enumerate(ids):
        made = {"created_at": hours(chance.randint(0, 3)), "ci_type": chance.choice(["HW", "SW", None])}
        for place, (start, end) in enumerate(_versions(chance)):
            renamed = place == 1 and chance.random() < 0.3
            add(
                "ci", ci_id=ci_id, ci_code=f"ci-{number}-new" if renamed else f"ci-{number}", ci_name=text(),
                ci_subtype=text(), ci_category=chance.choice(["x", None]), status=chance.choice(["up", "down", None]),
                criticality=chance.choice([1, 2, 3, 5, None]), location=text(), owner=f"{tenant} {text()}", **made,
                updated_at=chance.choice([hours(chance.randint(0, 20)), None]), valid_from=start, valid_to=end,
            )  # fmt: skip
        for kind, name, values in PROPERTIES:
            for start, end in _versions(chance) if chance.random() < 0.7 else ():
                value = chance.choice(values)
                add("ci_property", ci_id=ci_id, kind=kind, name=name, value=value, valid_from=start, valid_to=end)
    for _ in range(chance.choice((0, 8, 16, 24))):
        source, target = (chance.choice([*ids, *ids, *ids[:1] * 4, nowhere]) for _ in range(2))
        start, end = chance.choice(_versions(chance))
        kind = chance.choice(["DEPENDS_ON", "CONNECTED_TO", "COMPOSED_OF", "RUNS_ON", "UNDECLARED"])
        add("relation", source_id=source, target_id=target, relation_type=kind, valid_from=start, valid_to=end)
    add("metric_def", metric="cpu", unit="percent", kind="gauge", description=text(), bad_direction="up")
    add("metric_def", metric="req", unit=None, kind="counter", description=None, bad_direction="none")
    add("metric_def", metric="idle", unit="s", kind="gauge", description="no points", bad_direction=None)
    for ci_id in [*ids, nowhere]:
        for metric in ("cpu", "req", "undefined"):
            for series in chance.choice(([""], ["sda"], ["", "sda", "sdb"], [])):
                for place in sorted(chance.sample(range(48), chance.randint(0, 8))):
                    moment = hours(place / 2) + timedelta(microseconds=chance.choice((0, 1, 1_700_000)))
                    value = chance.choice((0.0, 1.5, 2.0, 7.25, 100.0, 100.0, None))
                    if metric == "cpu":
                        value = chance.choice((value, -2.0, 1e-3, float("nan")))
                    add("metric", ci_id=ci_id, metric=metric, series=series, ts=moment, value=value)
                for name in ("mountpoint", "le"):
                    if chance.random() < 0.6:
                        value = chance.choice(["/", "/var", "%", None])
                        add("label", ci_id=ci_id, metric=metric, series=series, name=name, value=value)
    for number in range(chance.choice((0, 6, 12))):
        ci_id = chance.choice([*ids, *ids, nowhere, None])
        start = hours(chance.randint(0, 26))
        ends = chance.choice([None, start, start + timedelta(hours=chance.randint(1, 9))])
        told = {"type": text(), "title": f"{tenant} {text()}", "detail": text()}
        severity, result = chance.choice([1, 2, 3, 4, 5, None]), chance.choice(["ok", "failed", None])
        add("event", event_id=f"e{number}", ci_id=ci_id, ts=start, severity=severity, source=text(), **told)
        add(
            "change",
            change_id=f"c{number}",
            ci_id=ci_id,
            **told,
            requested_by=text(),
            start_at=start,
            end_at=ends,
            result=result,
        )
        add(
            "maintenance",
            maintenance_id=f"m{number}",
            ci_id=ci_id,
            **told,
            performer=text(),
            start_at=start,
            end_at=ends,
            result=result,
        )
        add(
            "incident",
            incident_id=f"i{number}",
            ci_id=ci_id,
            severity=severity,
            title=told["title"],
            opened_at=start,
            resolved_at=ends,
        )


def _versions(chance: Random) -> list[tuple[datetime | None, datetime | None]]:
    """One to three spans that do not overlap, with or without a gap, a beginning and an end."""
    cuts = sorted(chance.sample(range(1, 24), chance.choice((0, 0, 1, 2))))
    starts = [chance.choice([None, hours(0)]), *(hours(cut) for cut in cuts)]
    ends = [
        *(hours(cut - chance.choice((0, 0, 0.5))) for cut in cuts),
        chance.choice([None, None, None, hours(24), hours(30)]),
    ]
    return list(zip(starts, ends, strict=True))
