"""The explorer without a browser: traits are set and messages sent as its page would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import ciops_nb as ciops
from ciops_nb.errors import BadParameter, ItemNotFound
from ciops_nb.views import origins

from .. import sample

ROOT = Path(__file__).parents[3]
HOSTILE = "<script>alert(1)</script>\"'\u202e"


class Wire:
    """The page's end of the comm."""

    kernel = comm_id = "here"

    def __init__(self, widget: Any) -> None:
        self.widget, self.sent = widget, []
        widget.comm = self

    def send(self, data: Any = None, **_: Any) -> None:
        self.sent.append(json.loads(json.dumps(data)))

    def on_msg(self, _: Any) -> None: ...
    def close(self, *_: Any, **__: Any) -> None: ...

    def say(self, kind: str, **content: Any) -> None:
        self.widget._handle_msg(
            {"content": {"data": {"method": "custom", "content": {"kind": kind, **content}}}, "buffers": []}
        )

    def put(self, **state: Any) -> None:
        self.widget._handle_msg({"content": {"data": {"method": "update", "state": state}}, "buffers": []})

    def until(self, told: Any, seconds: float = 10.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := told()):
            assert time.monotonic() < deadline, f"not within {seconds:g} s; error: {self.widget.error!r}"
            time.sleep(0.002)
        return found

    def settled(self) -> Any:
        self.until(lambda: not self.widget.busy)
        return self.widget

    def customs(self, kind: str) -> list[dict[str, Any]]:
        return [m["content"] for m in self.sent if m["method"] == "custom" and m["content"]["kind"] == kind]


@pytest.fixture(scope="module")
def ops() -> Iterator[Any]:
    with ciops.connect(ROOT / "data/demo") as ops:
        yield ops


def codes(widget: Any) -> set[str]:
    return {row["code"] for _, row in widget.get_state(["_world"])["_world"]["nodes"]}


def world(widget: Any) -> dict[str, Any]:
    return widget.get_state(["_world"])["_world"]


def replayed(wire: Wire, first: dict[str, Any]) -> dict[str, dict[int, Any]]:
    """What a page knows that heard every change since *first*."""
    known = {name: dict(first[name]) for name in ("nodes", "edges")}
    for change in wire.customs("change"):
        for name, rows in known.items():
            for key in change.get(name, {}).get("drop", ()):
                del rows[key]
            rows.update((key, row) for key, row in change.get(name, {}).get("put", ()))
    return known


# --- a graph


def test_it_opens_on_the_nearest_and_tells_what_is_hidden() -> None:
    graph = sample.estate(120)
    graph.graph["roots"] = ["sys-000"]

    explorer = ciops.TopologyExplorer(graph, max_visible=20)

    told = world(explorer)
    assert (20, "120") == (told["told"]["shown"], told["told"]["total"])
    lengths = nx.single_source_shortest_path_length(graph.to_undirected(), "sys-000")
    assert set(sorted(lengths, key=lambda code: (lengths[code], code))[:20]) == codes(explorer)
    unseen = {row["code"]: row["hidden"] for _, row in told["nodes"] if "hidden" in row}
    neighbours = {code: {*graph.successors(code), *graph.predecessors(code)} for code in codes(explorer)}
    assert {c: len(n - codes(explorer)) for c, n in neighbours.items() if n - codes(explorer)} == unseen


def test_a_click_on_expand_shows_the_neighbours_and_sends_only_what_is_new() -> None:
    graph = sample.estate(120)
    explorer = ciops.TopologyExplorer(graph, "sys-000", max_visible=20)
    wire, before, first = Wire(explorer), codes(explorer), world(explorer)
    code = next(row["code"] for _, row in first["nodes"] if row.get("hidden") and "opened" not in row)

    wire.say("expand", codes=[code])
    wire.settled()

    expected = before | {*graph.successors(code), *graph.predecessors(code)}
    assert expected == codes(explorer)
    [change] = wire.customs("change")
    assert {row["code"] for _, row in change["nodes"]["put"]} >= expected - before
    assert len(change["nodes"]["put"]) < len(expected)
    stood = {row["code"]: (row["x"], row["y"]) for _, row in first["nodes"]}
    now = {row["code"]: (row["x"], row["y"]) for _, row in world(explorer)["nodes"]}
    assert stood == {one: now[one] for one in stood}
    known = replayed(wire, first)
    assert [known[name] for name in known] == [dict(world(explorer)[name]) for name in known]

    wire.say("collapse", codes=[code])
    wire.settled()

    assert before == codes(explorer)


