"""Runs: watched, cancelled, resumed, recorded, compared; on a small real estate."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ciops_nb as ciops
from ciops_nb import sync
from ciops_nb.errors import BadBundle, BadParameter, ItemNotFound, UnknownTool
from ciops_nb.recipes.findings import Findings, Section, Statement
from ciops_nb.recipes.run import Run, begin
from tests.worlds import hours, write_world

BASE = {"tenant_id": "a", "valid_from": hours(0)}


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    rows = {
        "ci": [
            {**BASE, "ci_id": f"id-{code}", "ci_code": code, "criticality": 3} for code in ("app-1", "db-1", "srv-1")
        ],
        "ci_property": [{**BASE, "ci_id": "id-db-1", "kind": "tag", "name": "role", "value": "db"}],
        "relation": [{**BASE, "source_id": "id-app-1", "target_id": "id-db-1", "relation_type": "DEPENDS_ON"}],
    }
    return write_world(tmp_path / "estate", rows)  # type: ignore[arg-type]


@pytest.fixture
def ops(estate: Path) -> Iterator[ciops.Ops]:
    with ciops.connect(estate) as session:
        yield session


async def look(ops: Any, ci: str) -> Findings:
    """What is this, and what is around it?"""
    item, near = await asyncio.gather(ops.ci_get_by_code(ci), ops.graph_expand(ci))
    types = await ops.ci_aggregate("ci_type")
    ids = [ciops.provenance(answer).call_id for answer in (item, near, types)]
    return Findings(
        Statement(f"{ci} has {len(near) - 1} neighbours.", tuple(ids[:2])),
        (Statement(f"There are {types['count'].sum()} CIs.", (ids[2],)),),
        (Section("It", item, (ids[0],)), Section("Around", near, (ids[1],)), Section("In words", "nothing else")),
    )


async def until(come: Callable[[], bool]) -> None:
    """Wait until something has come about in another thread."""
    for _ in range(10_000):
        if come():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come about")


def test_a_run_has_findings_calls_and_spans(ops: ciops.Ops) -> None:
    run = ops.run.sync(look, ci="app-1")

    assert ("done", "complete", "app-1 has 1 neighbours.") == (run.status, run.completeness, run.findings.headline.text)
    assert ["ci_get_by_code", "graph_expand", "ci_aggregate"] == [call.tool for call in run.calls]
    spans = run.trace
    assert {"run": 1, "tool": 3} == {kind: n for kind, n in spans["kind"].value_counts().items() if kind != "query"}
    assert set(spans.loc[spans["kind"] == "tool", "parent_id"]) == set(spans.loc[spans["kind"] == "run", "span_id"])
    assert (run,) == ops.runs


def test_a_run_that_fails_keeps_what_was_answered_and_its_findings_raise(ops: ciops.Ops) -> None:
    async def wrong(ops: Any) -> Findings:
        """Ask for what is not there."""
        await ops.ci_search("app")
        await ops.ci_get_by_code("app-2")
        raise AssertionError

    run = ops.run.sync(wrong)

    assert ("failed", "partial", ["ci_search"]) == (run.status, run.completeness, [call.tool for call in run.calls])
    with pytest.raises(ItemNotFound, match="app-1"):
        run.findings  # noqa: B018
    assert "failed, 1 calls, partial, ItemNotFound" in repr(run)


async def test_a_run_that_was_started_can_be_watched_cancelled_and_resumed(ops: ciops.Ops) -> None:
    async def slow(ops: Any) -> Findings:
        """Ask, and wait for ever."""
        await ops.ci_get_by_code("app-1")
        await asyncio.Event().wait()
        raise AssertionError

    run = ops.start(slow)
    assert "running" == run.status
    with pytest.raises(BadParameter, match="is running and has no findings"):
        run.findings  # noqa: B018
    await until(lambda: run.progress.answered == 1)
    run.cancel()

    assert run is await run
    assert ("cancelled", 1) == (run.status, len(run.calls))
    with pytest.raises(BadParameter, match="resume=run"):
        run.findings  # noqa: B018
    ops.cache.clear()
    again = ops.run.sync(look, ci="app-1", resume=run)
    asked = ops.trace.frame().query("kind == 'tool'").groupby("name").size()
    assert "done" == again.status
    assert 2 == asked["ci_get_by_code"]
    assert 1 == asked["ci_aggregate"]


def test_what_was_answered_before_is_not_asked_again(ops: ciops.Ops) -> None:
    first = ops.run.sync(look, ci="app-1")
    ops.cache.clear()
    before = len(ops.trace.frame().query("kind == 'query'"))

    again = ops.run.sync(look, ci="app-1", resume=first)

    assert before == len(ops.trace.frame().query("kind == 'query'"))
    assert ["same"] * 4 == ops.compare(first, again)["status"].to_list()


def test_a_recipe_that_exits_has_failed_and_nothing_else_ends(ops: ciops.Ops) -> None:
    async def exits(ops: Any) -> Findings:
        """Exit."""
        sys.exit(3)

    run = ops.run.sync(exits)

    assert "failed" == run.status
    with pytest.raises(SystemExit):
        run.findings  # noqa: B018
    assert "done" == ops.run.sync(look, ci="app-1").status


def test_a_run_that_is_cancelled_before_it_begins_is_cancelled(ops: ciops.Ops) -> None:
    began = []

    async def slow(ops: Any) -> Findings:
        """Wait for ever."""
        began.append(ops)
        await asyncio.Event().wait()
        raise AssertionError

    async def at_once() -> Run:
        run = await begin(ops, slow, {})
        assert run.task is not None
        run.task.cancel()  # in the same step: the task has not taken one of its own
        assert "running" == run.status
        return await run.wait()

    run = sync.run(at_once())

    assert ([], "cancelled", "partial", ()) == (began, run.status, run.completeness, run.spans)
    assert "cancelled, 0 calls" in repr(run)
    with pytest.raises(BadParameter, match="is cancelled and has no findings"):
        run.findings  # noqa: B018
    with pytest.raises(BadParameter, match="has not begun"):
        run.trace  # noqa: B018


async def test_cancelling_who_waits_cancels_the_run(ops: ciops.Ops) -> None:
    async def slow(ops: Any) -> Findings:
        """Wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.ensure_future(ops.run(slow))
    await until(lambda: bool(ops.runs))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert "cancelled" == ops.runs[0].status


