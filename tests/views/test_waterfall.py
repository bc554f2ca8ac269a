"""Where the time went: the tree, the critical path, the ghosts, what is read, and what a person sees of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from ciops_nb import connect
from ciops_nb.errors import BadParameter
from ciops_nb.execution.trace import Span, Trace
from ciops_nb.recipes.bundle import load
from ciops_nb.recipes.run import Run
from ciops_nb.session import Ops
from ciops_nb.views.svg import text_columns, themed
from ciops_nb.views.waterfall import (
    Told,
    account,
    as_text,
    beside,
    critical_path,
    differs,
    from_chrome,
    from_frame,
    lasted,
    matched,
    most_at_once,
    read,
    ticks,
    waterfall,
    waterfall_svg,
)

DEMO = Path(__file__).parents[2] / "data" / "demo"
AT = "2026-03-02 10:00"
HOSTILE = "<script>alert('x')</script>\u202e & \"quotes\"\x07"
SVG = "{http://www.w3.org/2000/svg}"


def span(span_id: str, parent: str | None, start: float, end: float, name: str = "graph_expand", **known: Any) -> Span:
    """A span from *start* to *end*, in milliseconds."""
    told: dict[str, Any] = {
        "kind": "tool", "rows": None, "bytes": None, "cached": False, "retries": 0, "source": None, "status": "ok",
        "error": None, "call_id": None, "thread": 1, **known,
    }  # fmt: skip
    return Span(span_id, parent, name=name, start_ns=round(start * 1e6), duration_ns=round((end - start) * 1e6), **told)


def forest(dice: random.Random, size: int) -> list[Span]:
    """Any spans: some outlive their parent, some take no time, some end at the same moment."""
    spans: list[Span] = []
    for number in range(size):
        parent = dice.choice([None, *(s.span_id for s in spans)]) if number else None
        start = dice.randrange(20)
        spans.append(span(f"{number:03x}", parent, start, start + dice.choice([0, 1, 2, 5, dice.randrange(20)])))
    dice.shuffle(spans)
    return spans


@pytest.fixture(scope="module")
def ops() -> Any:
    with connect(DEMO) as ops:
        yield ops


@pytest.fixture(scope="module")
def run(ops: Ops) -> Run:
    done: Run = ops.run.sync("triage", ci="sys-erp", at=AT)
    return done


# ── the critical path and what is parallel ──────────────────────────────────────────────────────────────────────────


def test_the_critical_path_goes_backwards_through_what_ended_last() -> None:
    spans = [
        span("run", None, 0, 100, kind="run"),
        span("first", "run", 0, 30),
        span("long", "run", 30, 80),
        span("query", "long", 31, 79, kind="query"),
        span("beside", "run", 30, 60),
        span("last", "run", 80, 99),
    ]

    assert {"run", "first", "long", "query", "last"} == critical_path(spans)


def test_nobody_waited_for_what_outlived_its_parent() -> None:
    spans = [span("run", None, 0, 100), span("waited", "run", 0, 90), span("left", "run", 50, 120)]

    assert {"run", "waited"} == critical_path(spans)


def naive_path(spans: list[Span], parent: str | None, until: int) -> set[str]:
    """By the words of the docstring, looking at all spans at each step."""
    found: set[str] = set()
    children = [s for s in spans if s.parent_id == parent]
    while True:
        ended = [s for s in children if s.start_ns + s.duration_ns <= until and s.span_id not in found]
        if not ended:
            break
        latest = max(s.start_ns + s.duration_ns for s in ended)
        last = min((s for s in ended if s.start_ns + s.duration_ns == latest), key=lambda s: (s.start_ns, s.span_id))
        found.add(last.span_id)
        until = last.start_ns
    inside = (naive_path(spans, s.span_id, s.start_ns + s.duration_ns) for s in children if s.span_id in found)
    return found.union(*inside)


@pytest.mark.parametrize("seed", range(150))
def test_the_critical_path_is_that_of_a_naive_search(seed: int) -> None:
    dice = random.Random(seed)
    spans = forest(dice, dice.randrange(1, 25))
    end = max(s.start_ns + s.duration_ns for s in spans if s.parent_id is None)

    assert naive_path(spans, None, end) == critical_path(spans)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_parallel_is_what_a_look_at_each_moment_finds(seed: int) -> None:
    spans = forest(random.Random(seed), 20)

    def during(one: Span, half: int) -> bool:
        return one.start_ns < half * 500_000 < one.start_ns + one.duration_ns

    halves = range(1, 100, 2)  # all spans begin and end at whole milliseconds
    assert max(sum(during(s, half) for s in spans) for half in halves) == most_at_once(spans)
    for one in spans:
        others = {s.span_id for s in spans if s.parent_id == one.parent_id and s is not one}
        if not one.duration_ns:
            continue
        together = {s.span_id for s in spans if any(during(s, half) and during(one, half) for half in halves)}
        assert together & others == {s.span_id for s in beside(spans, one) if s.duration_ns}


# ── the rows ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(40))
def test_every_span_has_one_row_below_its_parents(seed: int) -> None:
    spans = forest(random.Random(seed), 30)
    rows = waterfall(spans).rows

    below = defaultdict(list)
    for one in sorted(spans, key=lambda s: (s.start_ns, s.span_id)):
        below[one.parent_id].append(one.span_id)

    def walk(parent: str | None, level: int) -> list[tuple[str, int]]:
        return [item for one in below[parent] for item in [(one, level), *walk(one, level + 1)]]

    assert walk(None, 1) == [(row.span.span_id, row.level) for row in rows]
    assert {row.span.span_id: len(walk(row.span.span_id, 1)) for row in rows} == {
        row.span.span_id: row.inside for row in rows
    }


def test_spans_that_are_under_each_other_or_under_none_stand_at_the_top() -> None:
    shown = waterfall([span("a", "b", 0, 5), span("b", "a", 1, 4), span("c", "c", 2, 3), span("d", "gone", 3, 4)])

    assert [("a", 1), ("b", 2), ("c", 1), ("d", 1)] == [(row.span.span_id, row.level) for row in shown.rows]
    assert ("1 span at the top had a parent that is not here: it goes on, or was let go.",) == shown.notes


def test_a_chain_of_ten_thousand_is_no_recursion() -> None:
    chain = [span(f"{n:05}", f"{n - 1:05}" if n else None, n / 1e3, 50 - n / 1e3) for n in range(10_000)]
    shown = waterfall(chain)

    assert (10_000, True, 9_999) == (shown.rows[-1].level, shown.rows[-1].critical, shown.rows[0].inside)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, ()),
        ({"status": "complete", "cached": True}, ("cached",)),
        ({"status": "fallback", "source": "snapshot", "retries": 1}, ("fallback: snapshot", "1 retry")),
        ({"status": "truncated", "retries": 2}, ("truncated", "2 retries")),
        ({"status": "error", "error": "LookupError: gone"}, ("error: LookupError",)),
        ({"status": "error", "error": "<b>: gone"}, ("error",)),
        ({"status": "cancelled"}, ("cancelled",)),
        ({"status": "running"}, ("running",)),
        ({"status": "st\u202eale"}, ("st⟨U+202E⟩ale",)),
    ],
)
def test_what_is_not_as_usual_is_said_in_words(known: dict[str, Any], words: tuple[str, ...]) -> None:
    (row,) = waterfall([span("a", None, 0, 1, **known)]).rows

    assert words == tuple(word for _, word in row.marks)


def test_the_head_counts_calls_and_not_queries() -> None:
    shown = waterfall([
        span("run", None, 0, 100, kind="run"),
        span("a", "run", 0, 40, cached=True),
        span("b", "run", 0, 90, status="error", error="LookupError: gone"),
        span("q", "b", 0, 80, kind="query"),
        span("c", "run", 90, 100, status="running"),
    ])  # fmt: skip

    assert ("3 calls", "1 from the cache", "1 error", "1 running") == shown.counted
    assert ("100 ms so far", "2 calls on the critical path take 100 ms", "at most 2 at once") == shown.measured


# ── the previous run ────────────────────────────────────────────────────────────────────────────────────────────────


def test_ghosts_are_found_by_tool_parameters_and_order(ops: Ops, run: Run) -> None:
    other: Run = ops.run.sync("triage", ci="sys-erp", at=AT)
    now, before = read(run), read(other)
    found = matched(now, before)

    tools = [s for s in now.spans if s.kind == "tool"]
    assert {s.span_id for s in tools} <= found.keys()
    for one in tools:
        theirs, same = found[one.span_id]
        assert (one.name, now.params(one), True) == (theirs.name, before.params(theirs), same)


def test_equal_calls_are_matched_in_their_order_and_the_rest_by_name() -> None:
    now = Told((span("r", None, 0, 9, "triage"), span("a", "r", 1, 2), span("b", "r", 2, 3), span("c", "r", 3, 4, "x")))
    before = Told(
        (span("R", None, 0, 9, "triage"), span("A", "R", 1, 5), span("B", "R", 2, 3), span("D", "R", 3, 4, "gone"))
    )
    found = {ours: theirs.span_id for ours, (theirs, _) in matched(now, before).items()}
    shown = waterfall(now, before)

    assert {"r": "R", "a": "A", "b": "B"} == found
    assert ("Dashed outlines are the previous run.", "Only in the previous run: gone.") == shown.notes
    assert ["9 ms, as long", "1 ms, 3 ms shorter", "1 ms, as long", "1 ms"] == [row.time for row in shown.rows]


def test_other_parameters_at_the_same_place_are_said(ops: Ops, run: Run) -> None:
    other: Run = ops.run.sync("triage", ci="sys-erp", at="2026-03-02 09:00")
    shown = waterfall(run, other)

    assert any("other parameters" in note for note in shown.notes)
    row = next(row for row in shown.rows if row.ghost is not None and not row.ghost.same)
    assert "asked with other parameters" in dict(account(read(run), row.span.span_id, row))["previous run"]


def test_what_a_file_does_not_tell_is_not_called_different(ops: Ops, run: Run, tmp_path: Path) -> None:
    shown = waterfall(run, ops.trace.chrome(tmp_path / "trace.json"))

    assert not any("other parameters" in note for note in shown.notes)
    assert any(row.ghost is not None and row.ghost.same for row in shown.rows)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_a_frame_and_a_file_tell_the_same_tree(ops: Ops, run: Run, tmp_path: Path) -> None:
    frame, file = ops.trace.frame(root=run.spans[0].span_id), ops.trace.chrome(tmp_path / "trace.json")
    shown = waterfall(run)
    wanted = [(row.span.span_id, row.level, row.critical) for row in shown.rows]
    root = run.spans[0].span_id
    told = from_chrome(file)
    below = {root}
    for one in sorted(told.spans, key=lambda s: (s.start_ns, s.span_id)):
        if one.parent_id in below:
            below.add(one.span_id)

    assert wanted == [(row.span.span_id, row.level, row.critical) for row in waterfall(frame).rows]
    mine = replace(told, spans=tuple(s for s in told.spans if s.span_id in below))
    assert wanted == [(row.span.span_id, row.level, row.critical) for row in waterfall(mine).rows]
    polars = Trace(frames="polars")
    with polars.span("run", "empty"):
        pass
    assert 1 == len(from_frame(polars.frame()).spans)
    assert 0 == len(from_frame(Trace().frame()).spans)


def event(**changed: Any) -> dict[str, Any]:
    args = {"span_id": "1", "cached": False, "retries": 0, "status": "ok"}
    return {
        "ph": "X",
        "name": "a",
        "cat": "tool",
        "ts": 1.0,
        "dur": 2.0,
        "args": args | changed.pop("args", {}),
    } | changed


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "is no JSON"),
        (b"", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "no list traceEvents"),
        (b'{"traceEvents": 3}', "no list traceEvents"),
        (json.dumps({"traceEvents": [{"ph": "B"}]}).encode(), "event 0 is no complete event"),
        (json.dumps({"traceEvents": [event(dur=-1)]}).encode(), "event 0: dur is -1, not a time"),
        (json.dumps({"traceEvents": [event(ts=float("nan"))]}).encode(), "event 0: ts is nan"),
        (json.dumps({"traceEvents": [event(ts=10**400)]}).encode(), "event 0: ts is 1000"),
        (json.dumps({"traceEvents": [event(cat="magic")]}).encode(), "kind is 'magic', not one of run"),
        (json.dumps({"traceEvents": [event(name=None)]}).encode(), "name is None, not a text"),
        (json.dumps({"traceEvents": [event(args={"rows": -2})]}).encode(), "rows is -2, not a count"),
        (json.dumps({"traceEvents": [event(args={"cached": 1})]}).encode(), "cached is 1, not true or false"),
        (json.dumps({"traceEvents": [event(), event()]}).encode(), "two spans have the id '1'"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_in_words(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_bytes(content)

    with pytest.raises(BadParameter) as caught:
        read(path)
    assert words in str(caught.value)


@pytest.mark.parametrize("given", [3, None, ["a"], "nowhere.json", pl.DataFrame({"a": [1]})])
def test_what_has_no_spans_is_refused(given: Any) -> None:
    with pytest.raises(BadParameter, match=r"ops\.trace|Check the path"):
        read(given)


def test_a_frame_with_other_contents_is_refused(ops: Ops, run: Run) -> None:
    frame = ops.trace.frame(root=run.spans[0].span_id).assign(start_at="yesterday")

    with pytest.raises(BadParameter, match=r"cannot be read|not a time"):
        read(frame)


def test_a_saved_run_shows_its_calls_without_times(run: Run, tmp_path: Path) -> None:
    saved = load(run.save(tmp_path / "run.zip"))
    shown = waterfall(saved, run)

    assert [entry.call.tool for entry in saved.recorded] == [row.span.name for row in shown.rows[1:]]
    assert not shown.timed
    assert any("read from a file" in note for note in shown.notes)
    assert "Nothing is compared: no times are known of this run." in shown.notes
    assert " ms" not in as_text(shown, times=True)
    assert "read from a file" in as_text(shown, times=False)
    picture = ET.fromstring(waterfall_svg(saved))
    assert "read from a file" in " ".join(text.text or "" for text in picture.iter(f"{SVG}text"))
    details = dict(account(read(saved), "call 1"))
    assert saved.recorded[0].call.id == details["call id"]
    assert "time" not in details


# ── one span ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_account_of_a_call_has_its_parameters_and_provenance(run: Run) -> None:
    shown, told = waterfall(run), read(run)
    row = next(row for row in shown.rows if row.span.name == "metric_series_table")
    said = dict(account(told, row.span.span_id, row))

    assert ("metric_series_table", "11,826", "live") == (said["tool"], said["rows"], said["source"])
    assert "complete: 11,826 of 11,826" == said["completeness"]
    assert 'time_range: "2026-03-01T08:00:00Z/2026-03-02T11:00:00Z"' in said["parameters"].splitlines()
    assert {"provenance", "time", "of its own"} <= said.keys()


def test_the_account_of_an_error_is_whole_and_visible() -> None:
    error = "LookupError: first line\nsecond \u202eline " + "x" * 3_000
    said = dict(account(Told((span("a", None, 0, 1, status="error", error=error),)), "a"))

    assert error.replace("\u202e", "⟨U+202E⟩") == said["error"]
    assert [("", "There is no span b⟨U+0007⟩ in this trace.")] == account(Told(()), "b\x07")


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("nanos", "words"),
    [
        (0, "0 ms"), (420_000, "0.42 ms"), (1_840_000, "1.8 ms"), (99_400_000, "99 ms"), (148_400_000, "148 ms"),
        (999_400_000, "999 ms"), (999_600_000, "1.00 s"), (2_350_000_000, "2.35 s"), (59_940_000_000, "59.9 s"),
        (59_960_000_000, "1 min"), (200_000_000_000, "3 min 20 s"), (3_600_000_000_000, "1 h"),
        (5_430_000_000_000, "1 h 30 min"), (12, "0.000012 ms"),
    ],
)  # fmt: skip
def test_a_length_is_told_in_few_words(nanos: int, words: str) -> None:
    assert words == lasted(nanos)


def test_a_difference_is_told_in_words() -> None:
    assert "12 ms longer" == differs(112_000_000, 100_000_000)
    assert "300 ms shorter" == differs(1_000_000_000, 1_300_000_000)
    assert "as long" == differs(1_000_000_000, 1_000_000_100)


@pytest.mark.parametrize("total", [1, 7, 999, 1_234_567, 5 * 10**9, 2**62])
def test_ticks_are_round_and_few(total: int) -> None:
    found = ticks(total)

    assert 0 == found[0]
    assert found[-1] <= total
    assert len(found) <= 7
    assert {str(after - before).rstrip("0") for before, after in pairwise(found)} <= {"1", "2", "5"}


def test_the_text_of_a_run_has_no_times_and_is_in_the_order_of_the_tree(run: Run) -> None:
    assert [
        "Trace of triage, done: 7 calls, none from the cache, no errors",
        "  run triage: ok",
        "    tool ci_get_by_code: 1 row, complete",
        "    tool graph_expand: 49 rows, complete",
        "    tool graph_expand: 1 row, complete",
        "    tool graph_expand: 23 rows, complete",
        "    tool history_recent: 4 rows, complete",
        "    tool metric_list: 9 rows, complete",
        "    tool metric_series_table: 11,826 rows, complete",
    ] == as_text(waterfall(run), times=False).splitlines()


def test_a_text_that_is_cut_says_so() -> None:
    text = as_text(waterfall([span(f"{n:03}", None, n, n + 1) for n in range(500)]), times=True)

    assert "  … and 100 more spans" == text.splitlines()[-1]


# ── the picture ─────────────────────────────────────────────────────────────────────────────────────────────────────


def every_mark() -> list[Span]:
    return [
        span("run", None, 0, 1_000, HOSTILE, kind="run"),
        span("a", "run", 0, 100, cached=True),
        span("b", "run", 0, 200, status="truncated", retries=2),
        span("c", "run", 200, 500, status="fallback", source=HOSTILE),
        span("d", "run", 500, 700, status="error", error=f"LookupError: {HOSTILE}"),
        span("e", "run", 700, 900, status="cancelled"),
        span("f", "run", 900, 1_000, "a_tool_of_a_very_long_name_that_goes_on_and_on", status="running"),
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_says_all_in_words_and_escapes_them(theme: str) -> None:
    svg = waterfall_svg(every_mark(), [replace(s, duration_ns=s.duration_ns * 2) for s in every_mark()], theme)
    root = ET.fromstring(svg)
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]

    assert any(text.startswith("<script>") and "…" in text for text in texts)
    assert "&lt;script&gt;" in svg
    assert "<script" not in svg
    assert not {"\u202e", "\x07"} & set(svg)
    for word in ("cached", "truncated", "2 retries", "error: LookupError", "cancelled", "running", "critical"):
        assert word in texts
    assert any(text.startswith("fallback") for text in texts)
    assert len(svg) < 16_000


def boxes(svg: str) -> list[tuple[float, float, str]]:
    """Where each text begins, and about where it ends, by line."""
    found = []
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        if text.get("text-anchor") != "middle":
            found.append((float(text.get("y", 0)), float(text.get("x", 0)), text.text or ""))
    return sorted(found)


def test_no_words_run_into_others_or_out_of_the_picture() -> None:
    svg = waterfall_svg(every_mark(), [replace(s, duration_ns=s.duration_ns * 2) for s in every_mark()])
    placed = boxes(svg)

    for (y, x, text), (other_y, other_x, _) in pairwise(placed):
        if y == other_y:
            assert x + text_columns(text) * 6 <= other_x + 1, text
    assert max(x + text_columns(text) * 6 for _, x, text in placed) <= 860


@pytest.mark.parametrize(("start", "near"), [(800, True), (200, False)])
def test_the_words_stand_by_their_bar_unless_the_ghost_is_in_the_way(start: int, near: bool) -> None:
    whole = span("run", None, 0, 1_000, "triage", kind="run")
    svg = waterfall_svg([whole, span("a", "run", 0, 100)], [whole, span("a", "run", start, start + 150)])
    (x,) = (x for _, x, text in boxes(svg) if text == "100 ms, 50 ms shorter")

    assert near == (x < 330)


def test_a_large_trace_is_pictured_by_what_matters_and_says_what_is_left_out() -> None:
    spans = [span("run", None, 0, 1_000, "triage", kind="run")]
    spans += [span(f"{n:03}", "run", n, n + 1, status="error" if n == 399 else "ok") for n in range(400)]
    svg = waterfall_svg(spans)

    assert "341 more spans are not drawn." in svg
    assert "error" in svg
    assert len(svg) < 40_000


def test_of_a_large_trace_calls_are_drawn_before_queries() -> None:
    spans = [span("run", None, 0, 1_000, "triage", kind="run")]
    for n in range(50):
        spans.append(span(f"{n:03}", "run", 20 * n, 20 * n + 10, f"tool_{n}"))
        spans.append(span(f"q{n:03}", f"{n:03}", 20 * n, 20 * n + 10, "query", kind="query"))
    texts = [text for _, _, text in boxes(waterfall_svg(spans))]

    assert 50 == sum(text.startswith("tool_") for text in texts)
    assert 9 == texts.count("query")
    assert "41 more spans are not drawn." in texts
    assert 41 == sum(text.endswith("(+1)") for text in texts)


def test_a_picture_takes_the_colours_of_a_page_that_has_both_themes() -> None:
    svg = themed(waterfall_svg(every_mark(), every_mark()))

    assert "var(--vermillion)" in svg
    assert '="#' not in svg


def test_the_picture_of_nothing_has_words() -> None:
    assert "0 calls" in waterfall_svg([])


def test_a_theme_that_is_none_is_refused() -> None:
    with pytest.raises(BadParameter, match="light or dark"):
        waterfall_svg([], theme="pink")


def test_the_bytes_do_not_hang_on_the_hash_seed(ops: Ops, run: Run, tmp_path: Path) -> None:
    file = ops.trace.chrome(tmp_path / "trace.json")
    code = (
        f"from ciops_nb.views.waterfall import *; print(waterfall_svg({str(file)!r}));"
        f"print(as_text(waterfall({str(file)!r}), times=True))"
    )
    root = str(DEMO.parents[1])
    found = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": root, "HOME": str(tmp_path), "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip

    assert 1 == len(found)
    assert found == {f"{waterfall_svg(file)}\n{as_text(waterfall(file), times=True)}\n"}
