"""An example call of every tool: a tool without one fails the contract, so that a new tool is covered unasked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx as nx

from tests.oracle import world

SEED = 3
"""The world that the contract asks: every table has rows, and every example an answer that is not empty."""


@dataclass(frozen=True)
class Example:
    """How a tool is called.

    Attributes:
        full: A call with an answer that has rows.
        empty: Changes to it that leave none; None where there is always an answer.
        cut: The parameter that cuts the answer, with a value that leaves something out.
        words: What parts of the ``Returns:`` that are not names of columns stand for.
    """

    full: Mapping[str, Any]
    empty: Mapping[str, Any] | None
    cut: tuple[str, int] | None = None
    words: Mapping[str, list[str]] = field(default_factory=dict)


NOWHEN = ("2020-01-01", "2020-01-02")
CI = "ci-0"
_CI_COLUMNS = [
    "ci_id", "ci_code", "ci_name", "ci_type", "ci_subtype", "ci_category", "status", "criticality", "location",
    "owner", "created_at", "updated_at", "valid_from", "valid_to",
]  # fmt: skip
HIGH = {"id": "high", "when": {"metric": "cpu", "op": ">", "value": 1}}
CODES = sorted({row["ci_code"] for row in world(SEED)["ci"]})

EXAMPLES: dict[str, Example] = {
    "ci_search": Example({"keywords": "ci"}, {"keywords": "nowhere at all"}, ("limit", 1)),
    "ci_get": Example({"ci_id": ["id-0"]}, {"ci_id": []}, None, {"the columns of a CI": _CI_COLUMNS}),
    "ci_get_by_code": Example({"ci_code": [CI]}, {"ci_code": []}, None, {"the columns of a CI": _CI_COLUMNS}),
    "ci_list_preview": Example({}, {"where": {"ci_type": "none"}}, ("limit", 1)),
    "ci_aggregate": Example(
        {"by": ["ci_type", "tags.role"], "measures": ["count", "mean:criticality"]},
        {"where": {"ci_type": "none"}},
        ("top", 1),
        {"the keys": ["ci_type", "tags.role"], "a column a measure": ["count", "mean:criticality"]},
    ),
    "metric_list": Example({}, {"ci": []}),
    "metric_aggregate": Example(
        {"metric": "req", "by": ["ci", "bucket:1h"], "agg": ["mean", "rate", "p95"], "time_range": "all"},
        {"time_range": NOWHEN},
        None,
        {"the keys": ["ci_code", "ts"], "a column an aggregate": ["mean", "rate", "p95"]},
    ),
    "metric_series_table": Example(
        {"metric": "cpu", "ci": CODES, "time_range": "all"},
        {"time_range": NOWHEN},
        ("limit", 1),
    ),
    "history_recent": Example({"time_range": "all"}, {"where": {"ci_type": "none"}}, ("limit", 1)),
    "graph_expand": Example({"ci": [CI], "depth": 3}, None, ("max_nodes", 1)),
    "graph_path": Example({"source": CI, "target": "ci-1"}, {"max_hops": 0}),
    "cep_simulate": Example({"rule": HIGH, "time_range": "all"}, {"time_range": NOWHEN}),
    "cep_explain": Example({"rule": HIGH, "time_range": "all"}, None),
    "cep_sweep": Example({"rule": HIGH, "time_range": "all", "hops": 1, "hold": ["0s", "2m"]}, None),
    "cep_compare": Example(
        {"old_rule": HIGH, "new_rule": {**HIGH, "for": "1m"}, "time_range": "all"}, {"time_range": NOWHEN}
    ),
    "cep_inject": Example(
        {"rule": HIGH, "ci": CI, "fault": {"cpu": {"add": 100}}, "at": "2026-03-01T05:00Z", "lasting": "8h"},
        {"at": "2020-01-01"},
        None,
        {},
    ),
    "estate": Example({}, None),
    "tenants": Example({}, None),
}


def size(answer: Any) -> int:
    """Rows of a frame, nodes of a graph."""
    return answer.number_of_nodes() if isinstance(answer, nx.Graph) else len(answer)
