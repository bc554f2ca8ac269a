"""What ``ops.plan`` says beforehand is what then happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ciops_nb as ciops
from ciops_nb.registry import all_tools
from ciops_nb.ways import Rates, Work, decide
from tests.execution.examples import EXAMPLES, write_estate


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[ciops.Ops]:
    with ciops.connect(write_estate(tmp_path / "estate"), frames="polars") as made:
        yield made


def plan(ops: ciops.Ops, tool: str, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = ops.plan.sync(tool, **params).row(0, named=True)
    return found


def test_the_route_that_is_told_is_the_one_that_is_gone(ops: ciops.Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    ops.cache.configure(ttl=0)
    gone: list[tuple[str | None, str]] = []

    def noted(work: Work, sizes: Any, rates: Rates, **known: Any) -> Any:
        way = decide(work, sizes, rates, **known)
        gone.append((work.index, way.route))
        return way

    monkeypatch.setattr("ciops_nb.context.decide", noted)
    routes = []
    for _ in range(4):
        route = plan(ops, "ci_search", keywords="erp")["route"]
        gone.clear()
        ops.ci_search.sync("erp")
        assert dict(gone).get("search", "index") == route
        routes.append(route)

    assert routes[-1] == "index"
    assert set(routes) <= {"portable", "build", "index"}


def test_what_comes_from_the_cache_costs_nothing(ops: ciops.Ops) -> None:
    before = plan(ops, "ci_get_by_code", ci_code="app-1")
    ops.ci_get_by_code.sync("app-1")
    after = plan(ops, "ci_get_by_code", ci_code="app-1")

    assert (False, "portable", 1) == (before["cached"], before["route"], before["rows"])
    assert before["estimated_ms"] > 0
    assert "4 rows of ci" in before["reason"]
    assert (True, "cache", 0.0) == (after["cached"], after["route"], after["estimated_ms"])


def test_more_rows_are_expected_to_take_longer(ops: ciops.Ops) -> None:
    one, many = (plan(ops, "ci_get_by_code", ci_code=["app-1"] * count) for count in (1, 5000))

    assert 5000 == many["rows"]
    assert many["estimated_ms"] > one["estimated_ms"]
    near, far = (plan(ops, "graph_expand", ci="app-1", view="path", depth=depth) for depth in (0, 3))
    assert far["rows"] > near["rows"]
    assert 2 == plan(ops, "ci_list_preview", limit=2)["rows"]


@pytest.mark.parametrize("tool", sorted(EXAMPLES))
def test_every_tool_of_ours_that_reads_can_be_planned(ops: ciops.Ops, tool: str) -> None:
    found = plan(ops, tool, **EXAMPLES[tool])

    assert (found["route"] is not None) == (all_tools()[tool].work is not None)
    assert (found["route"] is None) == (
        tool in (*(name for name in EXAMPLES if name.startswith("cep_")), "estate", "tenants")
    )


@pytest.mark.parametrize(
    ("tool", "params"),
    [
        ("ci_search", {"keywords": 3}),
        ("ci_search", {"limit": "many"}),
        ("ci_get", {"ci_id": 5}),
        ("graph_path", {"source": "app-1", "target": "db-1", "max_hops": "far"}),
    ],
)
def test_what_cannot_be_meant_has_no_estimate(ops: ciops.Ops, tool: str, params: dict[str, Any]) -> None:
    found = plan(ops, tool, **params)

    assert (None, None, None) == (found["route"], found["rows"], found["estimated_ms"])
    assert "cannot be told" in found["reason"]


def test_a_path_of_any_length_is_planned_at_once(ops: ciops.Ops) -> None:
    assert plan(ops, "graph_path", source="app-1", target="db-1", max_hops=10**12)["rows"] <= 4
