"""What every tool promises, whoever wrote it: the suite walks over ``all_tools()``."""

from __future__ import annotations

import copy
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import networkx as nx
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import ciops_nb as ciops
import ciops_nb.tools
from ciops_nb.answers import FIELDS
from ciops_nb.registry import Tool, all_tools
from tests.contract.examples import EXAMPLES, SEED, size
from tests.oracle import ask, folder, opened, plain

assert ciops_nb.tools  # they register themselves
NAMES = sorted(all_tools())
every_tool = pytest.mark.parametrize("name", NAMES)
both_engines = pytest.mark.parametrize("engine", ["polars", "duckdb"])
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def full(name: str) -> dict[str, Any]:
    return copy.deepcopy(dict(EXAMPLES[name].full))


def same(left: Any, right: Any) -> None:
    """Two answers are equal: rows in order, columns and types; or nodes, edges and what the graph says of itself."""
    assert type(left) is type(right)
    if isinstance(left, nx.Graph):
        assert list(left.nodes(data=True)) == list(right.nodes(data=True))
        assert list(left.edges(keys=True, data=True)) == list(right.edges(keys=True, data=True))
        assert _told(left) == _told(right)
    elif isinstance(left, pd.DataFrame):
        pd.testing.assert_frame_equal(left, right)
    elif pl.Object in left.dtypes:  # polars compares no dicts
        assert (left.schema, left.to_dicts()) == (right.schema, right.to_dicts())
    else:
        assert_frame_equal(left, right)


def _told(graph: nx.Graph[str]) -> dict[str, Any]:
    return {name: value for name, value in graph.graph.items() if name != "ciops"}


def section(tool: Tool[..., Any], title: str) -> str:
    found = re.search(rf"^{title}:\n(.*?)(?=^\w+:\n|\Z)", _text(tool), re.DOTALL | re.MULTILINE)
    return found.group(1) if found else ""


def _text(tool: Tool[..., Any]) -> str:
    import inspect

    return inspect.cleandoc(tool.__doc__ or "")


def test_every_tool_has_an_example_with_rows() -> None:
    assert set(NAMES) == set(EXAMPLES)
    for name in NAMES:
        assert size(opened(SEED).tool(name).sync(**full(name))), name


@every_tool
def test_args_name_every_parameter_and_types_are_given(name: str) -> None:
    tool = all_tools()[name]
    told = re.findall(r"^    (\w+): \S", section(tool, "Args"), re.MULTILINE)
    assert list(tool.signature.parameters) == told
    assert all(parameter.annotation is not parameter.empty for parameter in tool.signature.parameters.values())
    assert tool.signature.return_annotation is not tool.signature.empty
    assert section(tool, "Returns").strip()


@every_tool
def test_returns_names_the_columns_that_come_back(name: str) -> None:
    tool, answer = all_tools()[name], opened(SEED).tool(name).sync(**full(name))
    if isinstance(answer, nx.Graph):
        words = set(re.findall(r"\w+", section(tool, "Returns")))
        assert {key for _, data in answer.nodes(data=True) for key in data} <= words | {"hops"}
        return
    text = re.sub(r"\([^)]*\)", "", " ".join(section(tool, "Returns").split()).replace("``", ""))
    listed = re.split(r"[.;]", re.sub(r"^A frame(,[^:]*)?(:| with| by) ", "", re.sub(r"^A frame, .*?: ", "", text)))[0]
    parts = [part.strip() for part in re.split(r", then |, | and ", listed)]
    words = EXAMPLES[name].words
    columns = [column for part in parts for column in words.get(part, [part] if re.fullmatch(r"\w+", part) else [])]
    if name == "metric_series_table":  # the docstring says where this one goes
        columns.insert(columns.index("metric") + 1, "series")
    columns = [column for column in columns if column not in ("sorted",)]
    assert columns == list(answer.columns)


@every_tool
@pytest.mark.parametrize("frames", ["pandas", "polars"])
@both_engines
def test_await_equals_sync(name: str, frames: str, engine: str) -> None:
    ops = opened(SEED, engine, frames)
    same(ask(ops, "await", name, **full(name)), ask(ops, "sync", name, **full(name)))


@every_tool
@both_engines
def test_pandas_equals_polars(name: str, engine: str) -> None:
    one, other = (opened(SEED, engine, frames).tool(name).sync(**full(name)) for frames in ("pandas", "polars"))
    if isinstance(one, nx.Graph):
        return same(one, other)
    assert list(one.columns) == other.columns
    assert plain(other) == plain(one)
    return None


@every_tool
@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_polars_engine_equals_duckdb_engine(name: str, frames: str) -> None:
    one, other = (opened(SEED, engine, frames).tool(name).sync(**full(name)) for engine in ("polars", "duckdb"))
    same(one, other)
    ours, theirs = (ciops.provenance(answer) for answer in (one, other))
    assert (ours.completeness, ours.params, ours.warnings) == (theirs.completeness, theirs.params, theirs.warnings)


@every_tool
def test_the_same_question_has_the_same_answer_and_id(name: str) -> None:
    ops = opened(SEED)
    one, other = (ops.tool(name).sync(**full(name)) for _ in range(2))
    same(one, other)
    assert ciops.provenance(one).call_id == ciops.provenance(other).call_id


@every_tool
@both_engines
def test_eight_threads_get_the_same_answer(name: str, engine: str) -> None:
    with ciops.connect(f"{engine}:{folder(SEED)}", tenant="a", frames="polars") as ops, ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(lambda _: ops.tool(name).sync(**full(name)), range(8))
    for other in others:
        same(first, other)


