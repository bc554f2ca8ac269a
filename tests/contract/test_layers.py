"""All tools through all layers: awaited, blocked for, cached and replayed are the same, and nobody can spoil them."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

import ciops_nb as ciops
import ciops_nb.tools
from ciops_nb.answers import Provenance
from ciops_nb.execution.keep import digest, plain
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.registry import all_tools
from tests.execution.examples import EXAMPLES, write_estate

FRAMES: list[Any] = ["pandas", "polars"]
pytestmark = pytest.mark.usefixtures("own_names")
assert ciops_nb.tools


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_estate(tmp_path_factory.mktemp("layers") / "estate")


@pytest.fixture(params=FRAMES)
def ops(estate: Path, request: pytest.FixtureRequest) -> Iterator[ciops.Ops]:
    with ciops.connect(estate, frames=request.param) as made:
        yield made


def kept(answer: Any) -> str:
    return digest(plain(answer))


def ask(ops: ciops.Ops, tool: str) -> Any:
    return ops.tool(tool).sync(**EXAMPLES[tool])


def same(one: Any, other: Any) -> None:
    """Equal in values, types, names and order."""
    assert type(one) is type(other)
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    elif isinstance(one, pl.DataFrame):
        assert one.schema == other.schema
        assert one.rows() == other.rows()
    else:
        assert list(one.nodes(data=True)) == list(other.nodes(data=True))
        assert list(one.edges(keys=True, data=True)) == list(other.edges(keys=True, data=True))
        assert {**one.graph, "ciops": None} == {**other.graph, "ciops": None}


def test_each_tool_has_an_example_that_finds_something(ops: ciops.Ops) -> None:
    ours = {name for name, tool in all_tools().items() if tool.function.__module__.startswith("ciops_nb.")}

    assert ours == set(EXAMPLES)
    assert all(len(ask(ops, tool)) for tool in EXAMPLES)


@pytest.mark.parametrize("tool", EXAMPLES)
def test_awaited_blocked_for_cached_and_replayed_are_the_same(ops: ciops.Ops, tool: str, tmp_path: Path) -> None:
    async def awaited() -> Any:
        return await ops.tool(tool)(**EXAMPLES[tool])

    first = asyncio.run(awaited())
    ops.cache.clear()
    blocked, cached = ask(ops, tool), ask(ops, tool)

    @ciops.recipe
    async def one_call(ops: Any) -> Findings:
        """Ask once."""
        return Findings(Statement("asked"), sections=(Section("It", await ops.tool(tool)(**EXAMPLES[tool])),))

    saved = ops.run.sync("one_call").save(tmp_path / "x.ciops")
    replayed = ciops.replay(saved).findings.sections[0].body

    assert [False, False, True] == [ciops.provenance(one).cached for one in (first, blocked, cached)]
    for other in (blocked, cached, replayed):
        same(first, other)
    facts = ("call_id", "tool", "params", "tenant", "data_version", "as_of", "completeness", "fallback")
    told = [{name: ciops.provenance(one)[name] for name in facts} for one in (first, blocked, cached, replayed)]
    assert [told[0]] * 4 == told


@pytest.mark.parametrize("tool", EXAMPLES)
def test_what_was_given_is_never_changed(ops: ciops.Ops, tool: str) -> None:
    given = copy.deepcopy(EXAMPLES[tool])
    if isinstance(given.get("ci"), list):
        given["ci"] = ops.ci_get_by_code.sync(given["ci"])
    before = {name: value if isinstance(value, str) else copy.deepcopy(value) for name, value in given.items()}

    ops.tool(tool).sync(**given)

    assert list(before) == list(given)
    for name, value in given.items():
        if hasattr(value, "columns"):
            same(before[name], value)
        else:
            assert before[name] == value


def spoil(answer: Any) -> None:
    """Change all of *answer* that can be changed: cells, what is in cells, columns, order, attributes."""
    if isinstance(answer, pd.DataFrame):
        for name in list(answer.columns):
            for cell in answer[name]:
                deface(cell)
            answer[name] = None
        answer.columns = [f"{name}!" for name in answer.columns]
        answer.index = answer.index[::-1]
        answer.attrs.clear()
    elif isinstance(answer, pl.DataFrame):
        for name in answer.columns:
            if answer[name].dtype == pl.Object:
                for cell in answer[name]:
                    deface(cell)
        for place in range(answer.width):
            answer.replace_column(place, pl.Series(answer.columns[place], [None] * answer.height))
        answer.columns = [f"{name}!" for name in answer.columns]
    else:
        for value in answer.graph.values():
            deface(value)
        for _, data in answer.nodes(data=True):
            deface(data)
        for *_, data in answer.edges(keys=True, data=True):
            deface(data)
        answer.clear()


def deface(value: Any) -> None:
    if isinstance(value, dict) and not isinstance(value, Provenance):
        for inner in value.values():
            deface(inner)
        value.clear()
        value["spoilt"] = True
    elif isinstance(value, list):
        for inner in value:
            deface(inner)
        value.append("spoilt")


@pytest.mark.parametrize("tool", EXAMPLES)
def test_spoiling_an_answer_leaves_those_of_others_and_what_is_kept(ops: ciops.Ops, tool: str) -> None:
    mine, yours = ask(ops, tool), ask(ops, tool)
    before = kept(yours)
    spoil(mine)

    assert before == kept(yours)
    again = ask(ops, tool)
    assert ciops.provenance(again).cached
    same(yours, again)
    spoil(again)
    assert before == kept(ask(ops, tool))


@pytest.mark.parametrize("tool", EXAMPLES)
def test_every_call_leaves_exactly_one_span_with_what_came_back(ops: ciops.Ops, tool: str) -> None:
    for cached in (False, True):
        ops.trace.clear()
        found = ask(ops, tool)

        spans = [span for span in ops.trace.spans if span.kind == "tool"]
        record = ciops.provenance(found)
        assert [(tool, len(found), record.completeness.status, cached, "live", None, record.call_id)] == [
            (span.name, span.rows, span.status, span.cached, span.source, span.error, span.call_id) for span in spans
        ]
        others = [span for span in ops.trace.spans if span.kind != "tool"]
        assert {spans[0].span_id} >= {span.parent_id for span in others}
        assert not (cached and others)


WRONG: dict[str, dict[str, Any]] = {
    "cep_simulate": {"rule": "no: rule"}, "ci_aggregate": {"by": "ownr"}, "ci_get": {"ci_id": "none"},
    "ci_get_by_code": {"ci_code": "none"}, "ci_list_preview": {"limit": -1}, "ci_search": {"where": {"ownr": 1}},
    "graph_expand": {"ci": "none"}, "graph_path": {"source": "none", "target": "app-1"},
    "history_recent": {"time_range": "some day"}, "metric_aggregate": {"metric": "none"},
    "metric_list": {"ci": 7}, "metric_series_table": {"metric": "cpu", "ci": "app-1", "time_range": "soon"},
}  # fmt: skip


@pytest.mark.parametrize("tool", WRONG)
def test_a_call_that_cannot_be_answered_leaves_one_span_and_nothing_in_the_cache(ops: ciops.Ops, tool: str) -> None:
    with pytest.raises(ciops.errors.CiopsError) as caught:
        ops.tool(tool).sync(**WRONG[tool])

    assert [(tool, "error", f"{type(caught.value).__name__}: {caught.value}")] == [
        (span.name, span.status, span.error) for span in ops.trace.spans if span.kind == "tool"
    ]
    assert 0 == len(ops.cache)
