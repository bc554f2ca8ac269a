"""Every layer while sources fail, stall, break off or die: the right answer or a named error, in time, and truly told."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb.errors import EngineUnavailable, IncompleteResult, ToolTimedOut
from ciops_nb.execution.keep import digest
from tests.execution.examples import EXAMPLES, write_estate
from tests.faults import KINDS, FaultyEngine, all_wrong, from_query, session

TIMEOUT = 0.5
ERRORS = {"fail": EngineUnavailable, "stall": ToolTimedOut, "cut": EngineUnavailable, "die": EngineUnavailable}
SLOWEST = ("ci_search", "graph_expand", "metric_series_table", "tenants")  # a stall takes its time: not of all tools
CASES = [(tool, kind) for kind in KINDS for tool in EXAMPLES if kind != "stall" or tool in SLOWEST]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_estate(tmp_path_factory.mktemp("estate") / "live")


@pytest.fixture(scope="module")
def right(estate: Path) -> dict[str, str]:
    """What each tool says where nothing is wrong."""
    with ciops.connect(estate, frames="polars") as ops:
        return {tool: digest(plain(ops.tool(tool).sync(**params))) for tool, params in EXAMPLES.items()}


def plain(answer: Any) -> Any:
    return answer if isinstance(answer, pl.DataFrame) else answer.copy()


@pytest.fixture
def engine(estate: Path) -> Iterator[FaultyEngine]:
    made = FaultyEngine(estate)
    yield made
    made.close()


@pytest.fixture
def ops(engine: FaultyEngine) -> Iterator[ciops.Ops]:
    with session(engine) as made:
        yield made


def outcome(work: Callable[[], Any], expected: type[Exception]) -> tuple[Any, Exception | None]:
    """What comes of it, or the error of the expected kind."""
    try:
        return work(), None
    except expected as error:
        return None, error


def ask(ops: ciops.Ops, tool: str) -> Any:
    return ops.tool(tool).sync(**EXAMPLES[tool])


@pytest.mark.parametrize("cold", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize(("tool", "kind"), CASES)
def test_without_another_source_there_is_a_named_error_in_time_and_then_the_right_answer(
    engine: FaultyEngine, ops: ciops.Ops, right: dict[str, str], tool: str, kind: str, cold: bool
) -> None:
    if not cold:
        ops.metric_list.sync()  # what time it is, is known then
        ops.cache.clear()
    ops.timeout = TIMEOUT if kind == "stall" else None
    engine.plan, before, began = all_wrong(kind), engine.faults, time.monotonic()
    answer, error = outcome(lambda: ask(ops, tool), ERRORS[kind])
    if error is None:
        assert engine.faults == before  # it needed nothing that was not there already
        assert right[tool] == digest(plain(answer))
    else:
        # Of questions asked together, one may end after the call that the other ended.
        span = [span for span in ops.trace.spans if span.kind == "tool"][-1]
        assert ("tool", tool, "error", f"{type(error).__name__}: {error}") == (
            span.kind, span.name, span.status, span.error,
        )  # fmt: skip
        assert (True, 0) == (engine.faults > before, len(ops.cache))
    assert time.monotonic() - began < TIMEOUT + 3
    engine.recover()
    ops.timeout = None

    again = ask(ops, tool)

    assert right[tool] == digest(plain(again))
    assert None is ciops.provenance(again).fallback
    assert ciops.provenance(ask(ops, tool)).cached


@pytest.mark.parametrize("cold", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize(("tool", "kind"), CASES)
def test_with_another_source_the_answer_is_right_and_says_where_it_is_from(
    engine: FaultyEngine, ops: ciops.Ops, estate: Path, right: dict[str, str], tool: str, kind: str, cold: bool
) -> None:
    ops.fall_back_to(estate)
    if not cold:
        ops.metric_list.sync()
        ops.cache.clear()
    ops.timeout = TIMEOUT if kind == "stall" else None
    engine.plan, before = all_wrong(kind), engine.faults
    found = ask(ops, tool)

    assert right[tool] == digest(plain(found))
    record = ciops.provenance(found)
    if tool in ("estate", "tenants") and record.fallback is None:
        return  # asks the engine for nothing but its files
    if engine.faults == before:
        assert (None, "complete") == (record.fallback, record.completeness.status)
        return
    assert "snapshot" == record.fallback.source
    assert record.fallback.reason.startswith(f"live: {ERRORS[kind].__name__}: ")
    assert "fallback" == record.completeness.status == ops.trace.spans[-1].status
    assert ("snapshot", len(found)) == (ops.trace.spans[-1].source, ops.trace.spans[-1].rows)
    assert 0 == len(ops.cache)
    engine.recover()
    ops.timeout = None

    assert None is ciops.provenance(ask(ops, tool)).fallback


def test_when_all_sources_fail_the_first_error_is_raised_with_a_note_of_the_others(
    engine: FaultyEngine, ops: ciops.Ops, estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FaultyEngine(estate)
    monkeypatch.setattr("ciops_nb.session.open_engine", lambda source: other)
    ops.fall_back_to(estate)
    ops.metric_list.sync()
    engine.plan = all_wrong("cut")
    other.plan = all_wrong("fail")

    with pytest.raises(EngineUnavailable, match="broke after") as caught:
        ops.history_recent.sync()

    assert [
        "source 'snapshot' failed too: EngineUnavailable: Engine polars: the connection was refused. Try again"
    ] == (caught.value.__notes__)


def test_the_plan_and_the_circuit_follow_what_happens(
    engine: FaultyEngine, ops: ciops.Ops, estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("ciops_nb.execution.sources.time", type("T", (), {"monotonic": staticmethod(lambda: now[0])}))
    ops.fall_back_to(estate)
    for health in ops._health.values():
        health._clock = lambda: now[0]

    def turns() -> list[tuple[str, bool, str]]:
        plan = ops.plan.sync("history_recent", **EXAMPLES["history_recent"])
        return (
            plan.with_columns(pl.col("reason").str.replace("; reads .*", ""))
            .select("source", "cached", "reason")
            .rows()
        )

    first, then = ("live", False, "configured first"), ("snapshot", False, "configured after it")
    assert [first, then] == turns()
    ask(ops, "history_recent")
    assert [("live", True, "configured first"), then] == turns()
    ops.cache.clear()
    assert 1 == len(ops.plan.sync("history_recent").filter(pl.col("expected_ms") > 0))
    engine.plan = all_wrong("fail")
    for _ in range(3):
        assert "fallback" == ciops.provenance(ask(ops, "history_recent")).completeness.status
    waits = ("live", False, "failed 3 times in a row; asked last for another 30 s")
    assert [then, waits] == turns()
    faults = engine.faults
    assert {"source": "snapshot", "reason": "configured after it"} == dict(
        ciops.provenance(ask(ops, "history_recent")).fallback
    )
    assert faults == engine.faults
    engine.recover()
    now[0] = 31.0
    assert [first, then] == turns()
    assert None is ciops.provenance(ask(ops, "history_recent")).fallback


def test_an_engine_that_dies_half_way_through_a_run_leaves_a_run_that_says_so(
    engine: FaultyEngine, ops: ciops.Ops, estate: Path
) -> None:
    with ciops.connect(estate, frames="polars") as healthy:
        whole = healthy.run.sync("triage", ci="app-1", at="2026-03-01T05:00Z", window="2h", baseline="3h")
    assert "done" == whole.status
    ops.fall_back_to(estate)
    fell = ["not asked yet"]
    for first in range(0, 200, 3):  # how many queries a run takes depends on which ways are the shorter ones
        if not fell:
            break
        engine.recover()
        ops.cache.clear()
        ops._health["live"].note("x", True, 0.0)
        start = engine.queries
        engine.plan = from_query(start + first, "die")
        run = ops.run.sync("triage", ci="app-1", at="2026-03-01T05:00Z", window="2h", baseline="3h")
        fell = [call.tool for call in run.calls if call.fallback is not None]
        assert ("done", bool(fell)) == (run.status, run.completeness == "fallback")
        # What is found is the same; that a part of it came from elsewhere is said among what is not known.
        for part in ("statements", "ruled_out", "next_steps"):
            expected, found = ([one.text for one in getattr(each.findings, part)] for each in (whole, run))
            assert expected == found
        told = {text.text for text in run.findings.unknown} - {text.text for text in whole.findings.unknown}
        assert {f"An answer of {tool} is fallback." for tool in fell} == told
        assert [digest(entry.answer.value) for entry in whole.recorded] == [
            digest(entry.answer.value) for entry in run.recorded
        ]
    assert not fell, "the plan went beyond all queries"


def test_stalled_queries_do_not_take_the_threads_from_other_sources(
    engine: FaultyEngine, ops: ciops.Ops, estate: Path
) -> None:
    ops.metric_list.sync()
    ops.fall_back_to(estate)
    ops.cache.clear()
    ops.timeout = 2.0
    engine.plan = all_wrong("stall")

    async def main() -> list[Any]:
        return await asyncio.gather(*(ops.history_recent(limit=number) for number in range(1, 13)))

    began = time.monotonic()
    found = asyncio.run(main())

    assert ["fallback"] * 12 == [ciops.provenance(one).completeness.status for one in found]
    assert list(range(1, 8)) == [len(one) for one in found][:7]
    assert time.monotonic() - began < 2 * ops.timeout + 2
    engine.recover()


def test_a_spare_source_that_stalls_does_not_hold_up_a_healthy_one(
    engine: FaultyEngine, ops: ciops.Ops, estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FaultyEngine(estate)
    monkeypatch.setattr("ciops_nb.session.open_engine", lambda source: other)
    ops.fall_back_to(estate)
    other.plan = all_wrong("stall")
    began = time.monotonic()

    found = [ask(ops, tool) for tool in EXAMPLES]

    assert {None} == {ciops.provenance(one).fallback for one in found}
    assert (0, True) == (other.faults, time.monotonic() - began < 10)
    other.close()


def test_an_index_whose_build_stalled_is_built_anew(
    engine: FaultyEngine, ops: ciops.Ops, right: dict[str, str]
) -> None:
    ops.history_recent.sync(time_range="all")
    ops.timeout = TIMEOUT
    engine.plan = all_wrong("stall")
    with pytest.raises(ToolTimedOut, match=r"within 0.5 s"):
        ask(ops, "graph_expand")
    engine.plan, ops.timeout = (lambda number: None), None

    assert right["graph_expand"] == digest(plain(ask(ops, "graph_expand")))


def test_strict_refuses_what_a_fallback_answers(engine: FaultyEngine, estate: Path) -> None:
    with session(engine, strict=True) as ops:
        ops.fall_back_to(estate)
        assert 4 == len(ops.ci_list_preview.sync())
        ops.cache.clear()
        engine.plan = all_wrong("fail")
        with pytest.raises(IncompleteResult, match="the answer is fallback"):
            ops.history_recent.sync(time_range="all")


def test_an_estate_that_goes_away_is_unavailable_and_one_that_comes_back_is_not(
    tmp_path: Path, estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciops_nb.estate.files._LOOK_AGAIN", -1.0)
    shutil.copytree(estate, tmp_path / "live")
    with ciops.connect(tmp_path / "live") as ops, ciops.connect(tmp_path / "live") as alone:
        ops.fall_back_to(estate)
        assert None is ciops.provenance(ops.ci_search.sync("erp")).fallback
        (tmp_path / "live").rename(tmp_path / "away")
        found = ops.ci_search.sync("erp")
        assert "live: EngineUnavailable: Engine polars: " in ciops.provenance(found).fallback.reason
        assert "snapshot" in ops.plan.sync("ci_search")["source"].to_list()
        with pytest.raises(EngineUnavailable, match=r"estate\.toml"):
            alone.ci_search.sync("erp")
        (tmp_path / "away").rename(tmp_path / "live")
        assert None is ciops.provenance(ops.ci_search.sync("erp")).fallback


def test_an_answer_during_which_the_data_changed_says_so_and_is_not_kept(
    tmp_path: Path, estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciops_nb.estate.files._LOOK_AGAIN", -1.0)
    shutil.copytree(estate, tmp_path / "live")
    engine = FaultyEngine(tmp_path / "live")
    with session(engine) as ops:
        ops.metric_list.sync()
        # Not a file that is being read: its pages would be those of another one than its footer.
        engine.plan = touching(tmp_path / "live/metric_def.parquet")
        found = ops.history_recent.sync(time_range="all")
        assert "the data changed while this was answered" in str(ciops.provenance(found).warnings)
        engine.recover()
        again = ciops.provenance(ops.history_recent.sync(time_range="all"))
    assert not again.cached
    assert "changed" not in str(again.warnings)


def touching(path: Path) -> Callable[[int], None]:
    """A plan in which all goes well, but a file is another one after the first query."""

    def plan(number: int) -> None:
        frame = pl.read_parquet(path)
        beside = path.with_suffix(f".part{number}")  # renamed when it is whole, as every writer of estates does
        frame.with_columns(pl.col("unit") + "!").write_parquet(beside)
        beside.replace(path)

    return plan


def test_all_kinds_of_faults_at_once_poison_nothing(
    engine: FaultyEngine, ops: ciops.Ops, estate: Path, right: dict[str, str]
) -> None:
    ops.fall_back_to(estate)
    engine.plan = lambda number: ("fail", None, "cut", None, None)[number % 5]

    async def main() -> list[tuple[str, Any]]:
        asked = [tool for _ in range(8) for tool in EXAMPLES]
        return list(
            zip(asked, await asyncio.gather(*(ops.tool(tool)(**EXAMPLES[tool]) for tool in asked)), strict=True)
        )

    for tool, found in asyncio.run(main()):
        assert right[tool] == digest(plain(found))
    assert engine.faults > 0
    engine.recover()
    for tool in EXAMPLES:
        assert right[tool] == digest(plain(ask(ops, tool)))