@every_tool
@pytest.mark.parametrize("frames", ["pandas", "polars"])
@both_engines
def test_empty_answers_have_the_columns_and_types_of_full_ones(name: str, frames: str, engine: str) -> None:
    changes, ops = EXAMPLES[name].empty, opened(SEED, engine, frames)
    if changes is None:
        return
    one, other = ops.tool(name).sync(**full(name)), ops.tool(name).sync(**{**full(name), **changes})
    assert size(other) == 0
    if not isinstance(one, nx.Graph):
        assert list(one.columns) == list(other.columns)
        assert list(one.dtypes) == list(other.dtypes)


SCOPES = {
    "a list": lambda ops: ["ci-0", "ci-1"],
    "a pandas frame": lambda ops: pd.DataFrame({"ci_code": ["ci-0", "ci-1", None], "x": [1, 2, 3]}),
    "a polars frame": lambda ops: pl.DataFrame({"ci_code": ["ci-0", "ci-1", None], "x": [1, 2, 3]}),
    "a graph": lambda ops: ops.graph_expand.sync(["ci-0", "ci-1"], depth=1),
}


@every_tool
@pytest.mark.parametrize("kind", SCOPES)
def test_what_the_caller_hands_in_is_unchanged(name: str, kind: str) -> None:
    ops, given = opened(SEED), full(name)
    where = {"ci_type": ["HW", "SW", None], "tags.role": ("not_in", ["zz"])}
    if "ci" in all_tools()[name].signature.parameters:
        given["ci"] = SCOPES[kind](ops)
    if "where" in all_tools()[name].signature.parameters:
        given["where"] = where
    before = copy.deepcopy(given)
    ops.tool(name).sync(**given)
    for key, value in given.items():
        if isinstance(value, (pd.DataFrame, pl.DataFrame, nx.Graph)):
            same(before[key], value)
        else:
            assert before[key] == value


@every_tool
@both_engines
def test_provenance_is_whole(name: str, engine: str) -> None:
    answer = opened(SEED, engine).tool(name).sync(**full(name))
    record, tool = ciops.provenance(answer), all_tools()[name]
    assert FIELDS == tuple(record)
    assert list(tool.signature.parameters) == list(record.params)
    assert (name, tool.version, "a", engine) == (record.tool, record.tool_version, record.tenant, record.engine)
    assert ["status", "returned", "total", "left_out", "warnings"] == list(record.completeness)
    assert (record.completeness.returned, record.warnings) == (size(answer), record.completeness.warnings)
    assert all(TIME.fullmatch(record[field]) for field in ("as_of", "started_at"))
    if "as_of" in record.params:
        assert TIME.fullmatch(record.params.as_of)


def test_provenance_has_no_relative_time() -> None:
    ops, relative = opened(SEED, tz="Europe/Berlin"), {"created_at": (">=", "2026-03-01T01:30")}
    for name, tool in all_tools().items():
        given = full(name)
        if "where" in tool.signature.parameters:
            given["where"] = relative
        if "time_range" in tool.signature.parameters:
            given["time_range"] = "last_24h"
        params = ciops.provenance(ops.tool(name).sync(**given)).params
        if "time_range" in params:
            assert "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z" == params.time_range
        if "where" in params:
            assert {"created_at": {">=": "2026-03-01T00:30:00Z"}} == params.where


@every_tool
def test_a_closed_session_says_so(name: str) -> None:
    ops = ciops.connect(folder(SEED), tenant="a")
    ops.close()
    with pytest.raises(ciops.errors.SessionClosed, match="connect"):
        ops.tool(name).sync(**full(name))


@every_tool
@both_engines
def test_strict_raises_exactly_what_is_not_complete(name: str, engine: str) -> None:
    cut, loose = EXAMPLES[name].cut, opened(SEED, engine)
    with ciops.connect(f"{engine}:{folder(SEED)}", tenant="a", strict=True, now=loose._now, frames="polars") as strict:
        for given in (full(name), {**full(name), **(dict([cut]) if cut else {})}):
            answer = loose.tool(name).sync(**given)
            if ciops.provenance(answer).completeness.status == "complete":
                same(answer, strict.tool(name).sync(**given))
            else:
                with pytest.raises(ciops.errors.IncompleteResult, match=rf"{name}: .*{cut and cut[0]}="):
                    strict.tool(name).sync(**given)
    assert cut is None or ciops.provenance(answer).completeness.status == "truncated"


@every_tool
@both_engines
def test_completeness_adds_up_at_every_limit(name: str, engine: str) -> None:
    if EXAMPLES[name].cut is None:
        return
    ops, (parameter, _) = opened(SEED, engine), EXAMPLES[name].cut or ("", 0)
    offsets = (0, 1, 3, 10**30) if "offset" in all_tools()[name].signature.parameters else (0,)
    none = {} if parameter == "max_nodes" else {parameter: None}
    everything = size(ops.tool(name).sync(**{**full(name), **none}))
    for limit in [*range(parameter == "max_nodes", everything + 2), 10**30]:
        for offset in offsets:
            given = {**full(name), parameter: limit, **({"offset": offset} if offset else {})}
            answer = ops.tool(name).sync(**given)
            told = ciops.provenance(answer).completeness
            expected = max(0, min(limit, everything - offset))
            assert (expected, everything) == (size(answer), told.total)
            assert everything == told.returned + sum(part.count for part in told.left_out)
            assert ("complete" if expected == everything else "truncated") == told.status
            before = min(offset, everything)
            counts = {"offset": before, parameter: everything - before - expected}
            assert {key: count for key, count in counts.items() if count} == {
                part.why.partition("=")[0]: part.count for part in told.left_out
            }


@every_tool
def test_a_wrong_call_is_a_type_error_that_names_the_tool(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}\(\): .*'nonsense'.* Call it as {name}\(") as caught:
        opened(SEED).tool(name).sync(**full(name), nonsense=1)
    assert "\n" not in str(caught.value)
