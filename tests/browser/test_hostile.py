"""What an estate, a rule or a tool says is text, wherever it is shown: in frames, graphs, widgets, pictures and reports."""

from __future__ import annotations

import csv
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

import ciops_nb as ciops
from ciops_nb.estate.importer import import_tables
from tests.shelf import kept, ran

BAD = '<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>\'"$x^2$\u202e]]>'
SHOWN = "<script>window.pwned=2</script>"
RULE = """
id: slow
when: {metric: load, op: ">", value: 2}
labels: {told: LABEL}
""".replace("LABEL", repr(BAD).replace("\\u202e", "").replace("\\'", "''"))

TABLES = {
    "ci": [
        {"ci_code": f"{name}-1", "ci_name": f"{name} {BAD}", "ci_type": "SW", "owner": BAD, "status": BAD,
         "created_at": "2026-03-01T00:00:00Z"}
        for name in ("app", "db", "srv")
    ],
    "ci_property": [{"ci_code": "app-1", "kind": "tag", "name": "role", "value": BAD}],
    "relation": [{"source_code": "app-1", "target_code": "db-1", "relation_type": "DEPENDS_ON"},
                 {"source_code": "db-1", "target_code": "srv-1", "relation_type": "RUNS_ON"}],
    "metric_def": [{"metric": "load", "unit": BAD, "kind": "gauge", "description": BAD, "bad_direction": "up"}],
    "metric": [{"ci_code": "app-1", "metric": "load", "series": BAD, "ts": f"2026-03-01T00:{m:02}:00Z", "value": m % 5}
               for m in range(60)],
    "event": [{"event_id": "e1", "ci_code": "db-1", "ts": "2026-03-01T00:20:00Z", "type": BAD, "severity": 4,
               "title": BAD, "detail": BAD}],
    "change": [{"change_id": "c1", "ci_code": "srv-1", "type": "normal", "title": BAD, "detail": BAD, "risk": "high",
                "start_at": "2026-03-01T00:10:00Z", "end_at": "2026-03-01T00:15:00Z", "result": BAD}],
}  # fmt: skip

CELLS = [
    "%load_ext ciops_nb\nimport ciops_nb as ciops\nops = ciops.connect('ESTATE')\nawait ops.ci_get_by_code('app-1')",
    "await ops.history_recent(time_range='all')",
    "await ops.graph_expand('app-1')",
    "explorer = ciops.TopologyExplorer(ops, 'app-1')\nexplorer.selected = 'app-1'\nexplorer",
    "board = ciops.MetricBoard(ops, ['app-1'], metrics=['load'], time_range='all')\nawait board.wait()\nboard",
    f"lab = ciops.RuleLab(ops, {RULE!r}, time_range='all')\nawait lab.wait()\nlab",
    "panel = ciops.RecipePanel(ops, 'triage', ci='app-1', at='2026-03-01T00:30Z')\npanel.start()\n"
    "await panel.wait()\npanel",
    "ciops.TraceWaterfall(panel.run)",
]


@pytest.fixture(scope="module")
def estate(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    tables = folder / "tables"
    tables.mkdir()
    for name, rows in TABLES.items():
        with (tables / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    report = import_tables(tables, folder / "estate")
    assert 0 == sum(table.rejected for table in report.tables.values())
    return folder / "estate"


def cells(estate: Path) -> list[str]:
    return [cell.replace("ESTATE", str(estate)) for cell in CELLS]


def test_nothing_that_is_shown_live_is_run(lab, estate):
    notebook = lab.open(cells(estate))
    notebook.run_all()

    told = {}
    for number in range(len(CELLS)):  # those out of sight are not on the page
        notebook.cell(number).scroll_into_view_if_needed()
        notebook.output(number).locator(":scope > *").first.wait_for()
        told[number] = notebook.output(number).inner_text()
        if number == 5:  # what is in a field is no text of the page
            assert "<img src=x onerror=" in notebook.output(number).locator("textarea").first.input_value()
    said = [number for number, text in told.items() if "<img src=x onerror=" in text]  # frames cut long texts
    assert said == [0, 1, 3, 4, 6]
    assert notebook.page.evaluate("window.pwned ?? null") is None


def test_nothing_that_is_kept_is_run(visit, estate, tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells(estate)])
    nbformat.write(notebook, tmp_path / "hostile.ipynb")
    done = nbformat.reads(kept(ran(tmp_path / "hostile.ipynb")), as_version=4)
    html, _ = HTMLExporter().from_notebook_node(done)
    # Without what nbconvert itself loads from elsewhere: it is our outputs that are looked at.
    (tmp_path / "page.html").write_text(html.replace("https://", "http://127.0.0.1:9/"), encoding="utf-8")

    page = visit.page()
    page.goto((tmp_path / "page.html").as_uri(), wait_until="domcontentloaded")

    assert SHOWN in page.locator("body").inner_text()
    assert page.evaluate("window.pwned ?? null") is None
    visit.take_errors()  # the scripts of nbconvert's that are not there


def test_nothing_in_a_report_is_run(visit, estate, tmp_path):
    with ciops.connect(estate) as ops:
        run = ops.run.sync("triage", ci="app-1", at="2026-03-01T00:30Z")
        review = ops.run.sync("rule_review", rule=RULE, time_range="all")
        for number, one in enumerate((run, review)):
            one.report(tmp_path / f"{number}.html")
    for number in range(2):
        page = visit.page()
        page.goto((tmp_path / f"{number}.html").as_uri())

        assert page.evaluate("window.pwned ?? null") is None
        assert 0 == page.locator("img[src=x]").count()
    assert SHOWN in page.locator("body").inner_text() or SHOWN in page.content().replace("&lt;", "<").replace(
        "&gt;", ">"
    )
