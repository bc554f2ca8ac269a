"""The ground itself: what it catches, and that a click, a theme and a kernel get where they should."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.servers import KERNELS, NEWEST
from tests.kernels import ROOT

COUNTER = """
import ipywidgets, threading
count, threads = [], []
def click(button):
    threads.append(threading.current_thread() is threading.main_thread())
    count.append(1)
    button.description = f"Count {len(count)}"
button = ipywidgets.Button(description="Count")
button.on_click(click)
button
"""

ANY = """
import anywidget, traitlets
class Told(anywidget.AnyWidget):
    _esm = '''export default { render({ model, el }) {
      const told = document.createElement("button");
      told.textContent = "tell";
      told.className = "told";
      told.style.color = "var(--jp-ui-font-color1)";
      told.onclick = () => { model.set("value", model.get("value") + 1); model.save_changes(); };
      model.on("change:value", () => { told.textContent = `told ${model.get("value")}`; });
      el.append(told);
    } };'''
    value = traitlets.Int(0).tag(sync=True)
told = Told()
told
"""

FAR = """<!doctype html><title>far</title><img src="https://example.org/x.png"><script>
fetch("https://example.net/fetched?a=1").catch(() => {});
new WebSocket("wss://example.com/socket").onerror = () => {};
</script>"""


def test_what_leaves_loopback_is_noted(visit, tmp_path):
    (tmp_path / "far.html").write_text(FAR)
    page = visit.page()
    page.goto((tmp_path / "far.html").as_uri(), wait_until="load")
    page.wait_for_function("performance.getEntriesByType('resource').length >= 2")
    page.evaluate("new Promise(done => new WebSocket('wss://example.com/again').onerror = done)")
    abroad = visit.take_abroad()
    wanted = {"https://example.org/x.png", "https://example.net/fetched?a=1", "wss://example.com/socket"}
    assert wanted <= set(abroad)
    assert {f"CONNECT example.{end}:443" for end in ("org", "net", "com")} <= set(abroad)  # and got no further
    assert visit.take_errors()


def test_a_request_abroad_fails_the_test_that_made_it(visit):
    page = visit.page()
    page.set_content('<img src="https://example.org/y.png">')
    with pytest.raises(AssertionError, match=r"left this machine: .*example\.org/y\.png"):
        visit.check()
    visit.take_errors()


def test_an_error_in_a_page_fails_the_test(visit):
    page = visit.page()
    page.evaluate(
        "() => { setTimeout(() => { throw new Error('ours'); }); return new Promise(r => setTimeout(r, 1)); }"
    )
    page.evaluate("1")
    with pytest.raises(AssertionError, match="ours"):
        visit.check()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_click_reaches_the_kernel(lab, kernel):
    notebook = lab.open(["import ipykernel", COUNTER, ANY, *["print('line\\n' * 40)"] * 3], kernel=kernel)
    notebook.run_all()
    assert notebook.eval("ipykernel.__version__").startswith(f"{kernel}.")
    assert notebook.eval("__import__('ciops_nb').__file__").startswith(str(ROOT))
    button = notebook.output(1).get_by_role("button")
    button.click()
    expect(button).to_have_text("Count 1")
    notebook.scroll(150)
    button.click()
    expect(button).to_have_text("Count 2")
    told = notebook.output(2).locator(".told")
    told.click()
    expect(told).to_have_text("told 1")
    assert notebook.eval("[len(count), told.value]") == [2, 1]
    assert notebook.eval("threads[-1]") == kernel.startswith("6.")  # the main thread on 6, that of a subshell on 7


BESIDE = """
import ipywidgets, threading, time
heard = []
def click(button):
    heard.append(threading.current_thread() is threading.main_thread())
    button.description = f"Heard {len(heard)}"
button = ipywidgets.Button(description="Heard 0")
button.on_click(click)
button
"""
BLOCK = """
print("begun", flush=True)
before, end = len(heard), time.monotonic() + SECONDS
while time.monotonic() < end and len(heard) == before:
    time.sleep(0.01)
heard_while_blocked = len(heard) > before
"""


@pytest.mark.parametrize(
    ("kernel", "clicked_before", "heard"),
    [("6.31", False, False), ("6.31", True, False), ("7.1", False, True), (NEWEST, False, False), (NEWEST, True, True)],
)
def test_whether_a_button_is_heard_while_a_cell_blocks(lab, kernel, clicked_before, heard):
    """JupyterLab asks for a subshell for all widgets ("commsOverSubshells" is "perCommTarget" unless set otherwise).

    6.31 has no subshells: the click comes when the cell is done. 7.1 takes it there at once. 7.4 takes it to the shell
    that last sent something on the widget's comm: until a callback has answered a message of the page, that is the
    shell of the cell that made it, which blocks.
    """
    notebook = lab.open([BESIDE, BLOCK.replace("SECONDS", "8" if heard else "1")], kernel=kernel)
    notebook.run(0)
    notebook.wait_subshell()
    button = notebook.output(0).get_by_role("button")
    if clicked_before:
        button.click()
        expect(button).to_have_text("Heard 1")
    notebook.run(1, wait=False)
    notebook.output(1).get_by_text("begun").wait_for()
    button.click()
    notebook.wait_idle()
    expect(button).to_have_text(f"Heard {1 + clicked_before}")
    assert notebook.eval("[heard_while_blocked, heard[-1]]") == [heard, not heard]  # on the main thread if not


def test_the_theme_reaches_a_widget(lab):
    notebook = lab.open([ANY], theme="dark")
    notebook.run_all()
    told = notebook.output(0).locator(".told")
    dark = told.evaluate("one => getComputedStyle(one).color")
    notebook.theme("light")
    expect(told).not_to_have_css("color", dark)


def test_clicks_and_themes_in_voila(voila):
    colours = set()
    for theme in ("light", "dark"):
        page = voila.open([COUNTER, ANY], theme=theme)
        button = page.get_by_role("button", name="Count")
        button.click()
        expect(button).to_have_text("Count 1")
        page.locator(".told").click()
        expect(page.locator(".told")).to_have_text("told 1")
        colours.add(page.locator(".told").evaluate("one => getComputedStyle(one).color"))
    assert len(colours) == 2


def test_a_file_is_shown_without_scripts_and_network(static, tmp_path):
    (tmp_path / "page.html").write_text("<p>shown</p><script>document.body.textContent = 'run'</script>")
    page = static(tmp_path / "page.html")
    assert page.locator("p").inner_text() == "shown"


def test_the_clock_starts_with_the_click(lab):
    notebook = lab.open(["import time; time.sleep(0.3)\n" + COUNTER])
    seconds = notebook.seconds_until(0, ".jp-OutputArea .widget-button")
    assert 0.3 < seconds < 20


def test_axe_finds_what_is_ours_and_serious(visit, axe):
    page = visit.page()
    page.set_content(
        "<html lang=en><title>t</title><div id=good><button>Go</button></div><div id=bad><button></button></div>"
    )
    axe(page.locator("#good"))
    with pytest.raises(AssertionError, match="critical: Buttons must have discernible text: <button></button>"):
        axe(page.locator("#bad"))
