"""A notebook in JupyterLab or on a Voila page, as the person in front of it has it."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Sequence
from typing import Any

import nbformat
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Locator, Page

from tests.browser.chromium import SECONDS, Visit, wait_until
from tests.browser.servers import NEWEST, Ground, Server, kernel_name, need_kernel

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
_numbers = itertools.count(1)

_READY = """path => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  const kernel = panel?.context?.sessionContext?.session?.kernel;
  return panel?.context?.path === path && panel.context.isReady && panel.content.widgets.length > 0
    && kernel?.status === "idle" && kernel.connectionStatus === "connected" ? kernel.id : null;
}"""
_IDLE = """() => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session?.kernel;
  return !(window.ciopsRunning > 0) && kernel?.status === "idle";
}"""
_SUBSHELL = """() => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  return !kernel.supportsSubshells || [...kernel._comms.values()].some(comm => comm._subshellId || comm.subshellId);
}"""
_RUN = """([command, cell]) => {
  const { commands, shell } = window.jupyterapp, notebook = shell.currentWidget.content;
  if (cell !== null) {
    notebook.deselectAll();
    notebook.activeCellIndex = cell;
  }
  window.ciopsRunning = (window.ciopsRunning ?? 0) + 1;
  commands.execute(command).finally(() => { window.ciopsRunning -= 1; });
}"""
# From the next click on Run until the page paints something visible that fits the selector, and is as wanted.
_CLOCK = """(selector, wanted) => {
  window.ciopsClock = new Promise(resolve => {
    document.addEventListener("click", () => {
      const start = performance.now();
      const look = () => {
        const seen = [...document.querySelectorAll(selector)].some(one => one.checkVisibility()
          && one.getBoundingClientRect().width > 0 && one.getBoundingClientRect().height > 0 && wanted(one));
        if (seen) resolve((performance.now() - start) / 1000);
        else requestAnimationFrame(look);
      };
      look();
    }, { capture: true, once: true });
  });
}"""


class Kernel:
    """The kernel behind a page, asked beside the page."""

    def __init__(self, connection_file: str) -> None:
        self._client = BlockingKernelClient(connection_file=connection_file)
        self._client.load_connection_file()
        self._client.start_channels(iopub=False, stdin=False, hb=False, control=False)

    def execute(self, code: str, expression: str = "None", *, seconds: float = SECONDS) -> Any:
        """Execute *code*, then give the value of *expression*, which JSON must be able to carry."""
        wrapped = f"__import__('json').dumps({expression})"
        asked = self._client.execute(code, silent=True, user_expressions={"it": wrapped}, stop_on_error=False)
        reply: dict[str, Any] = wait_until(lambda: self._answer(asked), seconds=seconds, why=f"no answer to {code!r}")
        it = reply.get("user_expressions", {}).get("it", reply)
        assert it["status"] == "ok", f"{it['ename']}: {it['evalue']}"
        return json.loads(ast.literal_eval(it["data"]["text/plain"]))

    def _answer(self, asked: str) -> dict[str, Any] | None:
        if not self._client.shell_channel.is_alive() or not self._client.shell_channel.msg_ready():
            return None
        reply = self._client.shell_channel.get_msg(timeout=0)
        return reply["content"] if reply["parent_header"].get("msg_id") == asked else None

    def close(self) -> None:
        self._client.stop_channels()
        self._client.context.term()


class Notebook:
    """One notebook, alone in a page of JupyterLab. Cells are counted from 0."""

    def __init__(self, page: Page, kernel: Kernel) -> None:
        self.page, self.kernel = page, kernel

    # ── what a person does ───────────────────────────────────────────

    def run(self, cell: int, *, wait: bool = True) -> None:
        self.page.evaluate(_RUN, ["notebook:run-cell", cell])
        if wait:
            self.wait_idle()

    def run_all(self, *, wait: bool = True) -> None:
        self.page.evaluate(_RUN, ["notebook:run-all-cells", None])
        if wait:
            self.wait_idle()

    def seconds_until(self, cell: int, selector: str, wanted: str = "() => true") -> float:
        """How long after a click on Run an element that fits *selector* is visible and *wanted*, of it, is true."""
        self.cell(cell).locator(".jp-InputPrompt").click()
        self.page.evaluate(f"selector => ({_CLOCK})(selector, {wanted})", selector)
        self.page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="run"] >> css=jp-button, button').first.click()
        handle = self.page.wait_for_function("window.ciopsClock", timeout=SECONDS * 1000)
        return float(handle.json_value())

    def scroll(self, pixels: float) -> None:
        """Turn the wheel over the notebook."""
        self.page.locator(".jp-WindowedPanel-outer").first.hover(position={"x": 20, "y": 20})
        self.page.mouse.wheel(0, pixels)

    def theme(self, theme: str) -> None:
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", THEMES[theme]
        )
        self.page.locator(f'body[data-jp-theme-name="{THEMES[theme]}"]').wait_for(state="attached")

    # ── what a person sees ───────────────────────────────────────────

    def cell(self, cell: int) -> Locator:
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{cell}"]')

    def output(self, cell: int) -> Locator:
        return self.cell(cell).locator(".jp-Cell-outputArea")

    def wait_idle(self, *, seconds: float = SECONDS) -> None:
        """Wait until all that was run here is done."""
        self.page.wait_for_function(_IDLE, timeout=seconds * 1000)

    def wait_subshell(self) -> None:
        """Wait until the page has the subshell for its widgets, where the kernel has subshells."""
        self.page.wait_for_function(_SUBSHELL, timeout=SECONDS * 1000)

    # ── what the kernel knows ────────────────────────────────────────

    def eval(self, expression: str) -> Any:
        """The value of *expression*; not before the cell that runs is done."""
        return self.kernel.execute("", expression)

    def execute(self, code: str) -> None:
        self.kernel.execute(code)


def write(ground: Ground, cells: Sequence[str], kernel: str) -> str:
    """The name of a new notebook with *cells*."""
    need_kernel(kernel)
    metadata = {"kernelspec": {"name": kernel_name(kernel), "display_name": kernel, "language": "python"}}
    made = [nbformat.v4.new_code_cell(cell, id=f"cell-{number}") for number, cell in enumerate(cells)]
    name = f"notebook-{next(_numbers)}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=metadata), ground.notebooks / name)
    return name


class Lab:
    """JupyterLab in one visit of the browser."""

    def __init__(self, server: Server, ground: Ground, visit: Visit) -> None:
        self.server, self.ground, self.visit = server, ground, visit
        self._kernels: list[Kernel] = []

    def open(self, cells: Sequence[str], *, kernel: str = NEWEST, theme: str = "light") -> Notebook:
        name = write(self.ground, cells, kernel)
        themes = self.ground.settings / "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
        themes.parent.mkdir(parents=True, exist_ok=True)
        themes.write_text(json.dumps({"theme": THEMES[theme]}))
        page = self.visit.page()
        page.goto(f"{self.server.url}/lab/workspaces/{name[:-6]}/tree/{name}?token={self.server.token}")
        found = page.wait_for_function(_READY, arg=name, timeout=2 * SECONDS * 1000).json_value()
        page.locator(f'body[data-jp-theme-name="{THEMES[theme]}"]').wait_for(state="attached")
        self._kernels.append(Kernel(str(self.ground.connection_file(found))))
        return Notebook(page, self._kernels[-1])

    def close(self) -> None:
        for kernel in self._kernels:
            kernel.close()
        self.server.end_kernels()


class Voila:
    """Voila in one visit of the browser."""

    def __init__(self, server: Server, ground: Ground, visit: Visit) -> None:
        self.server, self.ground, self.visit = server, ground, visit

    def open(self, cells: Sequence[str], *, kernel: str = NEWEST, theme: str = "light") -> Page:
        """The page of a notebook with *cells*, when they have all run."""
        name = write(self.ground, cells, kernel)
        page = self.visit.page()
        page.goto(f"{self.server.url}/voila/render/{name}?token={self.server.token}&theme={theme}")
        page.locator("#rendered_cells").wait_for()
        return page
