"""Spans: one for each call, true, in a tree, and counted as numpy counts."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciops_nb.errors import BadParameter
from ciops_nb.execution.trace import Span, Trace, Traced
from tests.execution.calls import FRAME, Clock, Engine, call


async def test_each_call_leaves_one_span_with_what_came_back() -> None:
    trace = Trace(frames="polars")
    await Traced(Engine(), trace)(call())

    (row,) = trace.frame().rows(named=True)

    assert ("tool", "ci_search", 2, False, 0, "live", "complete", None, call().id) == tuple(
        row[name] for name in ("kind", "name", "rows", "cached", "retries", "source", "status", "error", "call_id")
    )
    assert FRAME.estimated_size() == row["bytes"]


async def test_an_error_and_a_cancelled_call_leave_theirs() -> None:
    trace = Trace(frames="polars")
    engine = Engine(live=[LookupError("gone"), asyncio.get_running_loop().create_future()])
    layer = Traced(engine, trace)
    with pytest.raises(LookupError):
        await layer(call())
    task = asyncio.ensure_future(layer(call()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert [("error", "LookupError: gone"), ("cancelled", None)] == trace.frame().select("status", "error").rows()


async def test_spans_hang_under_the_one_that_is_open_and_parallel_ones_do_not_mix() -> None:
    trace = Trace(frames="polars")

    async def step(name: str) -> None:
        with trace.span("step", name):
            await asyncio.sleep(0)
            with trace.span("query", f"of {name}"):
                await asyncio.sleep(0)

    with trace.span("run", "triage"):
        await asyncio.gather(step("a"), step("b"))

    found = trace.frame()
    names = dict(found.select("span_id", "name").iter_rows())
    assert {"triage": None, "a": "triage", "b": "triage", "of a": "a", "of b": "b"} == {
        name: names.get(parent) for name, parent in found.select("name", "parent_id").iter_rows()
    }


def test_times_are_those_of_the_clock() -> None:
    clock = Clock(unit=10**9)
    trace = Trace(frames="polars", clock=clock)
    with trace.span("run", "outer"):
        clock.now = 1.5
        with trace.span("step", "inner"):
            clock.now = 1.75

    outer, inner = trace.frame().rows(named=True)
    assert (1750.0, 250.0) == (outer["duration_ms"], inner["duration_ms"])
    assert timedelta(seconds=1.5) == inner["start_at"] - outer["start_at"]


def test_ids_are_unique_from_many_threads() -> None:
    trace = Trace()
    seen: list[list[str]] = [[] for _ in range(4)]

    def work(mine: list[str]) -> None:
        for _ in range(250_000):
            with trace.span("query", "q") as span:
                mine.append(span.id)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1_000_000 == len(set().union(*seen))
    assert (100_000, 900_000) == (len(trace), trace.dropped)


@given(st.lists(st.tuples(st.integers(0, 10**10), st.booleans(), st.sampled_from(["complete", "error"])), min_size=1))
def test_the_summary_counts_as_numpy(calls: list[tuple[int, bool, str]]) -> None:
    trace = Trace(frames="polars")
    trace._spans.extend(
        Span(str(n), None, "tool", "ci_get", 0, took, 1, 1, cached, 0, None, status, None, None, 1)
        for n, (took, cached, status) in enumerate(calls)
    )
    took = np.array([took for took, _, _ in calls]) / 1e6

    (row,) = trace.summary().rows()

    assert ("ci_get", len(calls), sum(status == "error" for *_, status in calls)) == row[:3]
    assert np.allclose([np.mean([cached for _, cached, _ in calls]), *np.percentile(took, [50, 95, 99])], row[3:])


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_without_spans_the_frames_have_their_columns(frames: str) -> None:
    trace = Trace(frames=frames)
    kind = pd.DataFrame if frames == "pandas" else pl.DataFrame

    assert isinstance(trace.frame(), kind)
    assert [
        "span_id", "parent_id", "kind", "name", "start_at", "duration_ms", "rows", "bytes", "cached", "retries",
        "source", "status", "error", "call_id",
    ] == list(trace.frame().columns)  # fmt: skip
    assert ["tool", "count", "errors", "hit_rate", "p50_ms", "p95_ms", "p99_ms"] == list(trace.summary().columns)


def test_chrome_gets_one_complete_event_a_span(tmp_path: Path) -> None:
    clock = Clock(unit=10**9)
    trace = Trace(clock=clock)
    with trace.span("run", 'a "quoted" name'):
        clock.now = 2.0

    (event,) = json.loads(trace.chrome(tmp_path / "t.json").read_text())["traceEvents"]

    assert ("X", 'a "quoted" name', "run", 2e6, "ok") == (
        event["ph"], event["name"], event["cat"], event["dur"], event["args"]["status"],
    )  # fmt: skip
    with pytest.raises(BadParameter, match="cannot be written"):
        trace.chrome(tmp_path / "no" / "t.json")


def test_a_hook_is_told_of_each_span_that_ends() -> None:
    trace, told = Trace(), list[Any]()
    trace.add_hook(told.append)
    with trace.span("run", "a"), trace.span("step", "b"):
        pass

    assert ["b", "a"] == [span.name for span in told]
    assert 2 == len(trace)
    trace.clear()
    assert (0, 0) == (len(trace), trace.dropped)


def test_what_goes_on_is_told_beside_what_has_ended(tmp_path: Path) -> None:
    trace = Trace(clock=iter(range(0, 10_000, 10)).__next__)
    with trace.span("run", "earlier"):
        pass
    with trace.span("run", "triage") as run:
        with trace.span("tool", "ci_get"):
            pass
        with trace.span("tool", "history_recent"):
            live = trace.inside(run.id)
        assert [("triage", "running"), ("ci_get", "ok"), ("history_recent", "running")] == [
            (span.name, span.status) for span in live
        ]
        assert [40, 10, 10] == [span.duration_ns for span in live]

    assert ["ok", "ok", "ok"] == [span.status for span in trace.inside(run.id)]
    assert () == trace.inside("no such span")


def test_what_goes_on_can_be_told_while_other_threads_work() -> None:
    trace, wrong, looks = Trace(), [], 0

    def work() -> None:
        for _ in range(1000):
            with trace.span("run", "a"), trace.span("tool", "b"):
                pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    with trace.span("run", "mine") as mine:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            wrong += [span for span in trace.inside(mine.id) if span.span_id != mine.id]
            looks += 1
        for thread in threads:
            thread.join()

    assert [] == wrong
    assert looks > 1
