"""An estate of a few rows, and for each tool a call of it that has something to find there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.worlds import Rows, hours, write_world

RULE = {"id": "busy", "when": {"metric": "cpu", "op": ">", "value": 50}}

EXAMPLES: dict[str, dict[str, Any]] = {
    "cep_compare": {"old_rule": RULE, "new_rule": {**RULE, "for": "1h"}, "time_range": "all"},
    "cep_explain": {"rule": RULE, "time_range": "all"},
    "cep_inject": {"rule": RULE, "ci": "app-1", "fault": {"cpu": {"add": 90}}, "at": hours(1), "lasting": "1h"},
    "cep_simulate": {"rule": RULE, "time_range": "all"},
    "cep_sweep": {"rule": RULE, "time_range": "all", "value": [40, 60], "hold": ["0s", "1h"]},
    "ci_aggregate": {"by": ["ci_type", "owner"], "measures": ["count", "max:criticality"]},
    "ci_get": {"ci_id": ["id-db-1", "id-app-1"]},
    "ci_get_by_code": {"ci_code": ["app-1", "srv-1"]},
    "ci_list_preview": {"limit": 2, "sort": "ci_code"},
    "ci_search": {"keywords": "erp", "where": {"criticality": (">=", 2)}},
    "estate": {},
    "graph_expand": {"ci": "app-1", "view": "dependency"},
    "graph_path": {"source": "app-1", "target": "srv-1"},
    "history_recent": {"ci": ["app-1", "db-1"], "time_range": "all", "limit": 3},
    "metric_aggregate": {"metric": "cpu", "time_range": "all", "agg": ["mean", "max"], "by": "ci"},
    "metric_list": {},
    "metric_series_table": {"metric": "cpu", "ci": "app-1", "time_range": "all", "every": "2h"},
    "tenants": {},
}


def rows(tenant: str = "a") -> Rows:
    """The rows of one tenant; another has the same codes and other names."""
    base = {"tenant_id": tenant, "valid_from": hours(0)}
    codes = ("app-1", "db-1", "srv-1", "sys-1")
    item = {"ci_type": "SW", "criticality": 3, "created_at": hours(0), "updated_at": hours(1)}
    return {
        "ci": [
            {**base, **item, "ci_id": f"id-{code}", "ci_code": code, "ci_name": f"ERP {code} of {tenant}", "owner": f"team {tenant}"}
            for code in codes
        ],
        "ci_property": [
            {**base, "ci_id": f"id-{code}", "kind": kind, "name": name, "value": f"{tenant} {value}"}
            for code in codes[:2]
            for kind, name, value in (("tag", "role", "db"), ("attribute", "cores", "8"))
        ],
        "relation": [
            {**base, "source_id": "id-app-1", "target_id": "id-db-1", "relation_type": "DEPENDS_ON"},
            {**base, "source_id": "id-db-1", "target_id": "id-srv-1", "relation_type": "RUNS_ON"},
            {**base, "source_id": "id-sys-1", "target_id": "id-app-1", "relation_type": "COMPOSED_OF"},
        ],
        "metric_def": [{"tenant_id": tenant, "metric": "cpu", "unit": "percent", "kind": "gauge", "bad_direction": "up"}],
        "metric": [
            {"tenant_id": tenant, "ci_id": f"id-{code}", "metric": "cpu", "series": "", "ts": hours(number / 4),
             "value": float(number * place + len(tenant))}
            for place, code in enumerate(codes[:3], start=1)
            for number in range(24)
        ],
        "event": [
            {"tenant_id": tenant, "event_id": f"e-{number}", "ci_id": f"id-{codes[number % 3]}", "ts": hours(number),
             "type": "alert", "severity": number % 5 + 1, "source": "test", "title": f"{tenant} event {number}"}
            for number in range(6)
        ],
        "change": [
            {"tenant_id": tenant, "change_id": "c-1", "ci_id": "id-db-1", "type": "config", "title": f"{tenant} change",
             "start_at": hours(2), "end_at": hours(3)},
        ],
    }  # fmt: skip


def write_estate(folder: Path, tenants: tuple[str, ...] = ("a",)) -> Path:
    """The estate of these tenants."""
    each = [rows(tenant) for tenant in tenants]
    return write_world(folder, {name: [row for one in each for row in one[name]] for name in each[0]})
