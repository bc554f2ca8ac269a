from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import networkx as nx
import pandas as pd
import polars as pl
import pytest
from matplotlib.figure import Figure

from ciops_nb.errors import BadParameter
from ciops_nb.recipes.findings import Findings, Picture, Section, Statement
from ciops_nb.views import report

from . import result_sample as results
from . import sample

HOSTILE = "<script>alert('x')</script>\"&\u202e</td></style>{{ 7*7 }}\x00"
SHOWN = "<script>alert('x')</script>\"&⟨U+202E⟩</td></style>{{ 7*7 }}⟨U+0000⟩"
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """A page as its tags and texts; refuses what is not closed in the order in which it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.raw: list[tuple[tuple[str, ...], str]] = []
        self.feed(text)
        self.close()
        assert [] == self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.raw.append((tuple(self.open), data))
        if data.strip():
            tag = self.open[-1] if self.open else ""
            self.texts.append((tag, data if tag == "style" else data.strip()))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def said(self, *within: str) -> list[str]:
        return [text for tag, text in self.texts if not within or tag in within]

    def inside(self, tag: str) -> str:
        """All that stands in elements of a kind and in what they hold, with single spaces."""
        return " ".join("".join(text for tags, text in self.raw if tag in tags).split())


@pytest.fixture(scope="module")
def text() -> str:
    return report.render(sample.triage())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def plain() -> sample.Run:
    """The run without its pictures, which take their time."""
    run = sample.triage()
    return dataclasses.replace(run, findings=dataclasses.replace(run.findings, sections=()))


def with_sections(*sections: Section) -> sample.Run:
    return sample.Run(Findings(Statement("A headline"), sections=sections), [])


# --- what is in it


def test_the_headline_is_the_one_top_heading_and_the_title(page):
    headline = sample.triage().findings.headline.text

    assert f"{headline} 1 3*" == page.inside("h1")
    assert headline == page.said("title")[0]


def test_parts_stand_in_reading_order(page):
    assert [
        "Not everything is in here: 1 of 3 answers is not complete", "What was found", "Next steps", "Ruled out",
        "What is not known", "What is around it", "What moved first", "What happened", "How it looked",
        "Where this comes from",
    ] == page.said("h2")  # fmt: skip


def test_evidence_leads_to_the_provenance_of_its_call(page):
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] for attributes in page.named("a")]

    assert all(link.startswith("#") and link[1:] in targets for link in links)
    assert {"#call-1", "#call-2", "#call-3"} <= set(links)
    assert "evidence: call 3, history_recent, truncated" in [a.get("aria-label") for a in page.named("a")]


def cited(*statuses: str) -> Page:
    """A page whose headline rests on as many calls, named out of order."""
    calls = [sample.call(f"c{n}", "metric_series_table", status=status) for n, status in enumerate(statuses)]
    ids = tuple(call["call_id"] for call in reversed(calls))
    return Page(report.render(sample.Run(Findings(Statement("A headline", ids)), calls)))


def test_calls_that_follow_each_other_are_cited_as_one_stretch():
    page = cited(*["complete"] * 16)

    assert "A headline 1–16" == page.inside("h1")
    assert [("#call-1", "evidence: calls 1 to 16, metric_series_table")] == [
        (a["href"], a["aria-label"]) for a in page.named("a") if "aria-label" in a
    ]


def test_a_stretch_with_an_incomplete_answer_carries_the_star():
    page = cited("complete", "truncated", "complete")

    assert "A headline 1–3*" == page.inside("h1")
    assert "evidence: calls 1 to 3, metric_series_table, 1 of them not complete" in [
        a.get("aria-label") for a in page.named("a")
    ]


def test_two_calls_are_cited_one_by_one_in_the_order_of_asking():
    assert "A headline 1 2" == cited("complete", "complete").inside("h1")


def told(*texts: str, sections: tuple[Section, ...] = ()) -> Page:
    return Page(
        report.render(sample.Run(Findings(Statement("A headline"), tuple(map(Statement, texts)), sections), []))
    )


def test_a_day_that_all_times_share_is_said_once():
    page = told("It moved (at 2026-03-02T09:50:00Z), then 2026-03-02T10:00:30Z.")

    assert page.inside("li").endswith("It moved (at 09:50 UTC), then 10:00:30 UTC.")
    assert "All times are UTC; where no day is said, it is 2026-03-02." in page.inside("p")
    assert {"2026-03-02T09:50:00Z", "2026-03-02T10:00:30Z"} <= {time["datetime"] for time in page.named("time")}


def test_times_of_several_days_keep_their_day():
    page = told("From 2026-03-01T23:50:00Z", "to 2026-03-02T00:05:00Z.")

    assert ["2026-03-01 23:50 UTC", "2026-03-02 00:05 UTC"] == page.said("time")
    assert "All times are UTC." in page.inside("p")


def test_a_code_is_not_torn_at_its_hyphens_and_stands_out():
    page = told("Look at db-erp, after change C-san.", sections=(Section("Around", sample.three_nodes()),))

    assert ["db-erp"] == page.said("b")
    assert ["whole"] == [b["class"] for b in page.named("b")]
    assert "C-san" in page.said("span")


def test_no_id_is_used_twice(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]

    assert len(ids) == len(set(ids))


def test_evidence_that_is_not_in_the_run_is_said_to_be_lost():
    run = sample.Run(Findings(Statement("A headline", ("c9",))), [])

    assert "call c9 is not in this run" in Page(report.render(run)).said("span")


def test_an_incomplete_answer_opens_the_report(page):
    said = " ".join(page.said("li"))

    assert ": truncated, 28 of 312; left out: 284 rows (limit=28)" in said


def test_a_complete_run_has_no_banner():
    run = plain()
    run.calls[2] = sample.call("c3", "history_recent")

    assert "banner" not in [attributes.get("class") for attributes in Page(report.render(run)).named("section")]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_run_that_did_not_finish_says_so(status):
    run = dataclasses.replace(plain(), status=status)

    assert f"This run is not finished: {status}" in Page(report.render(run)).said("h2")


def test_each_call_tells_its_parameters_and_source(page):
    said = page.said("dd")

    assert {"c1", "c2", "c3", "acme", "polars", "d3adbeef", '["app-erp-01", "db-erp"]', "2026-03-02T10:00:00Z"} <= set(
        said
    )


def test_warnings_and_fallbacks_are_told():
    run = plain()
    run.calls[0] |= {
        "warnings": ["two relations lead nowhere"],
        "fallback": {"source": "snapshot", "reason": "live is away"},
    }
    page = Page(report.render(run))

    assert "Warning: two relations lead nowhere" in page.said("li")
    assert "snapshot, because live is away" in page.said("dd")


# --- tables


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame])
def test_a_long_table_says_how_much_of_it_is_shown(make):
    page = Page(report.render(with_sections(Section("Many", make({"n": list(range(312))})))))

    assert "· 50 of 312 rows shown" in page.said("caption")
    assert [str(n) for n in range(50)] == page.said("td")


def test_a_short_table_is_shown_whole():
    page = Page(report.render(with_sections(Section("Few", pl.DataFrame({"n": [1]})))))

    assert "· 1 row, all shown" in page.said("caption")


def test_an_empty_table_says_so():
    page = Page(report.render(with_sections(Section("None", pl.DataFrame({"n": []})))))

    assert "· No rows." in page.said("caption")


@pytest.mark.parametrize("frames", ["polars", "pandas"])
def test_cells_are_told_alike_whatever_the_frame(frames):
    frame = pl.DataFrame(
        {
            "count": [3, None],
            "value": [0.1 + 0.2, float("nan")],
            "ts": [datetime(2026, 3, 2, 9, 41, tzinfo=UTC), datetime(2026, 3, 2, 9, 41, 0, 500_000, tzinfo=UTC)],
            "good": [True, False],
            "name": ["a", None],
        }
    )
    page = Page(report.render(with_sections(Section("Cells", frame if frames == "polars" else frame.to_pandas()))))

    assert [
        "3", "0.3", "2026-03-02 09:41:00", "yes", "a",
        "–", "–", "2026-03-02 09:41:00.5", "no", "–",
    ] == page.said("td")  # fmt: skip
    assert ["count", "value", "ts (UTC)", "good", "name"] == page.said("th")
    assert ["number", "number", "time", "words", "words"] == [th["class"] for th in page.named("th")]


def test_tags_and_lists_are_told_as_json():
    frame = pd.DataFrame({"tags": [{"b": 1, "a": ["x"]}]})

    assert ['{"a": ["x"], "b": 1}'] == Page(report.render(with_sections(Section("Tags", frame)))).said("td")


def test_a_graph_is_told_in_tables_too():
    graph = sample.three_nodes()
    page = Page(report.render(with_sections(Section("Around", graph, picture="topology"))))

    assert ["Configuration items", "Relations", "Items with neighbours that are not in the graph"] == page.said(
        "strong"
    )
    assert "DEPENDS_ON" in page.said("td")


def test_the_one_row_of_a_wide_table_is_told_as_a_list():
    row = {f"column_{n}": [n] for n in range(9)}
    page = Page(report.render(with_sections(Section("Wide", pl.DataFrame(row)))))

    assert [] == page.named("table")
    assert list(row) == [name for name in page.said("dt") if name.startswith("column_")]
    assert [str(n) for n in range(9)] == page.said("dd")[-9:]


def test_columns_that_hold_nothing_are_named_and_take_no_room():
    frame = pl.DataFrame({"a": [1, 2], "detail": ["", None], "b": [None, 3]})
    page = Page(report.render(with_sections(Section("Some", frame))))

    assert ["a", "b"] == page.said("th")
    assert "· 2 rows, all shown; nothing in detail" in page.said("caption")


def test_columns_of_a_table_that_is_not_shown_whole_all_stay():
    frame = pl.DataFrame({"a": list(range(60)), "detail": [""] * 59 + ["said late"]})

    assert ["a", "detail"] == Page(report.render(with_sections(Section("Some", frame)))).said("th")


def test_a_long_parameter_is_folded_not_cut():
    run = plain()
    codes = [f"srv-{n:03}" for n in range(40)]
    run.calls[1] = sample.call("c2", "metric_list", ci=codes)
    page = Page(report.render(run))

    assert ["40 values, srv-000 to srv-039"] == page.said("summary")
    assert json.dumps(codes) in page.said("details")


# --- pictures


@pytest.mark.parametrize(
    ("calls", "status", "why"),
    [
        ((), "complete", "There was nothing to ask, so no call was made for it."),
        (("c1",), "complete", "The answers that this rests on are complete: there are none."),
        (("c1",), "truncated", "An answer that this rests on is not complete, so there may be some."),
        (("c9",), "complete", "An answer that this rests on is not complete, so there may be some."),
    ],
)
def test_an_empty_picture_is_a_sentence_that_says_whether_to_rely_on_it(calls, status, why):
    section = Section("Moved", sample.movers().head(0), calls, picture="movers")
    run = sample.Run(
        Findings(Statement("A headline"), sections=(section,)), [sample.call("c1", "metric_list", status=status)]
    )
    page = Page(report.render(run))

    assert f"No metric moved. {why}" in page.said("p")
    assert [] == page.named("svg") + page.named("table")


def test_one_item_is_not_counted_as_several():
    graph = nx.MultiDiGraph(roots=["lone"])
    sample.node(graph, "lone", "SW", "application")
    page = Page(report.render(with_sections(Section("Around", graph, picture="topology"))))

    assert ["1 configuration item and no relations; the tables below list them."] == page.said("figcaption")


def test_every_picture_is_well_formed_and_named(text):
    pictures = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)]

    assert ["What is around it", "What moved first", "What happened", "How it looked"] == [
        svg[0].text for svg in pictures
    ]


def test_pictures_take_their_colours_from_the_theme_of_the_reader(text):
    inside = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    used = set(re.findall(r"var\(--([a-z-]+)\)", inside))
    light, dark = (set(re.findall(r"--([a-z-]+):", css)) for css in re.findall(r":root \{([^{}]*)\}", text)[:2])

    assert [] == re.findall(r"#[0-9a-f]{6}\b", inside)
    assert used <= light == dark


BODIES = {
    "topology": sample.three_nodes, "timeline": sample.history, "series": sample.series, "movers": sample.movers,
    "replay_timeline": sample.alerts, "sweep_map": sample.swept, "comparison": sample.compared,
    "ci_groups": results.ci_groups, "metric_groups": results.metric_groups, "paths": results.ways,
    "near_misses": results.explained, "injected": results.injected, "call_times": results.summary,
}  # fmt: skip


@pytest.mark.parametrize("picture", get_args(Picture))
def test_every_picture_is_drawn_in_the_colours_of_the_reader_and_told_in_words(picture):
    text = report.render(with_sections(Section("A section", BODIES[picture](), picture=picture)))
    (svg,) = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    (told,) = Page(text).said("figcaption")

    assert [] == re.findall(r"#[0-9a-f]{6}\b", svg)
    assert re.search(r"the tables? below lists? (them|items and relations)\.$", told)
    assert ("metric" in told) == (picture in ("movers", "series"))


def test_what_happened_is_drawn_over_the_series_without_being_asked():
    window = (sample.AT - timedelta(hours=12), sample.AT)
    timeline = Section("What happened", sample.history(), picture="timeline")
    series = Section("How it looked", sample.series(codes=("db-erp",)), picture="series", options={"window": window})
    filled = "Filled markers: of this item; hollow and pale: of others. Ticks at the foot: events below severity 4."

    def drawn(*sections: Section) -> list[list[str]]:
        found = re.findall(r"<svg.*?</svg>", report.render(with_sections(*sections)), flags=re.DOTALL)
        return [Page(svg).said("text") for svg in found]

    with_history, stretched = drawn(series, timeline)
    assert filled in with_history
    assert [filled not in texts for texts in drawn(series)] == [True]
    assert drawn(dataclasses.replace(timeline, options={"window": window})) == [stretched] != drawn(timeline)


def test_a_figure_of_ones_own_is_shown_on_paper():
    figure = Figure()
    figure.add_subplot().plot([1, 2, 3])
    page = Page(report.render(with_sections(Section("Mine", figure))))

    assert "scroll picture paper" in [div.get("class") for div in page.named("div")]


def test_a_picture_without_a_body_is_refused():
    with pytest.raises(BadParameter, match="no body to draw"):
        report.render(with_sections(Section("Gone", None, picture="timeline")))


def test_an_unknown_option_of_a_picture_is_refused():
    with pytest.raises(BadParameter, match=r"colour.*focus"):
        report.render(with_sections(Section("Around", sample.three_nodes(), picture="topology", options={"colour": 1})))


# --- safety


@pytest.fixture(scope="module")
def hostile() -> str:
    graph = nx.MultiDiGraph(roots=[HOSTILE], frontier=[{"ci_code": HOSTILE, "count": 2, "why": HOSTILE}])
    sample.node(graph, HOSTILE, HOSTILE, HOSTILE)
    history = sample.history().with_columns(
        pl.lit(HOSTILE).alias(c) for c in ("ci_code", "title", "kind", "type", "detail")
    )
    metrics = sample.series().with_columns(pl.lit(HOSTILE).alias(c) for c in ("ci_code", "metric"))
    say = Statement(HOSTILE, (HOSTILE, "lost" + HOSTILE))
    findings = Findings(
        say, (say,),
        (
            Section(HOSTILE, graph, (HOSTILE,), HOSTILE, "topology", {"highlight": {HOSTILE: HOSTILE}}),
            Section(HOSTILE, history, picture="timeline"),
            Section(HOSTILE, metrics.to_pandas(), picture="series", options={"history": history}),
            Section(HOSTILE, pl.DataFrame({HOSTILE: [HOSTILE], "tags": [[HOSTILE]]})),
            Section(HOSTILE, HOSTILE),
        ),
        (say,), (say,), (say,),
    )  # fmt: skip
    call = sample.call(HOSTILE, HOSTILE, status=HOSTILE, **{HOSTILE: {HOSTILE: [HOSTILE]}})
    call["completeness"]["left_out"] = [{"what": HOSTILE, "count": 1, "why": HOSTILE}]
    call |= {"warnings": [HOSTILE], "fallback": {"source": HOSTILE, "reason": HOSTILE}}
    call |= dict.fromkeys(("tenant", "engine", "data_version", "as_of"), HOSTILE)
    run = sample.Run(
        findings, [call], HOSTILE, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE
    )
    return report.render(run)


def test_hostile_values_are_text_wherever_they_stand(hostile):
    page = Page(hostile)

    assert [] == page.named("script")
    assert 1 == len(page.named("style"))
    told = {tag for tag, text in page.texts if "<script>alert('x')</script>" in text}
    assert {"h1", "h2", "li", "p", "td", "th", "dd", "dt", "title", "code", "strong", "text"} <= told
    assert SHOWN in page.said("h1")
    assert SHOWN in page.said("td")


def test_no_control_or_direction_character_is_left_in_the_page(hostile):
    assert [] == re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]", hostile)


def test_no_attribute_breaks_out_or_handles_an_event(hostile):
    names = {name for _, attributes in Page(hostile).tags for name in attributes}

    assert [] == [name for name in names if name.startswith("on") or not re.fullmatch(r"[a-zA-Z:-]+[0-9]*", name)]


def test_the_page_may_load_and_run_nothing(page):
    policy = next(meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")

    sheet = base64.b64encode(hashlib.sha256(page.said("style")[0].encode()).digest()).decode()
    assert (
        f"default-src 'none'; style-src 'sha256-{sheet}'; img-src data:; base-uri 'none'; form-action 'none'" == policy
    )
    assert [] == [attributes for _, attributes in page.tags if "style" in attributes]  # the policy would drop them
    assert [] == page.named("script") + page.named("link") + page.named("iframe") + page.named("img")
    assert [] == [a for _, a in page.tags if "src" in a or not (a.get("href") or "#").startswith("#")]


def test_the_page_names_no_address_but_that_of_the_svg_format(text):

    assert {"http://www.w3.org/2000/svg"} == set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert "@import" not in text
    assert [] == re.findall(r"url\((?!#)", text)


# --- the explorer for those who allow scripts


@pytest.fixture(scope="module")
def explored() -> str:
    return report.render(sample.triage(), explorer=True)


def test_with_the_explorer_the_policy_allows_its_script_and_no_other(explored):
    page = Page(explored)
    policy = next(meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")

    (code,) = re.findall(r'<script type="module">(.*?)</script>', explored, re.DOTALL)
    sheet, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (page.said("style")[0], code)
    )
    assert (
        f"default-src 'none'; style-src 'sha256-{sheet}'; script-src 'sha256-{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'" == policy
    )
    assert ["module"] == [one["type"] for one in page.named("script") if one["type"] != "application/json"]


def test_each_graph_is_told_to_its_explorer(explored):
    page, run = Page(explored), sample.triage()
    graphs = [section.body for section in run.findings.sections if isinstance(section.body, nx.Graph)]

    told = [json.loads(text) for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', explored)]

    assert [{*graph} for graph in graphs] == [{row["code"] for _, row in one["nodes"]} for one in told]
    assert [one["data-explore"] for _, one in page.tags if "data-explore" in one] == [
        one["id"] for one in page.named("script") if "id" in one
    ]
    assert all(one["alone"] for one in told)


def test_with_the_explorer_it_is_the_same_page_and_the_same_bytes(text, explored):
    assert explored == report.render(sample.triage(), explorer=True)
    bare = re.sub(r"<script.*?</script>\n|<div class=\"explore\"[^>]*></div>\n|script-src '[^']*'; ", "", explored, flags=re.DOTALL)  # fmt: skip
    sheets = re.compile(r"<style>.*?</style>|style-src '[^']*'", re.DOTALL)
    assert sheets.sub("", text) == sheets.sub("", bare)


def test_a_report_without_a_graph_needs_no_script():
    run = with_sections(Section("Words", "Nothing more."))

    assert report.render(run) == report.render(run, explorer=True)


def test_an_explorer_in_a_report_needs_no_widgets():
    script = (
        "import sys; from tests.views import sample; from ciops_nb.views import report;"
        "assert 'data-explore' in report.render(sample.triage(), explorer=True);"
        "print([name for name in ('anywidget', 'ipywidgets', 'traitlets') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip

    assert "[]\n" == done.stdout


# --- bytes


def test_what_differs_from_run_to_run_is_not_in_the_page(text):
    assert text == report.render(sample.triage())  # its calls have other durations, times and luck with the cache


def test_the_same_run_is_the_same_bytes_in_another_process(text):
    script = (
        "import hashlib; from tests.views import sample; from ciops_nb.views import report;"
        "print(hashlib.sha256(report.render(sample.triage()).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, cwd=root
    )

    assert hashlib.sha256(text.encode()).hexdigest() == done.stdout.strip()


# --- files


def small() -> sample.Run:
    return with_sections(Section("Words", "Nothing more."))


def test_the_file_holds_the_page(tmp_path):
    path = report.write(small(), tmp_path / "report.html")

    assert tmp_path / "report.html" == path
    assert report.render(small()) == path.read_text("utf-8")
    assert [path] == list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadParameter, match=r"nowhere.*Make the folder"):
        report.write(small(), tmp_path / "nowhere" / "report.html")


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(BadParameter, match="is a folder"):
        report.write(small(), tmp_path)


def test_a_report_that_cannot_be_made_leaves_the_old_one(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")

    with pytest.raises(BadParameter):
        report.write(with_sections(Section("Gone", None, picture="series")), path)
    assert "old" == path.read_text()


def test_a_write_that_fails_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadParameter, match="No space left on device"):
        report.write(small(), path)
    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [0, -1, True, "5"])
def test_a_count_of_rows_that_is_none_is_refused(rows):
    with pytest.raises(BadParameter, match="rows"):
        report.render(small(), rows=rows)
