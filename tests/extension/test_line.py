"""The words of the line: plain and exact about what is missing."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import networkx as nx
import pytest

from ciops_nb.extension.line import graph_words, line_of

HOSTILE = "<script>alert('1')</script>\u202e\" & \n"


def record(**other: Any) -> dict[str, Any]:
    whole = {"status": "complete", "returned": 3, "total": 3, "left_out": [], "warnings": []}
    return {
        "tool": "ci_search", "params": {"as_of": "2026-03-02T10:00:00Z"}, "tenant": "demo", "engine": "polars",
        "data_version": "3f2a91c0d4e5f607", "as_of": "2026-03-02T10:00:00Z", "started_at": "2026-11-24T10:00:00Z",
        "duration_ms": 12.3, "cached": False, "cache_age_s": None, "fallback": None, "completeness": whole,
        "warnings": [], **other,
    }  # fmt: skip


def cut(status: str, returned: int, total: int | None, *left_out: tuple[int, str, str]) -> dict[str, Any]:
    parts = [{"count": count, "what": what, "why": why} for count, what, why in left_out]
    return {"status": status, "returned": returned, "total": total, "left_out": parts, "warnings": []}


END = " · polars · data 3f2a91c0… · as of 2026-03-02T10:00Z"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, "ci_search · 3 rows, complete" + END),
        ({"completeness": cut("complete", 1, 1)}, "ci_search · 1 row, complete" + END),
        ({"completeness": cut("complete", 0, 0)}, "ci_search · 0 rows, complete" + END),
        (
            {"completeness": cut("truncated", 50, 1212, (1162, "rows", "limit=50"))},
            "▲ ci_search · 50 of 1,212 rows, truncated: 1,162 rows left out by limit=50" + END,
        ),
        (
            {"completeness": cut("truncated", 5, 9, (1, "rows", "offset=1"), (3, "rows", "limit=5"))},
            "▲ ci_search · 5 of 9 rows, truncated: 1 row left out by offset=1, 3 rows left out by limit=5" + END,
        ),
        ({"completeness": cut("partial", 5, None)}, "▲ ci_search · 5 rows of an unknown number, partial" + END),
        ({"completeness": cut("stale", 5, 5)}, "▲ ci_search · 5 rows, stale" + END),
        (
            {"completeness": cut("fallback", 5, 5), "fallback": {"source": "snapshot", "reason": "away"}},
            "▲ ci_search · 5 rows, fallback · from snapshot (away)" + END,
        ),
        ({"warnings": ["no table"]}, "▲ ci_search · 3 rows, complete · warning: no table" + END),
        ({"warnings": ["a", "b"]}, "▲ ci_search · 3 rows, complete · warning: a · and 1 more warning" + END),
        ({"warnings": ["a", "b", "c"]}, "▲ ci_search · 3 rows, complete · warning: a · and 2 more warnings" + END),
        ({"data_version": None}, "ci_search · 3 rows, complete" + END.replace("3f2a91c0…", "of an unknown version")),
        ({"data_version": "7"}, "ci_search · 3 rows, complete" + END.replace("3f2a91c0…", "7")),
    ],
)  # fmt: skip
def test_the_line_says_what_is_there_and_what_is_not(told: dict[str, Any], expected: str) -> None:
    assert expected == line_of(record(**told), what="rows").plain()


def test_what_was_changed_is_not_described() -> None:
    changed = line_of(record(), what="rows", same="changed").plain()
    unknown = line_of(record(), what="rows", same="unknown").plain()

    assert "changed since it came from ci_search · the answer had 3 rows, complete" + END == changed
    assert "from ci_search, and perhaps changed since · the answer had 3 rows, complete" + END == unknown


def test_what_differs_with_each_run_is_told_only_where_it_is_asked_for() -> None:
    runs = [
        record(),
        record(cached=True, cache_age_s=4.2, duration_ms=0.1, started_at="2026-11-25T10:00:00Z", call_id="1"),
    ]

    assert 1 == len({line_of(one, what="rows").html() for one in runs})
    assert [END + " · fresh · 12 ms", END + " · cached, 4 s old · 0 ms"] == [
        line_of(one, what="rows", times=True).plain().removeprefix("ci_search · 3 rows, complete") for one in runs
    ]


def test_the_moment_that_was_now_is_not_told() -> None:
    live = record(as_of="2026-11-24T09:59:59Z")
    ranged = record(params={"time_range": "all"})

    expected = "ci_search · 3 rows, complete · polars · data 3f2a91c0…"
    assert [expected] * 2 == [line_of(one, what="rows").plain() for one in (live, ranged)]


@pytest.mark.parametrize("same", ["same", "changed"])
def test_html_is_one_element_of_text_without_colours(same: Any) -> None:
    told = record(
        tool=HOSTILE, engine=HOSTILE, tenant=HOSTILE, data_version=HOSTILE, warnings=[HOSTILE],
        fallback={"source": HOSTILE, "reason": HOSTILE},
        completeness=cut("fallback", 1, 2, (1, HOSTILE, HOSTILE)),
    )  # fmt: skip
    line = line_of(told, what="rows", same=same)
    made = ET.fromstring(line.html())

    assert line.plain() == "".join(made.itertext())
    assert {"div", "span", "b"} == {part.tag for part in made.iter()}
    assert "alert" in line.plain()
    assert not {"\u202e", "\n"} & set(line.html())
    assert not {"#", "rgb", "color", "class", "url("} & set(line.html().replace("'", " ").split())


def test_a_graph_is_told_in_words() -> None:
    graph = nx.MultiDiGraph(
        roots=["a", "b", "c", "d", "e", "f", "g"], view="impact", depth=3, direction="downstream",
        frontier=[{"ci_code": code, "count": 2, "why": why} for code, why in (("x", "depth"), ("y", "max_nodes"), ("z", "depth"))],
    )  # fmt: skip
    graph.add_edge("a", "b", key="USES")

    assert (
        "2 nodes, 1 edge · view impact · depth 3 · downstream · from a, b, c, d, e and 2 more · 3 nodes with neighbours "
        "beyond (2 by depth, 1 by max_nodes)"
    ) == graph_words(graph)
    assert "2 nodes, 1 edge" == graph_words(graph, same="changed")
    assert "0 nodes, 0 edges · 0 paths · either · from a to b" == graph_words(
        nx.MultiDiGraph(roots=["a", "b"], paths=[], direction="either", view="path", depth=6, frontier=[])
    )
