"""The widget shows a run as it goes on, sends what changed, and has a twin that is the same each time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ciops_nb
from ciops_nb import Findings, Ops, Statement, TraceWaterfall, connect, recipe, sync
from ciops_nb.errors import BadParameter
from ciops_nb.execution.trace import Span
from ciops_nb.recipes.run import Run
from ciops_nb.views.widgets import waterfall
from ciops_nb.views.widgets.twin import asset

DEMO = Path(__file__).parents[3] / "data" / "demo"
AT = "2026-03-02 10:00"
VIEW = "application/vnd.jupyter.widget-view+json"

pytestmark = pytest.mark.usefixtures("own_names")


@pytest.fixture(autouse=True)
def built() -> None:
    try:
        asset("waterfall.js")
    except BadParameter:
        pytest.skip("the widgets' bundle was not built: run python hatch_build.py")


@pytest.fixture
def ops() -> Iterator[Ops]:
    with connect(DEMO) as ops:
        yield ops


def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for *condition*, at most so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)


def rows(widget: TraceWaterfall) -> dict[str, dict[str, Any]]:
    """The rows as a browser knows them by what was sent."""
    known = {row["id"]: row for row in widget._rows["rows"]}
    if widget._changed["number"] == widget._rows["number"]:
        known |= {row["id"]: row for row in widget._changed["rows"]}
    return known


class Gate:
    """A recipe that asks one thing, waits to be let on, and asks another."""

    def __init__(self) -> None:
        self.at = asyncio.Event()

    def open(self) -> None:
        sync.start(self._open, name="open")

    async def _open(self) -> None:
        self.at.set()


@pytest.fixture
def slow() -> Gate:
    gate = Gate()

    async def slow(ops: Ops, ci: str) -> Findings:
        """Wait."""
        await ops.ci_get_by_code(ci)
        with ops.trace.span("step", "wait"):
            await gate.at.wait()
        await ops.graph_expand(ci)
        return Findings(Statement("done"), [])

    recipe(slow)
    return gate


def test_a_run_is_followed_until_it_ends(ops: Ops, slow: Gate) -> None:
    run = ops.start("slow", ci="sys-erp")
    widget = TraceWaterfall(run)
    threads = set()
    widget.observe(lambda _: threads.add(threading.current_thread().name), ["_rows", "_changed", "_head"])
    until(lambda: any(row["name"] == "wait" for row in rows(widget).values()))

    def waiting() -> dict[str, Any]:
        return next(row for row in rows(widget).values() if row["name"] == "wait")

    first = waiting()["took"]
    assert [["running", "running"]] == waiting()["marks"]
    until(lambda: waiting()["took"] > first)
    slow.open()
    run.wait.sync()
    until(lambda: "triage" not in widget._head["title"] and widget._head["title"] == "slow, done")

    assert {"slow", "ci_get_by_code", "wait", "graph_expand"} <= {row["name"] for row in rows(widget).values()}
    assert not any(row["marks"] for row in rows(widget).values())
    assert {row.span_id: row.duration_ns for row in run.spans} == {i: row["took"] for i, row in rows(widget).items()}
    assert {"ciops-home"} == threads
    assert widget._following is not None
    until(widget._following.done)
    widget.close()


def test_a_closed_widget_follows_no_longer(ops: Ops, slow: Gate) -> None:
    run = ops.start("slow", ci="sys-erp")
    widget = TraceWaterfall(run)
    until(lambda: any(row["name"] == "wait" for row in rows(widget).values()))
    widget.close()
    before = widget._head
    assert widget._following is not None
    until(widget._following.done)
    slow.open()
    run.wait.sync()
    widget.refresh()
    sync.run(asyncio.sleep(0))

    assert before == widget._head


def test_only_what_changed_is_sent_while_it_goes_on(ops: Ops, slow: Gate) -> None:
    with ops.trace.span("run", "outer"):
        run = ops.start("slow", ci="sys-erp")
    widget = TraceWaterfall(run)
    until(lambda: any(row["name"] == "wait" for row in rows(widget).values()))
    sent: list[Any] = []
    widget.observe(lambda change: sent.append(change.new), ["_rows"])
    looks: list[Any] = []
    widget.observe(lambda change: looks.append(change.new), ["_changed"])
    until(lambda: len(looks) > 2)
    slow.open()
    run.wait.sync()

    assert [] == sent
    for look in looks[:2]:
        assert {"slow", "wait"} <= {row["name"] for row in look["rows"]} <= {"slow", "wait", "ci_get_by_code", "query"}
    widget.close()


def test_many_changes_are_sent_once_and_then_no_more() -> None:
    def spans(number: int, took: int) -> list[Span]:
        return [Span(f"{n:04}", None, "tool", "a", n, took, None, None, False, 0, None, "ok", None, None, 1)
                for n in range(number)]  # fmt: skip

    widget = TraceWaterfall(spans(400, 5))
    widget.run = spans(410, 5)
    until(lambda: 10 == len(widget._changed["rows"]))
    assert (1, 410) == (widget._rows["number"], len(rows(widget)))
    widget.run = spans(410, 6)
    until(lambda: 2 == widget._rows["number"] and [] == widget._changed["rows"])
    assert 410 == len(rows(widget))
    widget.run = spans(3, 6)
    until(lambda: 3 == len(rows(widget)))
    widget.close()


def test_refresh_may_be_called_from_many_threads_and_is_done_at_home(ops: Ops, slow: Gate) -> None:
    run = ops.start("slow", ci="sys-erp")
    widget = TraceWaterfall(run)
    threads: set[str] = set()
    widget.observe(lambda _: threads.add(threading.current_thread().name), ["_rows", "_changed", "_head", "_details"])

    def work() -> None:
        for _ in range(50):
            widget.refresh()
            widget.set_state({"selected": run.spans[0].span_id if run.spans else None})

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    slow.open()
    for worker in workers:
        worker.join()
    run.wait.sync()
    until(lambda: widget._head["title"] == "slow, done" and widget._details.get("id") == run.spans[0].span_id)

    assert {"ciops-home"} == threads
    assert {s.span_id for s in run.spans} == rows(widget).keys()
    widget.close()


def test_an_observer_of_the_selection_may_ask_a_tool_and_block(ops: Ops, slow: Gate) -> None:
    run = ops.start("slow", ci="sys-erp")
    widget = TraceWaterfall(run)
    found: list[int] = []
    widget.observe(lambda _: found.append(len(ops.ci_get_by_code.sync("sys-erp"))), "selected")
    until(lambda: len(rows(widget)) > 1)
    caller = threading.Thread(target=widget.set_state, args=({"selected": run.spans[0].span_id},), daemon=True)
    caller.start()
    widget.refresh()
    caller.join(10)

    assert [1] == found
    slow.open()
    run.wait.sync()
    widget.close()


def test_selecting_a_span_tells_all_of_it(ops: Ops) -> None:
    run: Run = ops.run.sync("triage", ci="sys-erp", at=AT)
    widget = TraceWaterfall(run)
    (wanted,) = (span for span in run.spans if span.name == "metric_series_table")
    widget.selected = wanted.span_id
    until(lambda: widget._details.get("id") == wanted.span_id)
    said = dict(widget._details["items"])

    assert ("metric_series_table", "complete: 11,826 of 11,826") == (said["tool"], said["completeness"])
    assert said == dict(TraceWaterfall(run, selected=wanted.span_id)._details["items"])
    widget.selected = "none such"
    until(lambda: widget._details.get("id") == "none such")
    assert [["", "There is no span none such in this trace."]] == widget._details["items"]
    widget.selected = None
    until(lambda: widget._details == {})
    widget.close()


def test_another_run_of_the_recipe_makes_the_old_one_the_previous(ops: Ops) -> None:
    first: Run = ops.run.sync("lookup", text="sys-erp")
    second: Run = ops.run.sync("lookup", text="sys-erp")
    other: Run = ops.run.sync("path", source="sys-erp", target="db-erp-01")
    widget = TraceWaterfall(first)
    widget.run = second
    assert (second, first) == (widget.run, widget.previous)
    until(lambda: all(row["ghost"] for row in rows(widget).values() if row["kind"] != "query"))
    widget.run = other
    assert widget.previous is None
    widget.previous = first
    widget.run = second
    assert first is widget.previous
    widget.close()


def test_a_failed_look_is_told_in_the_widget(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = TraceWaterfall(ops.run.sync("lookup", text="sys-erp"))

    def fail(*_: Any) -> None:
        raise LookupError("lost\u202e")

    monkeypatch.setattr(waterfall.waterfall, "waterfall", fail)
    widget.refresh()
    until(lambda: widget._head["problem"] == "LookupError: lost⟨U+202E⟩")
    monkeypatch.undo()
    widget.refresh()
    until(lambda: widget._head["problem"] == "")
    widget.close()


def test_what_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match="Give a run"):
        TraceWaterfall(3)
    with pytest.raises(BadParameter, match="Check the path"):
        TraceWaterfall(tmp_path / "none.json")


def test_all_that_is_sent_is_json(ops: Ops) -> None:
    widget = TraceWaterfall(ops.run.sync("triage", ci="sys-erp", at=AT))

    assert json.dumps({name: value for name, value in widget.get_state().items() if name not in ("_esm", "layout")})
    widget.close()


# ── the twin ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_twin_of_a_run_is_text_without_times_and_a_picture_on_demand(ops: Ops) -> None:
    run: Run = ops.run.sync("triage", ci="sys-erp", at=AT)
    widget = TraceWaterfall(run)
    shown = widget._repr_mimebundle_()

    assert {"text/plain", VIEW} == shown.keys()
    assert shown["text/plain"].startswith("Trace of triage, done: 7 calls")
    assert " ms" not in shown["text/plain"]
    assert repr(widget) == shown["text/plain"]
    pictured = TraceWaterfall(run, picture=True).twin()
    assert pictured.svg is not None
    assert pictured.svg.startswith("<svg")
    assert pictured.text == shown["text/plain"]
    widget.close()


def test_the_twin_of_a_file_has_times_and_a_picture(ops: Ops, tmp_path: Path) -> None:
    ops.run.sync("lookup", text="sys-erp")
    widget = TraceWaterfall(ops.trace.chrome(tmp_path / "trace.json"))
    twin = widget.twin()

    assert " ms" in twin.text
    assert twin.svg is not None
    assert twin == TraceWaterfall(tmp_path / "trace.json").twin()
    assert TraceWaterfall(tmp_path / "trace.json", picture=False).twin().svg is None
    widget.close()


def test_the_twin_is_the_same_bytes_in_each_process(tmp_path: Path) -> None:
    code = (
        "import ciops_nb as c\n"
        f"with c.connect({str(DEMO)!r}) as ops:\n"
        f"    print(c.TraceWaterfall(ops.run.sync('triage', ci='sys-erp', at={AT!r})).twin().text)\n"
    )
    root = str(DEMO.parents[1])
    found = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": root, "HOME": str(tmp_path), "PATH": ""},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip

    assert 1 == len(found)


def test_the_name_is_public_and_loads_no_widget_before_it_is_used() -> None:
    assert ciops_nb.TraceWaterfall is TraceWaterfall
    code = "import sys, ciops_nb; print([name for name in ('anywidget', 'ipywidgets') if name in sys.modules])"
    assert (
        "[]" == subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    )