def test_a_selection_reaches_observers_and_a_code_that_is_gone_is_let_go() -> None:
    explorer = ciops.TopologyExplorer(sample.three_nodes())
    wire, heard = Wire(explorer), []
    explorer.observe(lambda change: heard.append(change["new"]), "selected")

    wire.put(selected="db-erp", selection=["db-erp"])
    wire.put(selected="gone", selection=["gone", "db-erp"])

    assert ["db-erp", None] == heard
    assert ["db-erp"] == explorer.selection
    assert [{"selected": None, "selection": ["db-erp"]}] == [
        message["state"] for message in wire.sent if message["method"] == "update" and "selection" in message["state"]
    ]
    with pytest.raises(ItemNotFound, match="nobody"):
        explorer.selected = "nobody"
    wire.put(selected="sys-erp", selection=["db-erp", "sys-erp"])
    wire.say("collapse", codes=["app-erp-01"])
    wire.settled()
    assert (None, []) == (explorer.selected, explorer.selection)


def test_selecting_what_is_known_and_hidden_shows_it() -> None:
    explorer = ciops.TopologyExplorer(sample.estate(120), "sys-000", max_visible=5)
    wire = Wire(explorer)
    assert "web-003" not in codes(explorer)

    explorer.selected = "web-003"
    wire.settled()

    assert "web-003" in codes(explorer)
    assert "web-003" == explorer.selected


@pytest.mark.parametrize(("what", "marked"), [("upstream", {"db-erp": "1 hop"}), ("downstream", {"sys-erp": "1 hop"})])
def test_up_and_downstream_of_the_selected_are_marked_and_cleared(what: str, marked: dict[str, str]) -> None:
    explorer = ciops.TopologyExplorer(sample.three_nodes())
    wire = Wire(explorer)

    wire.say("mark", what=what, codes=["app-erp-01"])
    wire.settled()

    told = world(explorer)
    names = {key: row["code"] for key, row in told["nodes"]}
    assert {"app-erp-01": "", **marked} == {names[key]: word for key, _, word in told["marks"]["nodes"]}
    assert 1 == len(told["marks"]["edges"])
    wire.say("mark", what="")
    assert world(explorer)["marks"] is None


def test_a_way_between_two_is_shown_with_what_was_hidden_of_it() -> None:
    graph = sample.estate(120)
    explorer = ciops.TopologyExplorer(graph, "sys-000", max_visible=3)
    wire = Wire(explorer)

    wire.say("mark", what="path", codes=["sys-000", "sw-core-001"])
    wire.settled()

    shortest = nx.shortest_path_length(graph.to_undirected(), "sys-000", "sw-core-001")
    told = world(explorer)
    assert f"1 way from sys-000 to sw-core-001, the shortest of {shortest} hops" == told["marks"]["title"]
    assert shortest + 1 == len(told["marks"]["nodes"])
    assert shortest <= len(told["marks"]["edges"])


def test_what_cannot_be_done_is_told_in_words() -> None:
    explorer = ciops.TopologyExplorer(sample.three_nodes())
    wire = Wire(explorer)

    wire.say("expand", codes=["db-erp"])
    wire.until(lambda: explorer.error)
    assert "4 neighbours are not in this graph" in explorer.error
    wire.say("dismiss")
    assert "" == explorer.error
    wire.say("mark", what="sideways", codes=["db-erp"])
    assert "is no overlay" in explorer.error
    wire.put(as_of="2026-03-01T00:00Z")
    wire.until(lambda: "a graph is of one moment" in explorer.error)
    wire.settled()
    assert explorer.as_of is None
    assert 3 == len(codes(explorer))


