"""What is shown in a notebook: the line under answers, and all else as without the extension."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import networkx as nx
import pandas as pd
import polars as pl
import pytest

import ciops_nb as ciops
from ciops_nb import answers, extension
from ciops_nb.extension import answered
from ciops_nb.session import Ops
from tests.worlds import write_world

LINE = "ci_search · 3 of 48 rows, truncated: 45 rows left out by limit=3 · polars · data "


@pytest.fixture(params=["pandas", "polars"])
def ops(request: pytest.FixtureRequest, demo: Path) -> Iterator[Ops]:
    with ciops.connect(demo, frames=request.param) as session:
        yield session


@pytest.fixture
def pandas(demo: Path) -> Iterator[Ops]:
    with ciops.connect(demo) as session:
        yield session


def shown(shell: Any, value: Any, **how: Any) -> dict[str, str]:
    return cast("dict[str, str]", shell.display_formatter.format(value, **how)[0])


def last(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]


def line(shell: Any, value: Any) -> str:
    """The line under *value* in plain text, which HTML has too; empty if there is none."""
    data = shown(shell, value)
    plain, html = last(data["text/plain"]), last(data["text/html"])
    assert ("ciops_nb.provenance()" in html) == ("· data " in plain)
    return plain if "· data " in plain else ""


def test_an_answer_carries_the_line_below_what_its_library_shows(plain: Any, shell: Any, ops: Ops) -> None:
    found = ops.ci_search.sync("db", limit=3)
    extension.unload_ipython_extension(plain)
    before = shown(shell, found)
    with pytest.warns(RuntimeWarning):
        extension.load_ipython_extension(plain)
    found = ops.ci_search.sync("db", limit=3)
    after = shown(shell, found)

    assert line(shell, found).startswith(f"▲ {LINE}")
    assert list(before) == list(after)
    for kind in before:
        assert after[kind].startswith(before[kind].rstrip() + "\n")
        assert 1 == after[kind].removeprefix(before[kind].rstrip()).count("\n")


def test_what_is_no_answer_is_shown_as_ever(plain: Any, shell: Any) -> None:
    values = [
        pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), nx.DiGraph([(1, 2)]), pd.Series([1]), "text", 7, None,
        pd.DataFrame(), [pd.DataFrame({"a": [1]})],
    ]  # fmt: skip
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["ciops"] = {"tool": "mine"}  # no record of ours
    other = nx.DiGraph(ciops="mine")
    with_it = [shown(shell, value) for value in (*values, frame, other)]
    extension.unload_ipython_extension(plain)

    assert [shown(shell, value) for value in (*values, frame, other)] == with_it


def test_what_is_made_of_an_answer_does_not_pass_for_it(shell: Any, pandas: Ops) -> None:
    found = pandas.ci_search.sync("db", limit=3)
    wider, edited = pandas.ci_search.sync("db", limit=3), pandas.ci_search.sync("db", limit=3)
    wider["more"] = 1
    edited.loc[1, "owner"] = "me"
    made = {
        "fewer": found.head(2),
        "other columns": found[["ci_code", "owner"]],
        "other order": found.sort_values("ci_code", ascending=False),
        "other names": found.rename(columns={"owner": "who"}),
        "other values": found.assign(score=0.0),
        "wider": wider,
        "edited": edited,
    }

    changed = f"▲ changed since it came from ci_search · the answer had {LINE.removeprefix('ci_search · ')}"
    assert dict.fromkeys(made, True) == {what: line(shell, one).startswith(changed) for what, one in made.items()}
    assert [f"▲ {LINE}"] * 2 == [line(shell, one)[: len(LINE) + 2] for one in (found, found.copy())]


def test_a_polars_frame_that_was_made_of_an_answer_carries_no_line(shell: Any, demo: Path) -> None:
    with ciops.connect(demo, frames="polars") as ops:
        found = ops.ci_search.sync("db", limit=3)
        assert line(shell, found).startswith(f"▲ {LINE}")
        assert ["", ""] == [line(shell, one) for one in (found.head(2), found.clone())]
        found[0, "owner"] = "me"
        assert line(shell, found).startswith("▲ changed since it came from ci_search")
        assert line(shell, ops.ci_get_by_code.sync("app-erp-01")).startswith("ci_get_by_code · 1 row, complete")


def test_of_what_came_before_the_extension_it_is_not_known_whether_it_was_changed(
    plain: Any, shell: Any, pandas: Ops
) -> None:
    extension.unload_ipython_extension(plain)
    found = pandas.ci_search.sync("db", limit=3)
    with pytest.warns(RuntimeWarning):
        extension.load_ipython_extension(plain)

    assert line(shell, found).startswith("▲ from ci_search, and perhaps changed since · the answer had 3 of 48 rows")
    assert line(shell, found.head(2)).startswith("▲ changed since it came from ci_search")


def test_large_answers_are_not_held(shell: Any, pandas: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answered, "_MOST_CELLS", 30)
    found = pandas.ci_search.sync("db", limit=3)

    assert line(shell, found).startswith(f"▲ {LINE}")
    assert line(shell, found.copy()).startswith("▲ from ci_search, and perhaps changed since")
    assert line(shell, found[["owner"]]).startswith("▲ changed since it came from ci_search")


def test_no_more_is_held_than_was_said(monkeypatch: pytest.MonkeyPatch, pandas: Ops) -> None:
    monkeypatch.setattr(answered, "_ALL_CELLS", 100)
    monkeypatch.setattr(answered, "_MOST", 5)
    held = answered.Answered()
    for number in range(9):
        found = pandas.ci_search.sync("db", limit=3, offset=number)
        held.note(found, answers.provenance(found))

    assert (5, 2) == (len(held._kept), sum(memory.copy is not None for memory in held._kept.values()))
    assert 72 == held._cells


def test_an_answer_that_is_told_of_twice_is_held_once(pandas: Ops) -> None:
    held, found = answered.Answered(), pandas.ci_search.sync("db", limit=3)
    for _ in range(3):
        held.note(found, answers.provenance(found))

    assert (1, 36) == (len(held._kept), held._cells)


def test_a_graph_is_shown_in_words_with_the_line_below(shell: Any, pandas: Ops) -> None:
    found = pandas.graph_expand.sync("app-erp-01", view="dependency")
    data = shown(shell, found)
    words = "MultiDiGraph: 10 nodes, 9 edges · view dependency · depth 2 · upstream · from app-erp-01 · 3 nodes with"

    assert data["text/plain"].startswith(words)
    assert data["text/html"].startswith(f"<div>{words}")
    assert line(shell, found).startswith("graph_expand · 10 nodes, complete · polars · data ")
    assert " at 0x" not in data["text/plain"]
    assert line(shell, found.copy()).startswith("graph_expand")
    for other in (
        found.subgraph(list(found)[:3]),
        found.reverse(),
        found.edge_subgraph(list(found.edges(keys=True))[:8]),
    ):
        assert line(shell, other).startswith("changed since it came from graph_expand · the answer had 10 nodes")
        assert "view" not in shown(shell, other)["text/plain"]


def test_the_formatters_of_others_are_asked_before_and_after_ours(shell: Any, pandas: Ops) -> None:
    formatters = shell.display_formatter.formatters
    found, graph = pandas.ci_search.sync("db", limit=3), pandas.graph_expand.sync("app-erp-01")
    before = dict(formatters["text/html"].type_printers)
    try:
        formatters["text/html"].for_type(pd.DataFrame, lambda frame: f"<i>{len(frame)}</i>")
        formatters["text/html"].for_type(nx.MultiDiGraph, lambda graph: "<i>graph</i>")
        formatters["text/plain"].for_type(nx.MultiDiGraph, lambda graph, p, cycle: p.text("mine"))

        assert shown(shell, found)["text/html"].startswith("<i>3</i>\n<div title=")
        assert shown(shell, graph)["text/html"].startswith("<i>graph</i>\n<div title=")
        assert shown(shell, graph)["text/plain"].startswith("mine\ngraph_expand · ")
        assert "<i>1</i>" == shown(shell, pd.DataFrame({"a": [1]}))["text/html"]
    finally:
        formatters["text/html"].type_printers = before
        formatters["text/plain"].type_printers.pop(nx.MultiDiGraph)


def test_only_what_was_asked_for_is_shown(shell: Any, pandas: Ops) -> None:
    graph, frame = pandas.graph_expand.sync("app-erp-01"), pandas.ci_search.sync("db", limit=3)

    assert [["text/plain"]] * 2 == [list(shown(shell, one, include=["text/plain"])) for one in (graph, frame)]
    assert [["text/plain"]] * 2 == [list(shown(shell, one, exclude=["text/html"])) for one in (graph, frame)]
    with pd.option_context("display.notebook_repr_html", False):
        assert ["text/plain"] == list(shown(shell, frame))  # a line alone would stand for the table


def test_what_shows_itself_has_the_line_by_itself(shell: Any, pandas: Ops) -> None:
    class Loud(pd.DataFrame):
        def _ipython_display_(self) -> None:
            print("loud")

    found = pandas.ci_search.sync("db", limit=3)
    loud = Loud(found)
    loud.attrs = found.attrs

    assert LINE in shown(shell, loud)["text/plain"]


def test_durations_are_an_option_of_ipythons(shell: Any, pandas: Ops) -> None:
    found = pandas.ci_search.sync("db", limit=3)
    assert " ms" not in line(shell, found)
    shell.run_line_magic("config", "CiopsLine.times = True")
    assert line(shell, found).endswith(" ms")
    shell.run_line_magic("config", "CiopsLine.shown = False")
    assert "" == line(shell, found)
    del shell.config["CiopsLine"]


def test_the_same_notebook_shows_the_same(shell: Any, ops: Ops) -> None:
    def notebook() -> list[dict[str, str]]:
        return [
            shown(shell, one)
            for one in (
                ops.ci_search.sync("db", limit=3),
                ops.ci_search.sync("db", limit=3),
                ops.graph_expand.sync("app-erp-01"),
            )
        ]

    first = notebook()
    assert first == notebook()  # from the cache
    ops.cache.clear()
    assert first == notebook()


def test_an_error_of_ours_leaves_what_is_shown(shell: Any, pandas: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    found = pandas.ci_search.sync("db", limit=3)
    monkeypatch.setattr(answered.Answered, "compare", lambda *_: 1 / 0)

    assert "" == line(shell, found)


def test_hostile_names_are_text(shell: Any, tmp_path: Path) -> None:
    code = "<script>alert(1)</script>\u202e"
    source = write_world(tmp_path, {"ci": [{"tenant_id": "<b>", "ci_id": "1", "ci_code": code}]})
    with ciops.connect(source) as ops:
        data = shown(shell, ops.graph_expand.sync(code))

    assert "<script" not in data["text/html"]
    assert "<b>" not in data["text/html"].partition("<b>1 node")[0]
    assert "alert(1)" in data["text/html"]
    assert "\u202e" not in data["text/html"] + data["text/plain"]


def test_unloading_restores_all_of_it(plain: Any) -> None:
    def state() -> tuple[Any, ...]:
        formatter = plain.display_formatter
        return (
            dict(formatter.__dict__).get("format"), list(plain.Completer.custom_matchers), list(plain.configurables),
            [dict(one.type_printers) for one in formatter.formatters.values()], answers._hook,
        )  # fmt: skip

    before = state()
    for _ in range(2):  # twice is once
        with pytest.warns(RuntimeWarning):
            extension.load_ipython_extension(plain)
    assert 1 == len(plain.Completer.custom_matchers) - len(before[1])
    assert before != state()
    extension.unload_ipython_extension(plain)
    assert before == state()
    extension.unload_ipython_extension(plain)
    assert before == state()


def test_who_wrapped_the_formatter_after_us_keeps_it(plain: Any, shell: Any, pandas: Ops) -> None:
    ours = plain.display_formatter.format
    theirs = lambda obj, include=None, exclude=None: ours(obj, include=include, exclude=exclude)  # noqa: E731
    plain.display_formatter.format = theirs
    try:
        found = pandas.ci_search.sync("db", limit=3)
        assert line(shell, found)
        extension.unload_ipython_extension(plain)
        assert plain.display_formatter.format is theirs
        assert "" == line(shell, found)
    finally:
        del plain.display_formatter.format


def test_loading_it_loads_no_library_of_frames() -> None:
    code = (
        "import sys; from ciops_nb import load_ipython_extension;"
        "print([name for name in ('pandas', 'polars', 'networkx', 'matplotlib', 'ipywidgets') if name in sys.modules])"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == asked.stdout.strip()
