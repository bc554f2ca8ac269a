"""Tools and recipes of others: of a notebook's cell, and of a package that was installed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb.errors import BadParameter
from ciops_nb.recipes.findings import Findings, Statement

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "data/demo"
pytestmark = pytest.mark.usefixtures("own_names")


@pytest.fixture
def ops() -> Iterator[ciops.Ops]:
    with ciops.connect(DEMO, frames="polars") as session:
        yield session


# ── a function of a notebook ────────────────────────────────────────────────────────────────────────────────────────

CELL = """
@ciops.tool
async def cell_codes(ctx: ciops.Context, *, starts: str = "db") -> pl.DataFrame:
    "Which codes start so?"
    asked.append(starts)
    rows = await ctx.run(ctx.tables.table("ci").select("ci_code"))
    return rows.filter(pl.col("ci_code").str.starts_with(starts)).unique().sort("ci_code").head({most})

@ciops.recipe
async def cell_count(ops: ciops.Ops, *, starts: str = "db") -> Findings:
    "How many codes start so?"
    found = await ops.tool("cell_codes")(starts=starts)
    return Findings(Statement(f"{{len(found)}} codes", (ciops.provenance(found).call_id,)))
"""


def cell(most: int, asked: list[str]) -> None:
    """Run the cell, as a notebook does: each time in the same module."""
    space = {
        "ciops": ciops,
        "pl": pl,
        "asked": asked,
        "Findings": Findings,
        "Statement": Statement,
        "__name__": "__main__",
    }
    exec(CELL.format(most=most), space)


async def test_one_function_becomes_a_tool_with_all_that_tools_have(ops: ciops.Ops) -> None:
    asked: list[str] = []
    cell(3, asked)

    ask = ops.tool("cell_codes")
    first, again = await ask(starts="srv"), ask.sync(starts="srv")

    codes = sorted(pl.read_parquet(DEMO / "ci.parquet")["ci_code"].unique())
    assert [code for code in codes if code.startswith("srv")][:3] == first["ci_code"].to_list()
    assert first.equals(again)
    record = ciops.provenance(again)
    assert ("cell_codes", {"starts": "srv"}, True) == (record.tool, dict(record.params), record.cached)
    assert ["srv"] == asked
    assert ["tool", "query", "tool"] == ops.trace.frame().sort("start_at")["kind"].to_list()
    assert "Which codes start so?" == ask.__doc__
    assert [False] == (await ops.plan("cell_codes", starts="no"))["cached"].to_list()


def test_a_cell_that_is_run_again_replaces_what_was_there_and_its_answers(ops: ciops.Ops, tmp_path: Path) -> None:
    asked: list[str] = []
    cell(2, asked)
    assert 2 == ops.tool("cell_codes").sync().height
    cell(3, asked)

    assert 3 == ops.tool("cell_codes").sync().height
    assert ["db", "db"] == asked
    run = ops.run.sync("cell_count")
    assert "3 codes" == run.findings.headline.text
    replayed = ciops.replay(run.save(tmp_path / "x.ciops"))
    assert ("done", run.findings.headline) == (replayed.status, replayed.findings.headline)
    cell(1, asked)
    assert "1 codes" == ops.run.sync("cell_count").findings.headline.text
    assert "3 codes" == ciops.replay(tmp_path / "x.ciops").findings.headline.text


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_a_tool_may_return_a_pandas_frame_or_a_graph(frames: Any) -> None:
    @ciops.tool
    async def plain_frame(ctx: ciops.Context) -> pd.DataFrame:
        """A pandas frame."""
        return pd.DataFrame({"ci_code": ["a", None], "tags": [{"role": "db"}, {}], "n": [1.5, float("nan")]})

    @ciops.tool
    async def plain_graph(ctx: ciops.Context) -> nx.DiGraph:
        """A graph."""
        return nx.DiGraph([("a", "b")])

    with ciops.connect(DEMO, frames=frames) as ops:
        frame, graph = ops.tool("plain_frame").sync(), ops.tool("plain_graph").sync()

    assert ["a", None] == [None if code != code else code for code in frame["ci_code"].to_list()]
    assert [{"role": "db"}, {}] == frame["tags"].to_list()
    assert [("a", "b")] == list(graph.edges)
    assert 2 == ciops.provenance(frame).completeness.returned == ciops.provenance(graph).completeness.returned


def test_a_tool_that_returns_something_else_says_so(ops: ciops.Ops) -> None:
    @ciops.tool
    async def wrong_answer(ctx: ciops.Context, *, kind: str) -> Any:
        """Return what is no answer."""
        return pd.DataFrame({"n": [1]}, index=["a"]) if kind == "indexed" else 7

    for kind, says in (("indexed", "reset_index"), ("number", "returned a int, not a frame or a graph")):
        with pytest.raises(TypeError, match=says):
            ops.tool("wrong_answer").sync(kind=kind)


def test_what_is_no_tool_is_refused_when_it_is_written() -> None:
    def plain(ctx: Any) -> Any:
        """Not async."""

    async def bare() -> Any:
        """No context."""

    async def untyped(ctx: Any, x) -> Any:  # type: ignore[no-untyped-def]
        """No type."""

    async def silent(ctx: Any) -> Any:
        pass

    wrong: list[tuple[Any, str]] = [
        (plain, "async def"), (bare, "context as its first"), (untyped, "give x a type"), (silent, "docstring"),
    ]  # fmt: skip
    for function, says in wrong:
        with pytest.raises(TypeError, match=says):
            ciops.tool(function)


def test_values_that_print_alike_are_not_taken_for_each_other(ops: ciops.Ops) -> None:
    @ciops.tool
    async def summed(ctx: ciops.Context, values: Any) -> pl.DataFrame:
        """The sum of some numbers."""
        return pl.DataFrame({"sum": [float(sum(values))]})

    ask = ops.tool("summed")
    low, high = np.zeros(5000), np.zeros(5000)
    high[2500] = 7.0
    assert str(low) == str(high)

    assert [0.0, 7.0] == [ask.sync(values)["sum"].item() for values in (low, high)]
    assert [0.0, 7.0] == [ask.sync(pd.Series(values))["sum"].item() for values in (low, high)]
    assert ciops.provenance(ask.sync(pl.Series(high))).cached
    for value in (pd.DataFrame({"a": [1]}), nx.DiGraph(), object()):
        with pytest.raises(BadParameter, match="cannot be written down as a parameter"):
            ask.sync(value)


def test_a_recipe_given_a_frame_of_cis_can_say_of_which_it_was(ops: ciops.Ops, tmp_path: Path) -> None:
    @ciops.recipe
    async def count_around(ops: Any, ci: Any) -> Findings:
        """How much happened to these?"""
        return Findings(Statement(f"{len(await ops.history_recent(ci, limit=None, time_range='all'))} records"))

    run = ops.run.sync("count_around", ci=ops.ci_search.sync("erp db", limit=3))

    assert 3 == len(run.params["ci"])
    assert run.findings == ciops.replay(run.save(tmp_path / "x.ciops")).findings


# ── a package ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the example package is installed, and beside it one that is broken."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "example"
    subprocess.run(["cp", "-r", str(ROOT / "tests/example_package"), str(source)], check=True)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation",
            "--disable-pip-version-check", "--target", str(folder), str(source),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    info = folder / "broken_plugin-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 2.0\n", "utf-8")
    (info / "entry_points.txt").write_text(
        "[ciops_nb.tools]\nbroken = broken_plugin\ntaken = taken_plugin\n[ciops_nb.recipes]\ngone = ciops_example.nowhere\n",
        "utf-8",
    )
    (folder / "broken_plugin.py").write_text("1 / 0\n", "utf-8")
    (folder / "taken_plugin.py").write_text(
        'import ciops_nb as ciops\n@ciops.tool\nasync def ci_search(ctx: ciops.Context):\n    "Another."\n', "utf-8"
    )
    return folder


def python(site: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=site.parent,
        env={"PYTHONPATH": f"{ROOT}:{site}", "PATH": "", "HOME": str(site)},
    )  # fmt: skip


USE = """
import asyncio, sys, warnings
import ciops_nb as ciops
warnings.simplefilter("ignore")
ops = ciops.connect(sys.argv[1])
found = ops.ci_search.sync("erp")
assert not any(name.startswith("ciops_example") for name in sys.modules), "loaded before it was asked for"
owners = ops.tool("ci_owners").sync(least=2)
async def again():
    return await ops.tool("ci_owners")(least=2)
