"""The board and the rule lab under one's hand: metrics are picked, the slider moves, and the page shows what comes of it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

DEMO = Path(__file__).parents[2] / "data/demo"
CONNECT = f"import ciops_nb as ciops\nops = ciops.connect({str(DEMO)!r})"
BOARD = 'board = ciops.MetricBoard(ops, "app-erp-01", time_range="2026-03-02T06:00/2026-03-02T16:00")\nboard'
RULE = "id: slow  # pages\\nwhen: {metric: response_time, op: '>', value: 700}\\nfor: 10m\\n"
LAB = f'lab = ciops.RuleLab(ops, "{RULE}", time_range="2026-02-28/2026-03-07")\nlab'
expect.set_options(timeout=30_000)
FOUND = re.compile(r"\d+ alerts? fired")


def background(locator) -> str:
    return locator.evaluate("one => getComputedStyle(one).fill")


def test_a_metric_is_picked_and_drawn(lab):
    notebook = lab.open([CONNECT, BOARD])
    notebook.run_all()
    out = notebook.output(1)
    expect(out.get_by_text("app-erp-01 · response_time (ms)")).to_be_visible()

    out.locator("select[multiple]").select_option("error_rate (percent)")
    expect(out.get_by_text("app-erp-01 · response_time (ms)")).to_have_count(0)
    expect(out.get_by_text("app-erp-01 · error_rate (percent)")).to_be_visible()
    assert ["error_rate"] == notebook.eval("board.metrics")


def test_a_ci_is_searched_added_and_left_out(lab):
    notebook = lab.open([CONNECT, BOARD])
    notebook.run_all()
    out = notebook.output(1)
    out.get_by_placeholder("code, name, type or tag").press_sequentially("db-erp-01")
    out.get_by_role("button", name="+ db-erp-01", exact=True).click()
    expect(out.get_by_role("button", name="db-erp-01 ✕")).to_be_visible()
    out.get_by_role("button", name="app-erp-01 ✕").click()
    expect(out.get_by_role("button", name="app-erp-01 ✕")).to_have_count(0)
    assert ["db-erp-01"] == notebook.eval("board.cis")
    out.get_by_role("button", name="+ what they need").click()
    expect(out.get_by_text(re.compile(r"CIs that they need were added"))).to_be_visible()


def test_the_slider_moves_and_the_firings_change(lab):
    notebook = lab.open([CONNECT, LAB])
    notebook.run_all()
    out = notebook.output(1)
    said = out.get_by_text(FOUND)
    expect(said).to_contain_text("8 alerts fired on 8 CIs")
    assert 700 == notebook.eval("lab.threshold")  # what the browser says when it shows a slider moves nothing

    handle = out.locator(".noUi-handle").first
    handle.press("ArrowLeft")
    expect(out.locator("svg[aria-label='Alerts at a threshold of 699']")).to_be_visible()
    handle.press("Home")
    expect(said).to_contain_text("80 CIs")
    fired = notebook.eval("lab.alerts['status'].to_list().count('fired')")
    expect(said).to_contain_text(f"{fired:,} alerts fired")

    box = handle.bounding_box()
    handle.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    handle.page.mouse.down()
    handle.page.mouse.move(box["x"] + 2000, box["y"] + 5, steps=40)
    handle.page.mouse.up()
    expect(said).to_contain_text("0 alerts fired")
    assert notebook.eval("lab.threshold") > 1300


def test_a_number_is_typed_and_kept_as_it_is(lab):
    notebook = lab.open([CONNECT, LAB])
    notebook.run_all()
    out = notebook.output(1)
    expect(out.get_by_text(FOUND)).to_be_visible()
    number = out.locator("input[type=number]").nth(1)
    number.fill("712.3456")
    number.press("Tab")
    out.get_by_role("button", name="Keep").click()
    expect(out.get_by_text("threshold 712.3456, for 10m")).to_be_visible()
    expect(out.get_by_text("# pages").first).to_be_visible()
    assert 712.3456 == notebook.eval("lab.threshold")
    number.fill("5000")
    number.press("Tab")
    expect(out.get_by_text(FOUND)).to_contain_text("0 alerts fired")
    assert 5000 == notebook.eval("lab.threshold")


def test_a_mistake_in_a_rule_is_shown_while_it_is_typed(lab):
    notebook = lab.open([CONNECT, LAB])
    notebook.run_all()
    out = notebook.output(1)
    expect(out.get_by_text(FOUND)).to_be_visible()
    out.locator("textarea").fill("when: {metrik: response_time, op: '>', value: 700}")
    expect(out.get_by_text(re.compile("line 1"))).to_contain_text("metrik")
    out.locator("textarea").fill("when: {metric: response_time, op: '>', value: 1000}")
    expect(out.get_by_text(re.compile("^Valid"))).to_be_visible()
    assert None is notebook.eval("lab.wait.sync()")  # a kernel that ends while widgets speak garbles what they say
    assert 1000 == notebook.eval("lab.threshold")


def test_pictures_follow_the_theme(lab):
    notebook = lab.open([CONNECT, BOARD, LAB])
    notebook.run_all()
    shown = [notebook.output(cell).locator(".ciops-view svg text").first for cell in (1, 2)]
    for text in shown:
        expect(text).to_be_visible()
    light = [background(text) for text in shown]
    notebook.theme("dark")
    for text, before in zip(shown, light, strict=True):
        expect(text).not_to_have_css("fill", before)


def test_voila_shows_both(voila):
    # A page of Voila misses what a kernel tells while the page is being made, so what it shows is there before.
    cells = [
        cell.replace(f"\n{name}", f"\n{name}.wait.sync()\n{name}") for cell, name in ((BOARD, "board"), (LAB, "lab"))
    ]
    page = voila.open([CONNECT, *cells], theme="dark")
    expect(page.get_by_text("app-erp-01 · response_time (ms)")).to_be_visible()
    expect(page.get_by_text(FOUND)).to_contain_text("8 alerts fired on 8 CIs")
    page.locator(".noUi-handle").first.press("Home")
    expect(page.get_by_text(FOUND)).to_contain_text("80 CIs")
