"""The extension in real kernels: Tab as JupyterLab presses it, and what a cell shows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.extension.test_completion import HOSTILE, estate
from tests.kernels import KINDS, Kernel

LINE = "▲ ci_search · 3 of 48 rows, truncated: 45 rows left out by limit=3 · polars · data "


@pytest.fixture(scope="module", params=["7-asyncio", "7-uvloop", "6-asyncio"])
def kernel(request: pytest.FixtureRequest, demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    source = estate(tmp_path_factory.mktemp("estate"), {"a": HOSTILE, "b": ["only-b"]})
    started = Kernel(**KINDS[request.param])
    try:
        cell = f"""
import ciops_nb as ciops
ops = ciops.connect({str(demo)!r})
one, two = (ciops.connect({source!r}, tenant=tenant) for tenant in "ab")
"""
        assert [] == started.run("%load_ext ciops_nb")
        assert [] == started.run(cell)
        yield started
    finally:
        started.close()


def test_tab_completes_codes_metrics_and_recipes(kernel: Any) -> None:
    assert [f"ops.graph_expand('app-erp-0{n}" for n in (1, 2, 3)] == kernel.complete("ops.graph_expand('app-erp-")[:3]
    code = "import math\nfound = await ops.metric_series_table('resp', ci='x')"
    assert [code.replace("resp", "response_time")] == kernel.complete(code, code.index("resp") + 4)
    assert ["ops.run('triage"] == kernel.complete("ops.run('tri")
    assert ["two.graph_expand('only-b"] == kernel.complete("two.graph_expand('")
    assert ["0"] == kernel.run("len(ops.trace)")


def test_tab_makes_valid_python_of_hostile_codes(kernel: Any) -> None:
    cells = kernel.complete("one.graph_expand('a')", 19)

    assert sorted(HOSTILE) == sorted(ast.parse(cell, mode="eval").body.args[0].value for cell in cells)  # type: ignore[attr-defined]


def test_a_session_and_all_else_is_completed_as_ever(kernel: Any) -> None:
    assert {"ops.ci_search", "ops.ci_get"} <= set(kernel.complete("ops.ci_"))
    assert "ops.ci_search.sync" in kernel.complete("ops.ci_search.sy")
    assert "ciops.connect" in kernel.complete("ciops.conn")


def test_an_answer_carries_its_line(kernel: Any) -> None:
    for cell in (
        "ops.ci_search.sync('db', limit=3)",
        "await ops.ci_search('db', limit=3)",
        "display(await ops.ci_search('db', limit=3))",
    ):
        first, again = kernel.bundle(cell), kernel.bundle(cell)

        assert first == again
        assert first["text/plain"].splitlines()[-1].startswith(LINE)
        assert "<table" in first["text/html"]
        assert "3 of 48 rows" in first["text/html"].splitlines()[-1]
    graph = kernel.bundle("ops.graph_expand.sync('app-erp-01')")
    assert ["text/html", "text/plain"] == sorted(graph)
    assert graph["text/plain"].startswith("MultiDiGraph: ")
    assert (
        kernel.bundle("(await ops.ci_search('db', limit=3)).head(2)")["text/plain"]
        .splitlines()[-1]
        .startswith("▲ changed since")
    )


def test_nothing_is_left_after_unloading(kernel: Any) -> None:
    assert [] == kernel.run("%unload_ext ciops_nb")
    try:
        assert LINE not in kernel.bundle("ops.ci_search.sync('db', limit=3)")["text/plain"]
        assert "ops.run('triage" not in kernel.complete("ops.run('tri")
    finally:
        assert [] == kernel.run("%load_ext ciops_nb")
    assert kernel.bundle("ops.ci_search.sync('db', limit=3)")["text/plain"].splitlines()[-1].startswith(LINE)
    assert ["ops.run('triage"] == kernel.complete("ops.run('tri")
