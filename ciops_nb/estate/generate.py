"""Made estates of any size: systems with applications, databases and middleware on servers, storage and networks.

One system is a block of parts, and an estate is as many blocks as are asked for: blocks are joined, not looped over, so
that a million CIs take seconds. Everything follows from the seed. Metrics are written a day at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from ciops_nb.context import check_count
from ciops_nb.estate.manifest import Manifest, write_manifest
from ciops_nb.estate.schema import DTYPES
from ciops_nb.estate.storage import all_or_nothing, write_table

__all__ = ["END", "generate"]

END = datetime(2026, 3, 9, tzinfo=UTC)
_BEGIN = datetime(2025, 9, 8, tzinfo=UTC)  # six months of history before the end
_CRISIS = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
_SYSTEMS = ("erp", "crm", "shop", "pay", "hr", "bi", "mail", "log")
_TEAMS = ("team-core", "team-data", "team-edge", "team-pay", "team-web")
_SITES = ("Berlin", "Madrid", "Oslo")

# Per system: code prefix, how many, ci_type, ci_subtype, ci_category, role.
_PARTS = (
    ("app", 10, "SW", "APPLICATION", "application", "app"),
    ("db", 6, "SW", "DATABASE", "data", "db"),
    ("mw", 6, "SW", "MIDDLEWARE", "integration", "queue"),
    ("srv", 8, "HW", "SERVER", "compute", "host"),
)
# Shared by eight systems.
_SHARED = (
    ("sto-san", 4, "HW", "STORAGE", "storage", "storage"),
    ("net-sw", 5, "HW", "NETWORK", "network", "switch"),
    ("fw", 2, "HW", "FIREWALL", "network", "firewall"),
    ("lb", 7, "SW", "LOAD_BALANCER", "network", "lb"),
    ("idp", 7, "SW", "IDENTITY", "security", "idp"),
    ("mq", 7, "SW", "MESSAGE_QUEUE", "integration", "queue"),
)
_NAMES = {
    "app": "application",
    "db": "database",
    "mw": "middleware",
    "srv": "server",
    "sto-san": "SAN storage",
    "net-sw": "switch",
    "fw": "firewall",
    "lb": "load balancer",
    "idp": "identity provider",
    "mq": "message queue",
}
# From each part of a system: to which part, by which type, and the number of the target for a number i of n.
_WIRES: tuple[tuple[str, str, str, Callable[[pl.Expr], pl.Expr]], ...] = (
    ("app", "db", "DEPENDS_ON", lambda i: (i - 1) % 6 + 1),
    ("app", "mw", "DEPENDS_ON", lambda i: (i - 1) % 6 + 1),
    ("app", "srv", "DEPLOYED_ON", lambda i: i % 8 + 1),
    ("db", "srv", "RUNS_ON", lambda i: (i - 1) % 8 + 1),
    ("mw", "srv", "RUNS_ON", lambda i: (i + 2) % 8 + 1),
    ("mw", "mq", "USES", lambda i: pl.when(i % 2 == 1).then(i)),
    ("mw", "idp", "USES", lambda i: pl.when(i % 2 == 0).then(i)),
    ("srv", "sto-san", "DEPENDS_ON", lambda i: (i - 1) % 4 + 1),
    ("srv", "net-sw", "CONNECTED_TO", lambda i: (i - 1) % 5 + 1),
    ("db", "fw", "PROTECTED_BY", lambda i: (i - 1) % 2 + 1),
)
# metric: unit, kind, bad direction, description, level, share of the daily wave, share of noise, parts that have it.
_METRICS: dict[str, tuple[str, str, str, str, float, float, float, tuple[str, ...]]] = {
    "cpu_usage": ("percent", "gauge", "up", "Processor time in use", 35, 0.4, 0.05, ("srv",)),
    "disk_latency": ("ms", "gauge", "up", "Time of a read or write", 4, 0.1, 0.05, ("sto-san",)),
    "disk_usage": ("percent", "gauge", "up", "Space in use", 55, 0.0, 0.002, ("srv",)),
    "error_rate": ("percent", "gauge", "up", "Requests that failed", 0.5, 0.1, 0.1, ("app",)),
    "io_wait": ("percent", "gauge", "up", "Processor time waiting for storage", 3, 0.2, 0.08, ("srv",)),
    "query_time": ("ms", "gauge", "up", "Time of a query", 12, 0.3, 0.06, ("db",)),
    "queue_length": ("1", "gauge", "up", "Messages that wait", 40, 0.5, 0.08, ("mw",)),
    "request_count": ("1", "counter", "none", "Requests served", 900, 0.6, 0.05, ("lb",)),
    "response_time": ("ms", "gauge", "up", "Time of a request", 180, 0.3, 0.05, ("app",)),
}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Effect:
    """For some time the values of a metric of a CI are *factor* times what they would be, after a rise of minutes."""

    ci_code: str
    metric: str
    start: datetime
    minutes: int
    factor: float


@dataclass(frozen=True)
class _Fault:
    """An incident with what led to it and what it did; the offsets are minutes from *at*."""

    name: str
    at: datetime
    title: str
    symptom: str
    cause: str | None
    severity: int
    effects: tuple[tuple[str, str, int, int, float], ...]  # code, metric, offset, length, factor
    events: tuple[tuple[str, int, str, int, str], ...] = ()  # code, offset, type, severity, title
    change: tuple[str, int, str, str] | None = None  # code, offset, type, title


_FAULTS = (
    _Fault(
        "san",
        _CRISIS,
        "ERP is slow and fails",
        "app-erp-01",
        "sto-san-01",
        5,
        (
            ("sto-san-01", "disk_latency", -18, 90, 9.0),
            *((f"srv-{name}-0{n}", "io_wait", -12, 80, 6.0) for name in _SYSTEMS[:4] for n in (1, 5)),
            *((f"db-{name}-01", "query_time", -7, 75, 7.0) for name in _SYSTEMS[:4]),
            *((f"app-{name}-{n}", "response_time", -2, 70, 5.0) for name in _SYSTEMS[:4] for n in ("01", "07")),
            *((f"app-{name}-{n}", "error_rate", 0, 65, 12.0) for name in _SYSTEMS[:4] for n in ("01", "07")),
        ),
        (("app-erp-01", 2, "alert", 5, "response time above 800 ms"), ("db-erp-01", -3, "alert", 3, "slow queries")),
        ("sto-san-01", -25, "firmware", "Firmware 9.4 with a new cache policy"),
    ),
    _Fault(
        "leak",
        datetime(2026, 2, 26, 14, 0, tzinfo=UTC),
        "Orders queue up",
        "app-shop-03",
        "mw-shop-03",
        4,
        (("mw-shop-03", "queue_length", -90, 240, 14.0), ("app-shop-03", "response_time", -10, 150, 3.0)),
        (("mw-shop-03", -30, "alert", 3, "memory above 90 percent"),),
        ("mw-shop-03", -180, "deployment", "Release 4.12"),
    ),
    _Fault(
        "disk",
        datetime(2026, 3, 4, 3, 0, tzinfo=UTC),
        "Nightly reports fail",
        "app-bi-02",
        "srv-bi-02",
        4,
        (
            ("srv-bi-02", "disk_usage", -240, 420, 1.75),
            ("db-bi-02", "query_time", -20, 200, 4.0),
            ("app-bi-02", "error_rate", -5, 180, 20.0),
        ),
        (("srv-bi-02", -60, "alert", 4, "file system / is full"),),
    ),
    _Fault(
        "cert",
        datetime(2026, 2, 28, 0, 5, tzinfo=UTC),
        "Nobody can log in to CRM",
        "app-crm-04",
        "idp-04",
        5,
        (("app-crm-04", "error_rate", -5, 120, 60.0),),
        (("idp-04", -5, "certificate", 5, "certificate idp.example has expired"),),
    ),
    _Fault(
        "ghost",
        datetime(2026, 3, 6, 16, 20, tzinfo=UTC),
        "Mail is slow now and then",
        "app-mail-05",
        None,
        2,
        (("app-mail-05", "response_time", -5, 25, 2.5),),
    ),
)


def generate(
    target: Path,
    *,
    cis: int = 280,
    seed: int = 7,
    days: int = 14,
    every_minutes: int = 10,
    tenant: str = "demo",
    name: str = "demo",
    progress: Progress | None = None,
) -> Manifest:
    """Make an estate: the same arguments give the same bytes.

    Args:
        target: The folder to make; it must not exist, or be empty.
        cis: About how many CIs; 280 is eight systems with 75 HW and 197 SW, and other numbers are whole systems.
        seed: Of the random numbers.
        days: Days of metrics, up to 2026-03-09.
        every_minutes: Distance of the points of a series.
        tenant: The one tenant.
        name: The name of the estate.
        progress: Told the step, how much of it is done, and of how much.

    Raises:
        EstateInvalid: *target* is not empty or cannot be made.
        BadParameter: a number is not one.
    """
    for label, value in (("cis", cis), ("days", days), ("every_minutes", every_minutes)):
        check_count(label, value, least=1)
    told = progress or (lambda step, done, total: None)
    rng = np.random.default_rng(seed)
    with all_or_nothing(target) as folder:
        told("items", 0, 1)
        items = _items(max(1, round(cis / 35)), rng).with_columns(tenant_id=pl.lit(tenant))
        manifest = Manifest(name)
        write_manifest(folder, manifest)
        write_table(folder, "ci", items)
        write_table(folder, "ci_property", _properties(items, rng))
        write_table(folder, "relation", _relations(items).with_columns(tenant_id=pl.lit(tenant)))
        write_table(folder, "metric_def", _definitions().with_columns(tenant_id=pl.lit(tenant)))
        told("history", 0, 1)
        for table, rows in _history(items, rng).items():
            write_table(folder, table, rows.with_columns(tenant_id=pl.lit(tenant)))
        for day, points in enumerate(_metrics(items, seed, days, every_minutes)):
            told("metrics", day, days)
            write_table(folder, "metric", points.with_columns(tenant_id=pl.lit(tenant)))
        told("metrics", days, days)
    return manifest


def _items(systems: int, rng: np.random.Generator) -> pl.DataFrame:
    """The CIs, with their system, part and number in it beside the columns of the schema."""
    names = pl.DataFrame({"place": np.arange(systems)}).with_columns(
        system=pl.concat_str(
            pl.Series(_SYSTEMS).gather(pl.Series(np.arange(systems) % 8)),
            pl.when(pl.col("place") >= 8).then((pl.col("place") // 8 + 1).cast(pl.String)).otherwise(pl.lit("")),
        )
    )
    group = pl.DataFrame({"place": np.arange(0, systems, 8)}).with_columns(
        # The shared parts of the first eight systems have no suffix, those of further ones a number.
        system=pl.when(pl.col("place") >= 8).then(pl.format("g{}", pl.col("place") // 8 + 1)).otherwise(pl.lit(""))
    )
    whole = names.with_columns(
        part=pl.lit("sys"),
        number=pl.lit(0, pl.Int64),
        ci_type=pl.lit("SYSTEM"),
        ci_subtype=pl.lit("BUSINESS_SYSTEM"),
        ci_category=pl.lit("business"),
        role=pl.lit("system"),
    )
    parts = names.join(_blocks(_PARTS), how="cross")
    shared = group.join(_blocks(_SHARED), how="cross")
    items = pl.concat([frame.select(whole.columns) for frame in (whole, parts, shared)])
    size = items.height
    own = pl.concat_str(
        pl.col("part"),
        pl.lit("-"),
        pl.col("system"),
        pl.when(pl.col("system") == "").then(pl.lit("")).otherwise(pl.lit("-")),
        pl.col("number").cast(pl.String).str.zfill(2),
    )
    system = pl.col("part") == "sys"
    earliest = int((_BEGIN - timedelta(days=400)).timestamp())
    begun = pl.Series((earliest + rng.integers(0, 400 * 86400, size)) * 1_000_000).cast(DTYPES["time"])
    return items.with_row_index("row").select(
        "place",
        "system",
        "part",
        "number",
        "role",
        ci_id=pl.format("ci-{}", pl.col("row").cast(pl.String).str.zfill(7)),
        ci_code=pl.when(system).then(pl.format("sys-{}", "system")).otherwise(own),
        ci_name=pl.when(system)
        .then(pl.format("{} system", pl.col("system").str.to_uppercase()))
        .otherwise(
            pl.concat_str(
                pl.col("system").str.to_uppercase(),
                pl.col("part").replace(_NAMES),
                pl.col("number").cast(pl.String),
                separator=" ",
            ).str.strip_chars()
        ),
        ci_type="ci_type",
        ci_subtype="ci_subtype",
        ci_category="ci_category",
        status=pl.Series(rng.choice(["active", "active", "active", "degraded"], size)),
        criticality=pl.when(system).then(pl.lit(5)).otherwise(pl.Series(rng.integers(1, 6, size))),
        location=pl.when(~system).then(pl.Series(rng.choice(_SITES, size))),
        owner=pl.Series(rng.choice(_TEAMS, size)),
        created_at=begun,
        updated_at=begun,
        valid_from=begun,
    )


def _blocks(parts: tuple[tuple[str, int, str, str, str, str], ...]) -> pl.DataFrame:
    rows = [(part, n, *kinds) for part, count, *kinds in parts for n in range(1, count + 1)]
    return pl.DataFrame(rows, schema=["part", "number", "ci_type", "ci_subtype", "ci_category", "role"], orient="row")


def _properties(items: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    size = items.height
    given = items.select(
        "tenant_id",
        "ci_id",
        "ci_type",
        role="role",
        env=pl.Series(rng.choice(["prod", "prod", "prod", "test"], size)),
        cpu_cores=pl.Series(rng.choice(["8", "16", "32"], size)),
        version=pl.Series(rng.choice(["1.4", "2.0", "2.1", "3.7"], size)),
    )
    long = given.unpivot(
        ["role", "env", "cpu_cores", "version"], index=["tenant_id", "ci_id", "ci_type"], variable_name="name"
    )
    fits = pl.col("name").is_in(["role", "env"]) | ((pl.col("name") == "cpu_cores") == (pl.col("ci_type") == "HW"))
    return long.filter(fits).with_columns(
        kind=pl.when(pl.col("name").is_in(["role", "env"])).then(pl.lit("tag")).otherwise(pl.lit("attribute"))
    )


def _relations(items: pl.DataFrame) -> pl.DataFrame:
    ids = items.select("place", "part", "number", "ci_id")
    group = pl.col("place") // 8 * 8
    found = []
    whole = ids.filter(pl.col("part") == "sys").select("place", source_id="ci_id")
    software = ids.filter(pl.col("part").is_in(["app", "db", "mw"])).select("place", target_id="ci_id")
    found.append(whole.join(software, on="place").select("source_id", "target_id", relation_type=pl.lit("COMPOSED_OF")))
    common = {part for part, *_ in _SHARED}
    for part, other, kind, number in _WIRES:
        sources = ids.filter(pl.col("part") == part).select(
            source_id="ci_id", number=number(pl.col("number")), place=group if other in common else pl.col("place")
        )
        targets = ids.filter(pl.col("part") == other).select("place", "number", target_id="ci_id")
        found.append(
            sources.join(targets, on=["place", "number"]).select("source_id", "target_id", relation_type=pl.lit(kind))
        )
    return pl.concat(found)


def _definitions() -> pl.DataFrame:
    rows = [(metric, unit, kind, text, bad) for metric, (unit, kind, bad, text, *_) in _METRICS.items()]
    return pl.DataFrame(rows, schema=["metric", "unit", "kind", "description", "bad_direction"], orient="row")


def _history(items: pl.DataFrame, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Noise in proportion to the CIs, and the planted faults."""
    ids = dict(items.select("ci_code", "ci_id").iter_rows())
    size, seconds = items.height, int((END - _BEGIN).total_seconds())

    def some(number: int) -> tuple[pl.Series, pl.Series]:
        chosen = items["ci_id"].gather(rng.integers(0, size, number))
        moments = pl.Series((int(_BEGIN.timestamp()) + np.sort(rng.integers(0, seconds, number))) * 1_000_000)
        return chosen, moments.cast(DTYPES["time"])

    count = size * 4
    chosen, moments = some(count)
    events = pl.DataFrame(
        {
            "event_id": [f"E{n:07d}" for n in range(count)],
            "ci_id": chosen,
            "ts": moments,
            "type": rng.choice(["alert", "info", "restart"], count),
            "severity": rng.choice([1, 1, 2, 2, 3], count),
            "source": "monitoring",
            "title": rng.choice(["check flapped", "service restarted", "backup finished", "load high"], count),
        }
    )
    count = max(1, size // 2)
    chosen, moments = some(count)
    changes = pl.DataFrame(
        {
            "change_id": [f"C{n:06d}" for n in range(count)],
            "ci_id": chosen,
            "type": rng.choice(["config", "deployment", "patch"], count),
            "title": rng.choice(["Monthly patch", "Parameter change", "New release"], count),
            "requested_by": rng.choice(_TEAMS, count),
            "risk": rng.choice(["low", "medium", "high"], count),
            "start_at": moments,
            "result": rng.choice(["success", "success", "failed"], count),
        }
    ).with_columns(end_at=pl.col("start_at") + pl.duration(minutes=30))
    count = max(1, size // 6)
    chosen, moments = some(count)
    maintenance = pl.DataFrame(
        {
            "maintenance_id": [f"M{n:06d}" for n in range(count)],
            "ci_id": chosen,
            "type": "planned",
            "title": "Maintenance window",
            "performer": rng.choice(_TEAMS, count),
            "start_at": moments,
            "result": "done",
        }
    ).with_columns(end_at=pl.col("start_at") + pl.duration(hours=2))
    planted: dict[str, list[dict[str, object]]] = {"event": [], "change": [], "incident": []}
    for number, fault in enumerate(fault for fault in _FAULTS if fault.symptom in ids):
        planted["incident"].append(
            {
                "incident_id": f"I{number + 1:04d}",
                "ci_id": ids[fault.symptom],
                "severity": fault.severity,
                "title": fault.title,
                "opened_at": fault.at,
                "resolved_at": fault.at + timedelta(minutes=75),
                "cause_ci_id": ids.get(fault.cause or ""),
            }
        )
        for place, (code, offset, kind, severity, title) in enumerate(fault.events):
            planted["event"].append(
                {
                    "event_id": f"E-{fault.name}-{place}",
                    "ci_id": ids[code],
                    "ts": fault.at + timedelta(minutes=offset),
                    "type": kind,
                    "severity": severity,
                    "source": "monitoring",
                    "title": title,
                }
            )
        if fault.change is not None:
            code, offset, kind, title = fault.change
            planted["change"].append(
                {
                    "change_id": f"C-{fault.name}",
                    "ci_id": ids[code],
                    "type": kind,
                    "title": title,
                    "requested_by": "team-core",
                    "risk": "medium",
                    "start_at": fault.at + timedelta(minutes=offset),
                    "end_at": fault.at + timedelta(minutes=offset + 5),
                    "result": "success",
                }
            )
    return {
        "event": pl.concat([events, pl.DataFrame(planted["event"])], how="diagonal_relaxed")
        if planted["event"]
        else events,
        "change": pl.concat([changes, pl.DataFrame(planted["change"])], how="diagonal_relaxed")
        if planted["change"]
        else changes,
        "maintenance": maintenance,
        "incident": pl.DataFrame(planted["incident"])
        if planted["incident"]
        else pl.DataFrame(schema={"incident_id": pl.String}),
    }


def _effects() -> dict[tuple[str, str], _Effect]:
    return {
        (code, metric): _Effect(code, metric, fault.at + timedelta(minutes=offset), length, factor)
        for fault in _FAULTS
        for code, metric, offset, length, factor in fault.effects
    }


def _metrics(items: pl.DataFrame, seed: int, days: int, every_minutes: int) -> Iterator[pl.DataFrame]:
    """The points of each day: a level of each CI, a daily wave that is flatter at weekends, noise, and the faults."""
    effects = _effects()
    per_day = max(1, 1440 // every_minutes)
    totals: dict[str, np.ndarray] = {}
    for day in range(days):
        start = END - timedelta(days=days - day)
        minutes = np.arange(per_day) * every_minutes
        stamps = int(start.timestamp()) * 1_000_000 + minutes * 60_000_000
        week = 0.5 if start.weekday() >= 5 else 1.0
        wave = np.sin((minutes / 1440 - 0.3) * 2 * np.pi) * week
        parts = []
        for place, (metric, (_, kind, _, _, level, swing, noise, owners)) in enumerate(_METRICS.items()):
            owned = items.filter(pl.col("part").is_in(owners))
            levels = level * np.random.default_rng([seed, place]).uniform(0.7, 1.3, (owned.height, 1))
            rng = np.random.default_rng([seed, place, day])
            values = levels * (1 + swing * wave + noise * rng.standard_normal((owned.height, per_day)))
            for row, code in enumerate(owned["ci_code"].to_list() if day >= days - 14 else ()):
                effect = effects.get((code, metric))
                if effect is not None:
                    since = (stamps / 60e6) - effect.start.timestamp() / 60
                    rise = np.clip((since + every_minutes) / 10, 0, 1) * ((since >= 0) & (since < effect.minutes))
                    values[row] *= 1 + (effect.factor - 1) * rise
            values = np.maximum(values, 0).round(2)
            if kind == "counter":
                values = values.round().cumsum(axis=1) + totals.get(metric, np.zeros((owned.height, 1)))
                totals[metric] = values[:, -1:]
            parts.append(
                pl.DataFrame(
                    {
                        "ci_id": np.repeat(owned["ci_id"].to_numpy(), per_day),
                        "metric": metric,
                        "ts": np.tile(stamps, owned.height),
                        "value": values.ravel(),
                    },
                    schema_overrides={"ci_id": pl.String},
                )
            )
        yield pl.concat(parts).with_columns(pl.col("ts").cast(DTYPES["time"]))
