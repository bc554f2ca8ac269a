"""Widgets in JupyterLab, measured as the person before them has them: from the click on Run, or on a node.

Each figure is the median of three fresh notebooks, whose first cell has connected. "First" is the first widget of its
kernel, whose cell imports what draws it; "again" is the same cell once more. A widget counts as on screen when its
canvas has ink on it, a panel when it has its button and its fields. Beside it stands what the machine and JupyterLab
take for the least of all widgets, a button of ipywidgets. A selection is answered when Python's observer has
been called, which writes into a label, and both that and the details are shown.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.browser.notebook import Notebook

ROOT = Path(__file__).parents[2]
NOTEBOOKS = 3
CLICKS = 5
CONNECTED = f"import ciops_nb as ciops; ops = ciops.connect({str(ROOT / 'data/demo')!r})"
BUTTON = "import ipywidgets; ipywidgets.Button(description='Here')"
PANEL = "ciops.RecipePanel(ops, 'triage')"
GIVEN = "ciops.TopologyExplorer(graph, 'sys-000', max_visible={size})"
GRAPH = "from tests.views import sample; graph = sample.estate({size})"
OBSERVED = f"""import ipywidgets
said = ipywidgets.Label().add_class("said")
explorer = {GIVEN.format(size=300)}
explorer.observe(lambda change: setattr(said, "value", str(change["new"])), "selected")
ipywidgets.VBox([explorer, said])"""

FILLED = """panel => [...panel.querySelectorAll("button")].some(one => one.textContent.trim() === "Run")
  && panel.querySelectorAll("input, select, textarea").length > 2"""
INKED = """bed => {
  const canvas = bed.querySelector("canvas[data-id=layer2-node]");
  if (!bed._cyreg?.cy.nodes().nonempty() || !canvas?.width) return false;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.some(byte => byte);
}"""
# Where a person would click: once the picture, which moves to make room for the details, has come to rest.
NODES = """async count => {
  const bed = document.querySelector(".ciops-x-bed"), cy = bed._cyreg.cy, frame = bed.getBoundingClientRect();
  const all = cy.nodes(), place = () => JSON.stringify([cy.width(), cy.height(), cy.pan(), cy.zoom()]);
  for (let before, calm = 0; calm < 10; before = place()) {
    await new Promise(requestAnimationFrame);
    calm = place() === before && !cy.animated() && !all.is(":animated") ? calm + 1 : 0;
  }
  return Array.from({ length: count }, (_, number) => {
    const node = all[Math.floor((number + 0.5) * all.length / count)], { x, y } = node.renderedPosition();
    return [frame.left + x, frame.top + y];
  });
}"""
# From the next press of the mouse until the label says another code than before and the details are those of that code.
ANSWERED = """() => {
  window.ciopsAnswered = new Promise(resolve => {
    const said = document.querySelector(".said"), before = said.textContent;
    document.addEventListener("mousedown", () => {
      const start = performance.now();
      const look = () => {
        const code = said.textContent, side = document.querySelector(".ciops-x-side");
        if (code !== before && side.checkVisibility() && side.querySelector("h1, h2, h3, h4")?.textContent === code)
          resolve(performance.now() - start);
        else requestAnimationFrame(look);
      };
      look();
    }, { capture: true, once: true });
  });
}"""


def missing() -> str:
    """What is not here that the measurement needs; nothing if all is."""
    try:
        import jupyterlab  # type: ignore[import-untyped]  # noqa: F401

        from tests.browser import chromium
    except ImportError as error:
        return f"{error.name} is not installed"
    return "" if chromium.executable() else f"none of {', '.join(chromium.NAMES)} is on the PATH"


@contextmanager
def _notebooks() -> Iterator[Any]:
    """Opens a fresh notebook of given cells, of which those before the last two have run."""
    from tests.browser.chromium import open_chromium
    from tests.browser.notebook import Lab
    from tests.browser.servers import Ground, open_lab

    with tempfile.TemporaryDirectory() as folder, open_chromium() as browser:
        ground = Ground(Path(folder) / "ground")
        with open_lab(ground) as server:

            @contextmanager
            def fresh(*cells: str) -> Iterator[Notebook]:
                with browser.visit() as visit:
                    lab = Lab(server, ground, visit)
                    try:
                        notebook = lab.open([CONNECTED, *cells])
                        for cell in range(len(cells) - 1):
                            notebook.run(cell)
                        yield notebook
                    finally:
                        lab.close()

            yield fresh


def _shown(fresh: Any, code: str, selector: str, fits: str = "one => true", *before: str) -> tuple[float, float]:
    """How long until it is on screen, in ms, the first time in its kernel and again."""
    first, again = [], []
    for _ in range(NOTEBOOKS):
        with fresh(*before, code, code) as notebook:
            for cell, took in ((len(before) + 1, first), (len(before) + 2, again)):
                here = f'.jp-Cell[data-windowed-list-index="{cell}"] {selector}'
                took.append(notebook.seconds_until(cell, here, fits) * 1e3)
                notebook.wait_idle()
    return statistics.median(first), statistics.median(again)


def _answered(fresh: Any) -> str:
    medians = []
    for _ in range(NOTEBOOKS):
        with fresh(GRAPH.format(size=300), OBSERVED, "") as notebook:
            notebook.seconds_until(2, ".ciops-x-bed", INKED)
            notebook.wait_idle()
            took = []
            for x, y in notebook.page.evaluate(NODES, CLICKS):
                notebook.page.evaluate(ANSWERED)
                notebook.page.mouse.click(x, y)
                took.append(notebook.page.wait_for_function("window.ciopsAnswered", timeout=10_000).json_value())
            medians.append(statistics.median(took))
    return _line(
        "TopologyExplorer, 300 nodes, click to observer called and details shown", statistics.median(medians), 150
    )


def _line(name: str, took: float, goal: int, least: float | None = None) -> str:
    beside = "| |" if least is None else f"{least:.0f} | {took / least:.1f} |"
    return f"| {name} | {took:.0f} | {beside} {goal} ms | {'yes' if took <= goal else 'no'} |"


def lines() -> list[str]:
    """Rows for the table of ``make bench``; one that says why, where they cannot be measured."""
    if lack := missing():
        print(f"NO WIDGETS MEASURED: {lack}", file=sys.stderr, flush=True)
        return [f"| widgets in JupyterLab: NOT MEASURED, {lack} | | | | | |"]
    with _notebooks() as fresh:
        least = _shown(fresh, BUTTON, ".jupyter-button")
        asked = [("RecipePanel", 1000, _shown(fresh, PANEL, ".ciops-view", FILLED))]
        for size, goal in ((300, 1000), (5000, 5000)):
            took = _shown(fresh, GIVEN.format(size=size), ".ciops-x-bed", INKED, GRAPH.format(size=size))
            asked.append((f"TopologyExplorer, {size:,} nodes", goal, took))
        rows = [
            _line(f"{name} on screen, {which}, beside a Button", took[at], goal, least[at])
            for name, goal, took in asked
            for at, which in enumerate(("first", "again"))
        ]
        return [*rows, _answered(fresh)]


if __name__ == "__main__":
    print("\n".join(lines()))
    print(f"\nLoad of the last five minutes: {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores.")
