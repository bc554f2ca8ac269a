"""What is planted: incidents with their causes, symptoms explained by maintenance, a silent agent, a restart.

Everything here has a code and a time, so that notebooks and tests can tell of it; noise is made in ``history``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from ciops_nb.estate.generate.items import SYSTEMS

__all__ = ["FAULTS", "OUTAGE", "Effect", "Fault", "planted"]


@dataclass(frozen=True)
class Effect:
    """From *offset* minutes on, for some *minutes*, a metric is *factor* times what it would be, after a rise."""

    ci_code: str
    metric: str
    offset: int
    minutes: int
    factor: float
    series: str = ""


@dataclass(frozen=True)
class Fault:
    """What went wrong around *at*: what it did, what led to it, and the incident, if there was one.

    All offsets are minutes from *at*. Without a *severity* there is no incident: it was expected.
    """

    name: str
    at: datetime
    title: str
    symptom: str
    cause: str | None
    severity: int | None
    effects: tuple[Effect, ...] = ()
    events: tuple[tuple[str, int, str, int, str], ...] = ()  # code, offset, type, severity, title
    change: tuple[str, int, str, str, str] | None = None  # code, offset, type, title, detail
    maintenance: tuple[str, int, int, str, str] | None = None  # code, offset, minutes, title, detail


FAULTS = (
    Fault(
        "san",
        datetime(2026, 3, 2, 10, 0, tzinfo=UTC),
        "ERP is slow and fails",
        "app-erp-01",
        "sto-san-01",
        5,
        (
            Effect("sto-san-01", "disk_latency", -18, 90, 9.0),
            *(Effect(f"srv-{name}-0{n}", "io_wait", -12, 80, 6.0) for name in SYSTEMS[:4] for n in (1, 5)),
            *(Effect(f"db-{name}-01", "query_time", -7, 75, 7.0) for name in SYSTEMS[:4]),
            *(Effect(f"app-{name}-{n}", "response_time", -2, 70, 5.0) for name in SYSTEMS[:4] for n in ("01", "07")),
            *(Effect(f"app-{name}-{n}", "error_rate", 0, 65, 12.0) for name in SYSTEMS[:4] for n in ("01", "07")),
        ),
        (("app-erp-01", 2, "alert", 5, "response time above 800 ms"), ("db-erp-01", -3, "alert", 3, "slow queries")),
        (
            "sto-san-01",
            -25,
            "firmware",
            "Firmware 9.4 with a new cache policy",
            "Write-back becomes write-through; the vendor expects no loss of speed.",
        ),
    ),
    Fault(
        "leak",
        datetime(2026, 2, 26, 14, 0, tzinfo=UTC),
        "Orders queue up",
        "app-shop-03",
        "mw-shop-03",
        4,
        (
            Effect("mw-shop-03", "queue_length", -90, 240, 14.0),
            Effect("app-shop-03", "response_time", -10, 150, 3.0),
        ),
        (("mw-shop-03", -30, "alert", 3, "memory above 90 percent"),),
        ("mw-shop-03", -180, "deployment", "Release 4.12", "New client library; rolled out to all workers."),
    ),
    Fault(
        "disk",
        datetime(2026, 3, 4, 3, 0, tzinfo=UTC),
        "Nightly reports fail",
        "app-bi-02",
        "srv-bi-02",
        4,
        (
            Effect("srv-bi-02", "disk_usage", -240, 420, 1.75, series="/"),
            Effect("db-bi-02", "query_time", -20, 200, 4.0),
            Effect("app-bi-02", "error_rate", -5, 180, 20.0),
        ),
        (("srv-bi-02", -60, "alert", 4, "file system / is full"),),
    ),
    Fault(
        "cert",
        datetime(2026, 2, 28, 0, 5, tzinfo=UTC),
        "Nobody can log in to CRM",
        "app-crm-04",
        "idp-04",
        5,
        (Effect("app-crm-04", "error_rate", -5, 120, 60.0),),
        (("idp-04", -5, "certificate", 5, "certificate idp.example has expired"),),
    ),
    Fault(
        "ghost",
        datetime(2026, 3, 6, 16, 20, tzinfo=UTC),
        "Mail is slow now and then",
        "app-mail-05",
        None,
        2,
        (Effect("app-mail-05", "response_time", -5, 25, 2.5),),
    ),
    Fault(
        "index",
        datetime(2026, 3, 5, 21, 0, tzinfo=UTC),
        "HR is slow while its indexes are rebuilt",
        "app-hr-02",
        "db-hr-02",
        None,
        (
            Effect("db-hr-02", "query_time", 10, 90, 6.0),
            *(Effect(f"app-hr-{n}", "response_time", 10, 90, 3.0) for n in ("02", "08")),
        ),
        (("db-hr-02", 15, "alert", 3, "slow queries"), ("app-hr-02", 20, "alert", 4, "response time above 800 ms")),
        maintenance=(
            "db-hr-02",
            0,
            120,
            "Rebuild of all indexes",
            "Queries are slow until it is done; alerts of db-hr-02 and of what needs it are expected.",
        ),
    ),
    Fault(
        "restart",
        datetime(2026, 3, 1, 4, 10, tzinfo=UTC),
        "A load balancer was restarted",
        "lb-03",
        None,
        None,
        events=(("lb-03", 0, "restart", 2, "service restarted"),),
    ),
)
OUTAGE = ("srv-log-04", datetime(2026, 3, 3, 1, 20, tzinfo=UTC), timedelta(hours=5, minutes=20))
"""The agent on this server was silent from this moment on for so long: none of its metrics has points."""


def planted(ids: Mapping[str, str], earlier: timedelta) -> dict[str, pl.DataFrame]:
    """The rows of events, changes, maintenance and incidents of the faults whose CIs are among *ids* (by code)."""
    faults = [fault for fault in FAULTS if fault.symptom in ids]
    tables = {"event": _events, "change": _changes, "maintenance": _maintenance, "incident": _incidents}
    rows = {table: [row for fault in faults for row in make(fault, ids, earlier)] for table, make in tables.items()}
    for number, row in enumerate(rows["incident"], 1):
        row["incident_id"] = f"I{number:04d}"
    return {table: pl.DataFrame(found, infer_schema_length=None) for table, found in rows.items() if found}


def _events(fault: Fault, ids: Mapping[str, str], earlier: timedelta) -> Iterator[dict[str, object]]:
    for place, (code, offset, kind, severity, title) in enumerate(fault.events):
        yield {
            "event_id": f"E-{fault.name}-{place}",
            "ci_id": ids[code],
            "ts": fault.at - earlier + timedelta(minutes=offset),
            "type": kind,
            "severity": severity,
            "source": "monitoring",
            "title": title,
            "detail": f"{code}: {title}",
            "properties": f'{{"host": "{code}", "fault": "{fault.name}"}}',
        }


def _changes(fault: Fault, ids: Mapping[str, str], earlier: timedelta) -> Iterator[dict[str, object]]:
    if fault.change is not None:
        code, offset, kind, title, detail = fault.change
        start = fault.at - earlier + timedelta(minutes=offset)
        yield {
            "change_id": f"C-{fault.name}",
            "ci_id": ids[code],
            "type": kind,
            "title": title,
            "detail": detail,
            "requested_by": "team-core",
            "approved_by": "change-board",
            "risk": "medium",
            "start_at": start,
            "end_at": start + timedelta(minutes=5),
            "result": "success",
        }


def _maintenance(fault: Fault, ids: Mapping[str, str], earlier: timedelta) -> Iterator[dict[str, object]]:
    if fault.maintenance is not None:
        code, offset, minutes, title, detail = fault.maintenance
        start = fault.at - earlier + timedelta(minutes=offset)
        yield {
            "maintenance_id": f"M-{fault.name}",
            "ci_id": ids[code],
            "type": "planned",
            "title": title,
            "detail": detail,
            "performer": "team-data",
            "start_at": start,
            "end_at": start + timedelta(minutes=minutes),
            "result": "done",
        }


def _incidents(fault: Fault, ids: Mapping[str, str], earlier: timedelta) -> Iterator[dict[str, object]]:
    if fault.severity is not None:
        yield {
            "ci_id": ids[fault.symptom],
            "severity": fault.severity,
            "title": fault.title,
            "opened_at": fault.at - earlier,
            "resolved_at": fault.at - earlier + timedelta(minutes=75),
            "cause_ci_id": ids.get(fault.cause or ""),
        }