def test_two_graphs_are_compared() -> None:
    before, after = sample.three_nodes(), sample.three_nodes()
    after.remove_node("sys-erp")
    after.nodes["db-erp"]["status"] = "degraded"
    sample.node(after, "mq-erp", "SW", "queue", 1)
    sample.edge(after, "app-erp-01", "mq-erp", "USES")

    explorer = ciops.TopologyExplorer(after, compare_to=before)

    told = {row["code"]: (row.get("diff"), row.get("changed")) for _, row in world(explorer)["nodes"]}
    assert {
        "app-erp-01": (None, None), "db-erp": ("changed", "status"), "mq-erp": ("added", None), "sys-erp": ("removed", None)
    } == told  # fmt: skip
    assert (
        "CIs: 1 added, 1 removed, 1 changed; relations: 1 added, 1 removed, 0 changed"
        == world(explorer)["told"]["compared"]
    )


def test_a_graph_of_paths_opens_with_them_marked(ops: Any) -> None:
    found = ops.graph_path.sync("app-erp-01", "srv-erp-02", k=2)

    explorer = ciops.TopologyExplorer(found)

    assert (
        f"2 ways from app-erp-01 to srv-erp-02, the shortest of {len(found.graph['paths'][0]) - 1} hop"
        in explorer.twin().text
    )


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: ciops.TopologyExplorer("demo"), BadParameter, "neither a graph nor a session"),
        (lambda: ciops.TopologyExplorer(sample.three_nodes(), "nobody"), ItemNotFound, "nobody"),
        (lambda: ciops.TopologyExplorer(sample.three_nodes(), max_visible=0), BadParameter, "max_visible"),
        (lambda: ciops.TopologyExplorer(sample.three_nodes(), max_visible=9999), BadParameter, "5,000 at most"),
        (lambda: ciops.TopologyExplorer(sample.three_nodes(), theme="pink"), BadParameter, "theme"),
        (lambda: ciops.TopologyExplorer(sample.three_nodes(), as_of="2026-01-01"), BadParameter, "one moment"),
        (lambda: ciops.TopologyExplorer(sample.three_nodes(), depth=2), BadParameter, "depth=2: a graph is as it was"),
        (lambda: ciops.TopologyExplorer(sample.three_nodes(), path=["db-erp"]), BadParameter, "pair of codes"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        make()


# --- a session


def test_a_session_is_asked_for_what_lies_beyond(ops: Any) -> None:
    explorer = ciops.TopologyExplorer(ops, "app-erp-01")
    wire, before = Wire(explorer), codes(explorer)

    wire.say("expand", codes=["sys-erp"])
    wire.settled()

    beyond = ops.graph_expand.sync("sys-erp", depth=1)
    assert before | {*beyond} == codes(explorer)
    whole = ops.graph_expand.sync(sorted(codes(explorer)), depth=0)
    told = world(explorer)
    assert whole.number_of_edges() == len(told["edges"])
    frontier = {entry["ci_code"]: entry["count"] for entry in whole.graph["frontier"]}
    assert frontier == {row["code"]: row["hidden"] for _, row in told["nodes"] if "hidden" in row}


def test_the_first_of_two_clicks_is_dropped_when_the_second_comes_before_its_answer(
    ops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = ciops.TopologyExplorer(ops, "app-erp-01")
    wire, first, gate = Wire(explorer), codes(explorer), threading.Event()
    asked = origins.SessionAsked.grown
    begun = threading.Event()

    async def slow(self: Any, scene: Any, code: str) -> Any:
        if code == "sys-erp":
            begun.set()
            await ciops.sync.in_thread(gate.wait, 10)
        return await asked(self, scene, code)

    monkeypatch.setattr(origins.SessionAsked, "grown", slow)
    wire.say("expand", codes=["sys-erp"])
    assert begun.wait(10)
    wire.say("expand", codes=["db-erp-01"])
    wire.settled()
    gate.set()
    ciops.sync.run(ciops.sync.in_thread(lambda: None))

    assert first | {*ops.graph_expand.sync("db-erp-01", depth=1)} == codes(explorer)
    assert "" == explorer.error


def test_marks_that_are_cleared_before_they_come_do_not_come(ops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = ciops.TopologyExplorer(ops, "app-erp-01")
    wire, gate, begun, told = Wire(explorer), threading.Event(), threading.Event(), []
    asked = origins.SessionAsked.marks

    async def slow(self: Any, scene: Any, what: str, code: str) -> Any:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await ciops.sync.in_thread(gate.wait, 10)
        return await asked(self, scene, what, code)

    monkeypatch.setattr(origins.SessionAsked, "marks", slow)
    explorer.observe(lambda change: told.append(change["new"]), "busy")
    wire.say("mark", what="upstream", codes=["app-erp-01"])
    assert begun.wait(10)
    wire.say("mark")
    gate.set()
    wire.settled()
    ciops.sync.run(ciops.sync.in_thread(lambda: None))

    assert (None, "", [True, False]) == (world(explorer)["marks"], explorer.error, told)


def test_impact_heeds_redundancy_as_the_recipe_does(ops: Any) -> None:
    explorer = ciops.TopologyExplorer(ops, "db-erp-01", view="neighbors")
    wire = Wire(explorer)
    wire.say("mark", what="impact", codes=["db-erp-01"])
    wire.settled()

    run = ops.run.sync("blast_radius", ci="db-erp-01", depth=10)

    frame = run.findings.sections[0].body
    hurt = int((frame["step"] > 0).sum())
    assert world(explorer)["marks"]["title"].startswith(f"{hurt} CIs hurt if db-erp-01 fails")


def test_another_moment_shows_the_graph_of_that_moment_and_what_changed_since(ops: Any) -> None:
    explorer = ciops.TopologyExplorer(ops, "app-erp-01", depth=2)
    wire = Wire(explorer)
    wire.say("moments")
    wire.settled()
    moments = wire.customs("moments")[0]["moments"]
    assert len(moments) > 10
    assert sorted(moment["at"] for moment in moments) == [moment["at"] for moment in moments]
    assert all(moment["text"].endswith(" UTC") for moment in moments)
    then = moments[len(moments) // 2]["at"]

    wire.put(as_of=then)
    wire.settled()

    old = ops.graph_expand.sync("app-erp-01", depth=2, as_of=then)
    new = ops.graph_expand.sync("app-erp-01", depth=2)
    assert {*old} == codes(explorer)
    wire.put(as_of=None, compare_to=then)
    wire.settled()
    told = {row["code"]: row.get("diff") for _, row in world(explorer)["nodes"]}
    assert {*old} | {*new} == told.keys()
    assert {*new} - {*old} == {code for code, word in told.items() if word == "added"}


def test_a_graph_it_is_compared_with_stays_when_the_moment_changes(ops: Any) -> None:
    before = ops.graph_expand.sync("app-erp-01", depth=1, as_of="2025-12-01T00:00Z")
    before.add_node("gone-01", ci_type="HW", status="retired")
    explorer = ciops.TopologyExplorer(ops, "app-erp-01", compare_to=before)
    wire = Wire(explorer)

    wire.put(as_of="2026-03-01T00:00:00Z")
    wire.settled()

    assert {"gone-01": "removed"} == {
        r["code"]: r["diff"] for _, r in world(explorer)["nodes"] if r.get("diff") == "removed"
    }


def test_a_moment_before_the_start_is_an_error_and_the_picture_stays(ops: Any) -> None:
    explorer = ciops.TopologyExplorer(ops, "app-erp-01")
    wire, before = Wire(explorer), codes(explorer)

    wire.put(as_of="1990-01-01T00:00Z")
    wire.until(lambda: explorer.error)
    wire.settled()

    assert "It exists at other times" in explorer.error
    assert (None, before) == (explorer.as_of, codes(explorer))


def test_details_come_with_the_selection(ops: Any) -> None:
    explorer = ciops.TopologyExplorer(ops, "db-erp-01")
    wire = Wire(explorer)

    wire.put(selected="db-erp-01")

    [told] = wire.until(lambda: wire.customs("details"))
    assert "db-erp-01" == told["code"]
    assert {"owner", "location", "tags.env", "attributes.version"} <= {name for name, _ in told["fields"]}


def test_an_answer_that_is_cut_says_so(ops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "_ASKED", 30)

    explorer = ciops.TopologyExplorer(ops, "app-erp-01", view="path", depth=4, max_visible=20)

    whole = len(ops.graph_expand.sync("app-erp-01", view="path", depth=4))
    text = explorer.twin().text
    assert f"20 of {whole} CIs shown" in text
    assert f"An answer of graph_expand is truncated, without {whole - 30} nodes (max_nodes=30)." in text


# --- twins


def test_the_twin_tells_exactly_what_is_shown() -> None:
    explorer = ciops.TopologyExplorer(sample.three_nodes())
    explorer.selected = "db-erp"

    assert (
        "TopologyExplorer of app-erp-01: view neighbors, as of now\n"
        "3 of 3 CIs shown, 2 relations\n"
        "by type: SW 2, SYSTEM 1\n"
        "hidden: neighbours of 1 CI: db-erp +4\n"
        "selected: db-erp"
    ) == explorer.twin().text


def test_a_large_twin_is_small_and_says_how_many_are_not_drawn() -> None:
    twin = ciops.TopologyExplorer(sample.estate(600), "sys-000", max_visible=600).twin()

    assert len(twin.svg.encode()) <= 60_000
    assert "Drawn are the nearest 100 of the 600 CIs on screen: 500 are not." in twin.svg


def test_names_of_others_are_text_in_the_twin() -> None:
    graph = sample.three_nodes()
    sample.node(graph, HOSTILE, "<b>", HOSTILE)
    sample.edge(graph, HOSTILE, "app-erp-01", "<i>")

    twin = ciops.TopologyExplorer(graph, HOSTILE).twin()

    assert "<script" not in twin.svg
    assert "⟨U+202E⟩" in twin.svg
    assert "\u202e" not in twin.svg + twin.text


TWINS = """
import sys
sys.path.insert(0, "tests")
import ciops_nb as ciops
from tests.views import sample
explorer = ciops.TopologyExplorer(sample.estate(200), "sys-000", max_visible=80)
explorer.expand("sys-000")
while explorer.busy: pass
twin = explorer.twin()
with ciops.connect("data/demo") as ops:
    other = ciops.TopologyExplorer(ops, "sys-erp", depth=2).twin()
sys.stdout.buffer.write("\\n".join([twin.text, twin.svg, other.text, other.svg, repr(explorer._whole())]).encode())
"""


def test_twins_and_rows_do_not_hang_on_the_hash_seed() -> None:
    made = [
        subprocess.run(
            [sys.executable, "-c", TWINS], cwd=ROOT, capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip

    assert made[0] == made[1]
    assert b"TopologyExplorer of sys-000" in made[0]


SHOWN_FIRST = """
import sys
import ciops_nb as ciops
from tests.views import sample
explorer = ciops.TopologyExplorer(sample.estate(200), "sys-000", highlight=["app-000"])
assert "<svg" in explorer._repr_mimebundle_()["image/svg+xml"]
print(sorted(name for name in sys.modules if name.split(".")[0] == "matplotlib"))
"""


def test_an_explorer_is_shown_without_matplotlib_which_takes_long_to_load() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOWN_FIRST], cwd=ROOT, capture_output=True, check=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert "[]\n" == done.stdout
