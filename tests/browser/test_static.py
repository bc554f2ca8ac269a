"""What is left where no kernel, no script and no network is: every table and every picture is still on the page."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

import ciops_nb as ciops
from tests.shelf import notebooks

DEMO = Path(__file__).parents[2] / "data/demo"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_as_a_page_shows_every_output(static, path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    html, _ = HTMLExporter().from_notebook_node(notebook)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")

    page = static(tmp_path / "page.html")

    tables = sum(output.data["text/html"].count("<table") for output in shown if "text/html" in output.get("data", {}))
    pictures = [output for output in shown if "image/svg+xml" in output.get("data", {})]
    outputs = page.locator(".jp-OutputArea-output")
    assert len(shown) == outputs.count()
    assert tables == visible(page.locator(".jp-OutputArea-output table"))
    assert len(pictures) <= visible(page.locator(".jp-RenderedSVG svg, .jp-RenderedSVG img"))
    assert [] == page.locator("img").evaluate_all(
        "all => all.filter(one => one.naturalWidth === 0).map(one => one.src)"
    )


def test_a_report_shows_every_table_and_picture(static, tmp_path):
    with ciops.connect(DEMO) as ops:
        run = ops.run.sync("triage", ci="app-erp-01", at="2026-03-02T10:00Z")
    text = run.report(tmp_path / "report.html").read_text(encoding="utf-8")

    page = static(tmp_path / "report.html")

    assert "sto-san-01 moved first" in page.locator("body").inner_text()
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert text.count("<table") == visible(page.locator("table"))
    assert text.count("<svg") == visible(page.locator("svg"))


def visible(found):
    """How many take up room on the page."""
    return found.evaluate_all(
        "all => all.filter(one => { const box = one.getBoundingClientRect(); return box.width > 0 && box.height > 0; }).length"
    )