def test_runs_that_differ_say_where(ops: ciops.Ops, estate: Path) -> None:
    first = ops.run.sync(look, ci="app-1")
    other = ops.run.sync(look, ci="db-1")

    found = ops.compare(first, other)

    assert ["only_left", "only_left", "same", "only_right", "only_right", "differs"] == found["status"].to_list()
    assert "headline: 'app-1 has 1 neighbours.' against 'db-1 has 1 neighbours.'" == found["what"].iloc[-1]


def test_a_recorded_run_that_was_killed_is_resumed_from_its_folder(estate: Path, tmp_path: Path) -> None:
    folder = tmp_path / "record"
    code = f"""
import asyncio, os, signal, sys
import ciops_nb as ciops
from ciops_nb.recipes.findings import Findings
async def dies(ops):
    "Ask twice, and die."
    await ops.ci_get_by_code("app-1")
    await ops.graph_expand("app-1")
    os.kill(os.getpid(), signal.SIGKILL)
ciops.connect({str(estate)!r}).run.sync(dies, record={str(folder)!r})
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (-9, b"") == (killed.returncode, killed.stderr)

    with ciops.connect(estate) as ops:
        run = ops.run.sync(look, ci="app-1", resume=folder)
        queries = ops.trace.frame().query("kind == 'query'")

    assert ("done", "app-1 has 1 neighbours.") == (run.status, run.findings.headline.text)
    assert {"ci_aggregate"} == set(
        ops.trace.frame().set_index("span_id").loc[queries["parent_id"].dropna().unique(), "name"]
    )


def test_a_folder_that_cannot_be_recorded_into_is_refused(ops: ciops.Ops, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder, says in (("there", "Name a new folder"), ("no/where", "whose parent exists")):
        with pytest.raises(BadParameter, match=says):
            ops.run.sync(look, ci="app-1", record=tmp_path / folder)


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"recipe": "triag"}, UnknownTool, "'triage'"),
        ({"recipe": look}, BadParameter, "missing a required argument: 'ci'"),
        ({"recipe": look, "ci": "app-1", "cii": 1}, BadParameter, "Use ci"),
        ({"recipe": look, "ci": "app-1", "resume": 3}, BadParameter, "is no run"),
        ({"recipe": look, "ci": "app-1", "resume": "no.ciops"}, BadBundle, "cannot be read"),
    ],
)
def test_what_cannot_be_run_is_refused_before_it_begins(ops: ciops.Ops, asked: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        ops.run.sync(asked.pop("recipe"), **asked)
    assert () == ops.runs


def test_a_recipe_that_returns_no_findings_fails(ops: ciops.Ops) -> None:
    async def nothing(ops: Any) -> Any:
        """Return nothing."""

    run = ops.run.sync(nothing)

    with pytest.raises(TypeError, match="returned a NoneType, not Findings"):
        run.findings  # noqa: B018


def test_all_calls_of_a_run_have_one_time(estate: Path) -> None:
    (estate / "estate.toml").write_text('name = "x"\nclock = "wall"\n', encoding="utf-8")

    async def twice(ops: Any) -> Findings:
        """Ask for the last hour twice."""
        spans = [ciops.provenance(await ops.history_recent(time_range="last_1h")).params.time_range for _ in range(2)]
        return Findings(Statement(str(len(set(spans)))))

    with ciops.connect(estate) as ops:
        assert "1" == ops.run.sync(twice).findings.headline.text


def test_a_recipe_defined_again_in_its_place_takes_it_and_a_taken_name_is_refused() -> None:
    def define() -> Any:
        @ciops.recipe
        async def mine(ops: Any) -> Findings:
            """Say one."""
            return Findings(Statement("one"))

        return mine

    define()
    define()
    with pytest.raises(TypeError, match="there is a recipe 'triage' already"):

        @ciops.recipe
        async def triage(ops: Any) -> Findings:
            """Another."""
            raise AssertionError