record = ciops.provenance(asyncio.run(again()))
assert record.cached and record.tool == "ci_owners"
run = ops.run.sync("who_owns", ci="app-erp-01")
print(run.findings.headline.text)
run.save("x.ciops"), run.report("x.html")
for row in owners.itertuples():
    print(row.owner, row.n, sep="=")
"""


def test_an_installed_package_brings_its_tool_and_its_recipe(site: Path) -> None:
    done = python(site, USE, str(DEMO))

    assert (0, "") == (done.returncode, done.stderr)
    headline, *lines = done.stdout.splitlines()
    items = pl.read_parquet(DEMO / "ci.parquet").filter(pl.col("valid_to").is_null())
    counted = Counter(pl.read_parquet(DEMO / "ci.parquet")["owner"])
    owner = items.filter(pl.col("ci_code") == "app-erp-01")["owner"].item()
    assert sorted(f"{name or 'nan'}={n}" for name, n in counted.items() if n >= 2) == sorted(lines)
    assert f"app-erp-01 is owned by {owner}, like {counted[owner]} CIs in all." == headline
    main = "from ciops_nb.cli import main; main()"
    for words in (["x.ciops"], ["x.html", "--estate", str(DEMO)]):
        verified = python(site, main, "verify", *words)
        assert "same: who_owns" in verified.stdout, verified.stderr


def test_a_broken_plug_in_is_a_warning_that_names_it(site: Path) -> None:
    done = python(site, "from ciops_nb.cli import main; main()", "tools")

    assert 0 == done.returncode
    told = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"ci_search", "ci_owners", "triage", "who_owns"} <= told
    for says in (
        "Plug-in 'broken' of broken-plugin 2.0 (broken_plugin) is left out: ZeroDivisionError: division by zero",
        "Plug-in 'taken' of broken-plugin 2.0 (taken_plugin) is left out: TypeError: there is a tool 'ci_search' already",
        "Plug-in 'gone' of broken-plugin 2.0 (ciops_example.nowhere) is left out: ModuleNotFoundError",
    ):
        assert 1 == done.stderr.count(says), done.stderr
    assert "Traceback" not in done.stderr
