"""A board shows what the tools say of some CIs, tells what is missing and why, and gives the code that asks the same."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import ciops_nb as ciops
from ciops_nb.errors import EngineUnavailable
from ciops_nb.tools import metric as metric_tools
from ciops_nb.views.svg import themed, to_svg
from ciops_nb.views.widgets.board import MetricBoard
from tests.worlds import HOSTILE, Rows, hours, write_world

DEMO = Path(__file__).parents[3] / "data/demo"
MORNING = "2026-03-02T06:00/2026-03-02T16:00"
SOON = 30.0


@pytest.fixture(scope="module", params=["pandas", "polars"])
def ops(request: pytest.FixtureRequest) -> Iterator[ciops.Ops]:
    with ciops.connect(DEMO, frames=request.param) as session:
        yield session


@pytest.fixture
def board(ops: ciops.Ops) -> Iterator[MetricBoard]:
    made = MetricBoard(ops, "app-erp-01", time_range=MORNING)
    made.wait.sync()
    yield made
    made.close()


def seen(board: MetricBoard) -> str:
    """All that stands in the widget, as text."""
    places = (board._found, board._time_said, board._status, board._notes, board._code)
    return html.unescape(re.sub(r"<[^>]*>", "\n", "".join(place.value for place in places)))


def click(board: MetricBoard, words: str) -> None:
    """Click the button that is called so."""
    fields = [board._needs, board._hurts, *board._hits.children, *board._chosen.children]
    (found,) = [button for button in fields if words in button.description]
    found.click()
    board.wait.sync()


def same(one: Any, other: Any) -> bool:
    return bool(one.equals(other))


def test_the_metrics_of_the_first_ci_are_shown_unless_others_are_asked_for(board: MetricBoard) -> None:
    assert ("", []) == (board.problem, board.metrics)
    assert ("error_rate", "response_time") == board._names.value
    assert "app-erp-01 · error_rate (percent)" in board._picture.value
    assert "Points: 120, complete." in board.notes
    board._names.value = ("response_time",)
    board.wait.sync()
    assert ["response_time"] == board.metrics
    assert "error_rate" not in board._picture.value


def test_the_code_asks_the_same_and_draws_the_same(board: MetricBoard, ops: ciops.Ops) -> None:
    board.cis, board.every, board.agg = ["app-erp-01", "db-erp-01", "mw-erp-01", "srv-erp-02"], "15m", "max"
    board.metrics, board.min_severity, board.kinds = ["response_time", "cpu_usage"], 4, ["incident", "event"]
    board.wait.sync()

    told: dict[str, Any] = {"ops": ops}
    exec(board.code, told)
    assert same(board.series, told["points"])
    assert same(board.history, told["history"])
    title = "response_time, cpu_usage of app-erp-01, db-erp-01, mw-erp-01, srv-erp-02"
    assert themed(to_svg(told["figure"], title, prefix="board")) == board._picture.value
    assert "Not drawn, since less severe than 4: 1 of them." in board.notes


def test_the_code_is_of_absolute_times(ops: ciops.Ops) -> None:
    board = MetricBoard(ops, "app-erp-01", metrics="response_time", time_range="last_6h")
    board.wait.sync()

    assert "last_6h" not in board.code
    told: dict[str, Any] = {"ops": ops}
    exec(board.code, told)
    assert same(ops.metric_series_table.sync("response_time", "app-erp-01", time_range="last_6h")[["value"]], told["points"][["value"]])  # fmt: skip
    board.close()


def test_what_is_absent_and_what_failed_is_told_apart(board: MetricBoard) -> None:
    board.cis, board.metrics = ["app-erp-01", "nowhere", "srv-erp-02"], ["cpu_usage", "no_such"]
    board.wait.sync()

    assert "" == board.problem
    assert [
        "Failed: no_such: UnknownMetric: There is no metric 'no_such'. List the metrics with metric_list().",
        "Failed: nowhere: No configuration item has code 'nowhere'. Look for it with ci_search().",
        "Absent: cpu_usage is not measured on app-erp-01.",
    ] == board.notes[:3]
    for note in board.notes:
        assert note in seen(board)
    assert "srv-erp-02 · cpu_usage" in board._picture.value
    board.time_range = "2026-02-01"
    board.wait.sync()
    assert "No points of cpu_usage in this time on srv-erp-02." in board.notes


def test_an_aggregate_that_one_metric_cannot_have_fails_that_metric_alone(board: MetricBoard) -> None:
    board.cis, board.metrics = ["app-erp-01", "db-erp-01"], ["response_time", "query_time"]
    board.every, board.agg = "1h", "rate"
    board.wait.sync()

    assert "" == board.problem
    assert ["is for counters" in note for note in board.notes[:2]] == [True, True]
    board.agg = "mean"
    board.wait.sync()
    assert not [note for note in board.notes if note.startswith("Failed")]


def test_a_source_that_fails_is_said_and_the_old_picture_stays(
    board: MetricBoard, monkeypatch: pytest.MonkeyPatch, ops: ciops.Ops
) -> None:
    before = board._picture.value

    async def fail(*_: Any) -> Any:
        raise EngineUnavailable("polars", "is away", "Try again")

    monkeypatch.setattr(metric_tools, "scope_ids", fail)
    ops.cache.clear()
    board.metrics = ["response_time"]
    board.wait.sync()

    assert "is away" in board.problem
    assert "is away" in seen(board)
    assert "of before" in seen(board)
    assert before == board._picture.value
    assert "ciops-old" in board._picture._dom_classes
    assert "is away" in repr(board)


def test_while_it_is_asked_the_old_picture_is_marked(board: MetricBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    from ciops_nb.views.widgets import board as module

    go, marked = threading.Event(), []
    drawn = module.drawn

    def slowly(seen: Any) -> Any:
        assert go.wait(SOON)
        return drawn(seen)

    monkeypatch.setattr(module, "drawn", slowly)
    before = board._picture.value
    board.metrics = ["response_time"]
    marked = [
        before == board._picture.value,
        "ciops-old" in board._picture._dom_classes,
        "Being renewed" in seen(board),
    ]
    go.set()
    board.wait.sync()

    assert [True] * 3 == marked
    assert "ciops-old" not in board._picture._dom_classes
    assert before != board._picture.value


def test_a_ci_is_found_added_and_left_out(board: MetricBoard) -> None:
    board._search.value = "srv-erp-0"
    board.wait.sync()
    assert all(button.description.startswith("+ srv-erp-0") for button in board._hits.children)

    click(board, "srv-erp-02")
    assert (["app-erp-01", "srv-erp-02"], "", ()) == (board.cis, board._search.value, board._hits.children)
    click(board, "app-erp-01 ✕")
    assert ["srv-erp-02"] == board.cis
    board._search.value = "no such thing at all"
    board.wait.sync()
    assert "No CI is found by these words." in seen(board)


def test_one_click_adds_what_it_needs_or_hurts(board: MetricBoard, ops: ciops.Ops) -> None:
    click(board, "what they need")
    needs = set(ops.graph_expand.sync("app-erp-01", view="dependency", depth=1))
    assert {"app-erp-01"} < needs == set(board.cis)
    assert f"{len(needs) - 1} CIs that they need were added." in seen(board)

    board.cis = ["srv-erp-02"]
    board.wait.sync()
    click(board, "what they hurt")
    assert set(ops.graph_expand.sync("srv-erp-02", view="impact", depth=1)) == set(board.cis)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("time_range", "soon", "is not a time range"),
        ("every", "a bit", "a bit"),
        ("agg", "middle", "is not an aggregate"),
        ("kinds", ["rumour"], "rumour"),
        ("min_severity", 9, "is not a severity"),
    ],
)
def test_what_cannot_be_meant_is_said(board: MetricBoard, name: str, value: Any, said: str) -> None:
    board.every = "5m"
    setattr(board, name, value)
    board.wait.sync()

    assert said in seen(board) + board.problem
    assert "Traceback" not in seen(board)


def test_filters_of_history_are_fields_too(board: MetricBoard) -> None:
    board._kinds["event"].value = False
    board.wait.sync()
    assert {"incident"} == set(board.history["kind"])
    for box in board._kinds.values():
        box.value = False
    board.wait.sync()
    assert None is board.history
    assert "history" not in board.code
    assert "" == board.problem


def test_threads_may_change_it_together(board: MetricBoard, ops: ciops.Ops) -> None:
    def change(seed: int) -> None:
        draw = Random(seed)
        for _ in range(6):
            board.every = draw.choice(["5m", "1h", ""])
            board.metrics = [draw.choice(["response_time", "error_rate"])]

    threads = [threading.Thread(target=change, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    board.wait.sync()

    assert "" == board.problem
    assert tuple(board.metrics) == board._names.value
    asked = ops.metric_series_table.sync(board.metrics, "app-erp-01", time_range=MORNING, every=board.every or None)
    assert same(asked, board.series)


def test_without_a_ci_it_says_what_to_do(ops: ciops.Ops) -> None:
    board = MetricBoard(ops)
    board.wait.sync()

    assert "Choose a CI" in board._picture.value
    assert board._needs.disabled
    assert "MetricBoard on demo\nNo CI is chosen yet." == repr(board)
    assert "" == board.code
    board.close()


def test_the_twin_is_the_same_each_time(board: MetricBoard, ops: ciops.Ops) -> None:
    other = MetricBoard(ops, ["app-erp-01"], time_range=MORNING)
    other.wait.sync()

    one, two = board.twin(), other.twin()
    assert one == two
    assert one.svg is not None
    ET.fromstring(one.svg)
    assert (
        "MetricBoard on demo\nerror_rate, response_time, raw points\nof app-erp-01\n"
        "in 2026-03-02T06:00:00Z/2026-03-02T16:00:00Z\nPoints: 120, complete.\nRecords of history: 2, complete."
    ) == one.text
    other.close()


def test_closing_ends_its_work(ops: ciops.Ops) -> None:
    board = MetricBoard(ops, "app-erp-01")
    board.close()
    board.wait.sync()
    board.cis = ["db-erp-01"]

    assert None is board.series


def test_hostile_names_are_text(tmp_path: Path) -> None:
    codes = [code for code in [*HOSTILE, '" onload="alert(1)', "</style><b>"] if code]
    name = "<i>m</i>\u202e"
    rows: Rows = {
        "ci": [{"tenant_id": "a", "ci_id": f"i{n}", "ci_code": code, "ci_name": "<b>", "valid_from": hours(-9)} for n, code in enumerate(codes)],
        "metric_def": [{"tenant_id": "a", "metric": name, "kind": "gauge", "unit": "<u>"}],
        "metric": [
            {"tenant_id": "a", "ci_id": f"i{n}", "metric": name, "series": "<s>", "ts": hours(at / 60), "value": float(at % 7)}
            for n in range(len(codes)) for at in range(60)
        ],
        "event": [{"tenant_id": "a", "event_id": "e", "ci_id": "i1", "ts": hours(0.5), "severity": 5, "type": "<em>", "title": "<script>\u202e", "properties": "{}"}],
    }  # fmt: skip
    with ciops.connect(write_world(tmp_path / "e", rows), now=hours(1)) as session:
        board = MetricBoard(session, codes, time_range="all")
        board.wait.sync()
        board._search.value = "onload"
        board.wait.sync()

        shown = "".join(place.value for place in (board._picture, board._notes, board._code, board._found))
        twin = board.twin()
        assert "" == board.problem
        assert "\u202e" not in shown + twin.text + (twin.svg or "")
        tags = set(re.findall(r"<\s*([a-zA-Z]+)", shown + (twin.svg or "")))
        assert {"script", "i", "u", "s", "b", "em"}.isdisjoint(tags)
        told: dict[str, Any] = {"ops": session}
        exec(board.code, told)
        assert same(board.series, told["points"])
        board.close()
