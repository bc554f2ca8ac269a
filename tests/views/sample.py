"""Sample graphs, frames and a run, made as the tools make them, for the tests of the pictures and the report."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import networkx as nx
import polars as pl

from ciops_nb.recipes.findings import Findings, Section, Statement

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def node(graph: nx.MultiDiGraph, code: str, ci_type: str, subtype: str, hops: int = 0, criticality: int = 3) -> None:
    graph.add_node(
        code, ci_id=f"id-{code}", ci_name=code.replace("-", " "), ci_type=ci_type, ci_subtype=subtype, status="active",
        criticality=criticality, hops=hops,
    )  # fmt: skip


def edge(graph: nx.MultiDiGraph, source: str, target: str, relation_type: str) -> None:
    graph.add_edge(source, target, key=relation_type, relation_type=relation_type)


def three_nodes() -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph(roots=["app-erp-01"], view="neighbors", depth=1, frontier=[])
    node(graph, "app-erp-01", "SW", "application")
    node(graph, "db-erp", "SW", "database", 1, 5)
    node(graph, "sys-erp", "SYSTEM", "business", 1)
    edge(graph, "app-erp-01", "db-erp", "DEPENDS_ON")
    edge(graph, "sys-erp", "app-erp-01", "COMPOSED_OF")
    graph.graph["frontier"] = [{"ci_code": "db-erp", "count": 4, "why": "depth"}]
    return graph


def estate(size: int, seed: int = 7) -> nx.MultiDiGraph:
    """A graph like that of a data centre: systems of applications and databases, on hosts, behind switches."""
    dice = random.Random(seed)
    graph = nx.MultiDiGraph(view="impact", depth=3, frontier=[])
    systems = max(1, size // 35)
    hosts = max(2, size // 5)
    nets = max(1, size // 40)
    for i in range(systems):
        node(graph, f"sys-{i:03}", "SYSTEM", "business", criticality=dice.randint(3, 5))
    for i in range(nets):
        node(graph, f"sw-core-{i:03}", "HW", "switch", criticality=4)
    for i in range(hosts):
        node(graph, f"srv-{i:03}", "HW", "server", criticality=dice.randint(1, 4))
        edge(graph, f"srv-{i:03}", f"sw-core-{i % nets:03}", "CONNECTED_TO")
    software = size - systems - hosts - nets
    for i in range(software):
        kind = ("application", "database", "queue", "web")[i % 4]
        code = f"{kind[:3]}-{i:03}"
        node(graph, code, "SW", kind, criticality=dice.randint(1, 5))
        edge(graph, code, f"srv-{dice.randrange(hosts):03}", "RUNS_ON" if i % 3 else "DEPLOYED_ON")
        edge(graph, f"sys-{i % systems:03}", code, "COMPOSED_OF")
        for _ in range(dice.randint(0, 2)):
            j = dice.randrange(software)
            if j < i and j % systems == i % systems:
                other = f"{('application', 'database', 'queue', 'web')[j % 4][:3]}-{j:03}"
                edge(graph, code, other, dice.choice(["DEPENDS_ON", "USES"]))
    return graph


def around(size: int, wanted: str) -> nx.MultiDiGraph:
    """The estate with *wanted* as its root, hops counted along and against the arrows."""
    graph = estate(size)
    hops = nx.single_source_shortest_path_length(graph.to_undirected(as_view=True), wanted)
    graph = graph.subgraph(sorted(hops)).copy()
    for code, count in hops.items():
        graph.nodes[code]["hops"] = count
    graph.graph["roots"] = [wanted]
    graph.graph["frontier"] = [
        {"ci_code": code, "count": 3, "why": "depth"} for code in sorted(hops) if hops[code] == max(hops.values())
    ][:5]
    return graph


def history() -> pl.DataFrame:
    rows: list[dict[str, Any]] = []

    def add(
        kind: str, minutes: float, length: float | None, code: str, severity: int | None, title: str, type_: str
    ) -> None:
        start = AT + timedelta(minutes=minutes)
        end = None if length is None else start + timedelta(minutes=length)
        rows.append(
            {
                "start_at": start, "end_at": end, "kind": kind, "type": type_, "ci_code": code, "severity": severity,
                "title": title, "detail": "", "actor": "ops", "result": "done", "record_id": f"{kind}-{len(rows)}",
            }
        )  # fmt: skip

    add("change", -55, 12, "db-erp", None, "Lower shared_buffers on db-erp", "configuration")
    add("change", -170, 20, "srv-004", None, "Kernel update", "patch")
    add("maintenance", -230, 60, "sw-core-001", None, "Replace fan tray", "hardware")
    add("incident", -6, None, "app-erp-01", 5, "ERP orders time out", "outage")
    for i in range(24):
        minutes = -240 + i * 7.3 if i < 16 else -38 + (i - 16) * 4.1
        severity = 1 + i % 3 if i < 16 else 3 + i % 3
        title = "Slow queries above 2 s" if severity >= 4 else "Disk latency above usual"
        add("event", minutes, None, "db-erp" if i % 2 else "app-erp-01", severity, title, "alert")
    return pl.DataFrame(rows, infer_schema_length=None).sort("start_at", "record_id", descending=[True, False])


def series(hours: int = 6, codes: tuple[str, ...] = ("app-erp-01", "db-erp"), gap: bool = True) -> pl.DataFrame:
    dice = random.Random(3)
    rows = []
    for code in codes:
        for metric, base in (("cpu_usage", 35.0), ("response_time_ms", 180.0)):
            for i in range(hours * 12):
                ts = AT + timedelta(minutes=5 * i - hours * 60 + 60)
                if gap and metric == "cpu_usage" and 20 <= i < 27:
                    continue
                value = (
                    base
                    * (1 + 0.1 * dice.random())
                    * (2.2 if ts > AT - timedelta(minutes=40) and code == "db-erp" else 1)
                )
                rows.append({"ts": ts, "ci_code": code, "metric": metric, "value": value, "n": 5})
    return pl.DataFrame(rows).sort("ts", "ci_code", "metric")


def movers() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ci_code": ["db-erp", "app-erp-01", "srv-004", "db-erp", "que-014"],
            "metric": ["response_time_ms", "error_rate", "disk_read_mb", "cpu_usage", "depth"],
            "score": [14.2, 9.1, 6.4, 4.4, 2.1],
            "direction": ["up", "up", "down", "up", "down"],
            "moved_at": [AT - timedelta(minutes=m) for m in (41, 33, 40, 38, 12)],
        }
    )


def call(
    call_id: str, tool: str, *, status: str = "complete", returned: int = 31, total: int | None = 31, **params: Any
) -> dict[str, Any]:
    missing = (total or returned) - returned
    return {
        "call_id": call_id, "tool": tool, "tool_version": 1, "params": params, "tenant": "acme", "engine": "polars",
        "data_version": "d3adbeef", "as_of": AT, "started_at": datetime.now(UTC), "duration_ms": random.random(),
        "cached": bool(random.getrandbits(1)), "cache_age_s": None, "fallback": None,
        "completeness": {
            "status": status, "returned": returned, "total": total,
            "left_out": [{"what": "rows", "count": missing, "why": f"limit={returned}"}] if missing else [],
        },
        "warnings": [],
    }  # fmt: skip


@dataclass
class Run:
    findings: Findings
    calls: list[dict[str, Any]]
    id: str = "run-7f3a"
    recipe: str = "triage"
    status: str = "done"
    params: dict[str, Any] = field(default_factory=lambda: {"ci": "app-erp-01", "at": AT, "window": "2h", "depth": 3})
    tenant: str = "acme"
    estate: str = "demo"
    data_version: str = "d3adbeef"
    engine: str = "polars"
    ciops_version: str = "0.1.0"


def triage() -> Run:
    graph = around(60, "app-000")
    findings = Findings(
        headline=Statement("db-erp slowed down 41 minutes ago, 2 minutes after a change to it", ("c1", "c3")),
        statements=(
            Statement("response_time_ms of db-erp rose 14.2 deviations above its usual at 09:19 UTC.", ("c2",)),
            Statement("A change, “Lower shared_buffers on db-erp”, ended at 09:17 UTC.", ("c3",)),
            Statement("Seven items downstream of db-erp are hurt when it fails, one of criticality 5.", ("c1",)),
        ),
        sections=(
            Section("What is around it", graph, ("c1",), "The item and all within three hops.", "topology",
                    {"focus": "app-000", "highlight": ["app-000", "sys-000"]}),
            Section("What moved first", movers(), ("c2",), "Deviation from the same hours a week before.", "movers"),
            Section("What happened", history(), ("c3",), "", "timeline", {"at": AT}),
            Section("How it looked", series(), ("c2",), "", "series",
                    {"history": history(), "at": AT, "window": (AT - timedelta(hours=2), AT)}),
        ),
        ruled_out=(Statement("The host srv-004: no metric of it moved before 09:50 UTC.", ("c2",)),),
        unknown=(Statement("Whether the switch sw-core-001 dropped packets: it has no metric.", ("c2",)),),
        next_steps=(Statement("Ask who requested the change, and set shared_buffers back.", ("c3",)),),
    )  # fmt: skip
    calls = [
        call("c1", "graph_expand", ci="app-000", view="impact", depth=3),
        call("c2", "metric_series_table", metric=["cpu_usage", "response_time_ms"], ci=["app-erp-01", "db-erp"]),
        call("c3", "history_recent", status="truncated", returned=28, total=312, ci=None, limit=28),
    ]
    return Run(findings, calls)


TIME = pl.Datetime("us", "UTC")


def alerts(count: int = 6, codes: int = 3, rules: int = 1, seed: int = 5) -> pl.DataFrame:
    """What a replay found, each status among it, the second still on."""
    dice = random.Random(seed)
    rows = []
    for i in range(count):
        status = ("fired", "fired", "suppressed", "pending_only")[i % 4]
        active = AT + timedelta(minutes=dice.randrange(2000))
        fired = active + timedelta(minutes=dice.choice((0, 5, 20)))
        ended = fired + timedelta(minutes=dice.randrange(5, 200))
        rows.append(
            {
                "rule": f"slow-{i % rules}", "match": i, "ci_code": f"app-{i % codes:02}", "labels": "{}",
                "status": status, "active_at": active, "fired_at": None if status == "pending_only" else fired,
                "ended_at": None if i == 1 else ended,
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("fired_at", "ended_at"), TIME))


def values(codes: int = 3, points: int = 200) -> pl.DataFrame:
    return pl.concat([
        pl.DataFrame({
            "ts": [AT + timedelta(minutes=10 * i) for i in range(points)], "ci_code": f"app-{code:02}",
            "metric": "response_time", "value": [200.0 + 10 * (i % 7) + 500 * (i == 90 + code) for i in range(points)],
        })
        for code in range(codes)
    ])  # fmt: skip


def lab_history() -> pl.DataFrame:
    return pl.DataFrame({
        "start_at": [AT + timedelta(hours=h) for h in (3, 15, 20)],
        "end_at": [AT + timedelta(hours=5), AT + timedelta(hours=17), None],
        "kind": ["maintenance", "incident", "incident"], "ci_code": ["app-01", "app-00", "elsewhere"],
    })  # fmt: skip


def swept(values: int = 5, holds: int = 4) -> pl.DataFrame:
    """A sweep in which each cell's numbers differ, and the cells on its diagonal are on the front."""
    return pl.DataFrame([
        {
            "value": 100.0 * (i + 1), "for": f"{5 * j}m", "for_s": 300.0 * j, "fired": 200 * (values - i) - j,
            "caught": max(0, 4 - i), "missed": min(4, i), "needless": 200 * (values - i) - j - max(0, 4 - i),
            "precision": None if i == values - 1 else max(0, 4 - i) / (200 * (values - i) - j),
            "lead_time_s": None if i >= 4 else 90.0 - 60 * j, "on_front": i == j,
        }
        for i in range(values)
        for j in range(holds)
    ])  # fmt: skip


def compared() -> pl.DataFrame:
    """Two pairs, one earlier and one later, one at the same time, and one alert of either rule alone."""
    old = [AT, AT + timedelta(hours=3), AT + timedelta(hours=6), AT + timedelta(hours=9), None]
    new = [AT - timedelta(minutes=12), AT + timedelta(hours=3, minutes=5), old[2], None, AT + timedelta(hours=12)]
    hour = timedelta(hours=1)
    return pl.DataFrame(
        {
            "state": ["both", "both", "both", "only_old", "only_new"],
            "old_rule": ["slow", "slow", "slow", "slow", None], "new_rule": ["slower", "slower", "slower", None, "slower"],
            "ci_code": ["app-00", "app-00", "app-01", "app-01", "app-02"], "labels": "{}",
            "old_fired_at": old, "new_fired_at": new,
            "old_ended_at": [moment and moment + hour for moment in old],
            "new_ended_at": [*(moment and moment + hour for moment in new[:4]), None],
        },
        schema_overrides=dict.fromkeys(
            ("old_fired_at", "new_fired_at", "old_ended_at", "new_ended_at"), TIME
        ),
    )  # fmt: skip
