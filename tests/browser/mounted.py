"""A widget of ours in a page of its own: the built module, and a model whose other half is the Python widget."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable
from typing import Any

HOST = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A widget</title><style>
body { margin: 12px; font-family: sans-serif; background: var(--jp-layout-color0); color: var(--jp-ui-font-color1); }
body { --jp-layout-color0: #fff; --jp-layout-color1: #fff; --jp-layout-color2: #eee; --jp-border-color1: #bdbdbd;
  --jp-ui-font-color1: rgba(0,0,0,.87); --jp-ui-font-color2: rgba(0,0,0,.6); }
body[data-jp-theme-light=false] { --jp-layout-color0: #111; --jp-layout-color1: #212121; --jp-layout-color2: #424242;
  --jp-border-color1: #616161; --jp-ui-font-color1: #fff; --jp-ui-font-color2: rgba(255,255,255,.7); }
</style></head><body data-jp-theme-light="true"><main><h1 hidden>A widget</h1><div id="at"></div></main></body></html>"""

MOUNT = """async ([told, source, style]) => {
  const state = JSON.parse(told);
  const listeners = new Map();
  const on = (name, act) => { if (!listeners.has(name)) listeners.set(name, new Set()); listeners.get(name).add(act); };
  const fire = (name, ...given) => { for (const act of [...(listeners.get(name) ?? [])]) act(...given); };
  const values = new Map(Object.entries(state)), dirty = new Set();
  const put = (name, value) => { values.set(name, value); fire("change:" + name); };
  const model = {
    get: (name) => values.get(name),
    set: (name, value) => { if (JSON.stringify(values.get(name)) === JSON.stringify(value)) return; dirty.add(name); put(name, value); },
    save_changes: () => { const state = {}; for (const name of dirty) state[name] = values.get(name); dirty.clear();
      window.toPython(JSON.stringify({ method: "update", state })); },
    send: (content) => window.toPython(JSON.stringify({ method: "custom", content })),
    on, off: (name, act) => listeners.get(name)?.delete(act),
  };
  window.fromPython = (message) => {
    if (message.method === "update") for (const [name, value] of Object.entries(message.state)) put(name, value);
    else if (message.method === "custom") fire("msg:custom", message.content, []);
  };
  const sheet = document.createElement("style"); sheet.textContent = style; document.head.append(sheet);
  const { default: widget } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  await widget.initialize?.({ model, signal: new AbortController().signal });
  window.model = model;
  window.listening = () => [...listeners.values()].reduce((sum, acts) => sum + acts.size, 0);
  window.began = performance.now();
  const el = document.createElement("div");
  window.end = await widget.render({ model, el });
  document.querySelector("#at").append(el); // as hosts do: they draw first
  window.stood = performance.now();
}"""


class _Comm:
    kernel = "here"
    comm_id = "widget"

    def __init__(self) -> None:
        self.sent: queue.Queue[str] = queue.Queue()

    def send(self, data: Any = None, **_: Any) -> None:
        self.sent.put(json.dumps(data))

    def on_msg(self, _: Any) -> None: ...
    def close(self, *_: Any, **__: Any) -> None: ...


class Mounted:
    """The widget on *page*. What either side says is carried over by ``carry`` and by ``until``.

    Args:
        page: Of any size.
        widget: An anywidget.
        host: The page to put into it; the widget goes to its ``#at``.

    Attributes:
        heard: What the page has said to Python, the messages. How many listen to its model, ``listening()`` tells there.
    """

    def __init__(self, page: Any, widget: Any, *, host: str = HOST) -> None:
        self.page, self.widget, self._comm = page, widget, _Comm()
        self.heard: list[dict[str, Any]] = []
        widget.comm = self._comm
        state = widget.get_state()
        source, style = state.pop("_esm"), state.pop("_css")
        page.set_content(host)
        page.expose_function("toPython", self._hear)
        page.evaluate(MOUNT, [json.dumps(state), source, style])

    def _hear(self, text: str) -> None:
        message = json.loads(text)
        self.heard.append(message)
        self.widget._handle_msg({"content": {"data": message}, "buffers": []})

    def tell(self, **state: Any) -> None:
        """Let the page hear *state*, as if the widget had sent it."""
        self.page.evaluate("state => fromPython({ method: 'update', state })", state)

    def carry(self) -> None:
        """Hand the page what the widget sent meanwhile."""
        while not self._comm.sent.empty():
            self.page.evaluate("(message) => window.fromPython(JSON.parse(message))", self._comm.sent.get())

    def until(self, told: Callable[[], Any], *, seconds: float = 10.0) -> Any:
        """Carry until *told* gives something that is true."""
        deadline = time.monotonic() + seconds
        while not (found := told()):
            shown = getattr(self.widget, "error", None)
            assert time.monotonic() < deadline, f"not within {seconds:g} s; the error shown: {shown!r}"
            self.carry()
            self.page.wait_for_timeout(5)  # lets the page speak
        self.carry()
        return found
