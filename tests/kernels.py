"""Real kernels for tests: of the ipykernel that is installed, and of an older one beside it."""

import collections
import importlib.metadata
import os
import sys
import time
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[1]
SECONDS = 30
OLDER, NEST = "ipykernel==6.31.0", "nest-asyncio==1.6.0"
OLDEST_SUBSHELLS = "ipykernel==7.1.0"

_LAUNCH = "from ipykernel import kernelapp; kernelapp.launch_new_instance()"
LAUNCH = {
    "asyncio": _LAUNCH,
    "uvloop": f"import asyncio, uvloop; asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); {_LAUNCH}",
}


def beside(name):
    """The folder of what ``make`` installs beside the packages of .venv, or a skip with the reason."""
    folder = ROOT / ".kernels" / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not in .kernels: run 'make test', which installs it where there is a network")
    return folder


class Kernel:
    """A kernel, asked one cell at a time; *versions* are put before the packages of this interpreter."""

    def __init__(self, loop="asyncio", versions=()):
        if loop == "uvloop":
            pytest.importorskip("uvloop", reason="uvloop is not installed, so no kernel can run on it")
        path = [*(str(beside(version)) for version in versions), str(ROOT)]
        self.major = 6 if OLDER in versions else int(importlib.metadata.version("ipykernel").split(".")[0])
        self.loop = loop
        self.heard = collections.defaultdict(collections.deque)  # by what was asked: shells answer side by side
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[:] = [sys.executable, "-c", LAUNCH[loop], "-f", "{connection_file}"]
        self.manager.start_kernel(env={**os.environ, "PYTHONPATH": os.pathsep.join(path)})
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=SECONDS)
            assert [str(self.major)] == self.run("import ipykernel\nprint(ipykernel.__version__.split('.')[0])")
            module = "uvloop" if loop == "uvloop" else "asyncio.unix_events"
            assert [repr(module)] == self.run("import asyncio\ntype(asyncio.get_running_loop()).__module__")
        except BaseException:
            self.close()
            raise

    def start(self, cell, *, subshell=None):
        message = self.client.session.msg(
            "execute_request", {"code": cell, "silent": False, "store_history": True, "stop_on_error": False}
        )
        return self._send(message, subshell)

    def click(self, comm, *, subshell=None):
        """Click the button with the id *comm*, as a front end does."""
        data = {"method": "custom", "content": {"event": "click"}}
        return self._send(self.client.session.msg("comm_msg", {"comm_id": comm, "data": data}), subshell)

    def _send(self, message, subshell):
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def ask_control(self, kind, content=None):
        """The content of the reply to a request on the control channel."""
        self.client.control_channel.send(self.client.session.msg(kind, content or {}))
        return self.client.control_channel.get_msg(timeout=SECONDS)["content"]

    def _next(self, asked):
        """Kind and content of the next message about what was *asked*."""
        deadline = time.monotonic() + SECONDS
        while not self.heard[asked]:
            message = self.client.get_iopub_msg(timeout=max(0.0, deadline - time.monotonic()))
            self.heard[message["parent_header"].get("msg_id")].append((message["msg_type"], message["content"]))
        return self.heard[asked].popleft()

    def result(self, asked):
        """What the cell displayed, printed, or raised."""
        shown = []
        while True:
            kind, content = self._next(asked)
            if kind == "execute_result":
                shown.append(content["data"]["text/plain"])
            elif kind == "stream":
                if text := content["text"].strip():  # the end of a line may come alone, or with its line
                    shown.append(text)
            elif kind == "error":
                shown.append(content["ename"])
            elif kind == "status" and content["execution_state"] == "idle":
                return shown

    def run(self, cell):
        return self.result(self.start(cell))

    def bundle(self, cell):
        """What the cell displays last, by its MIME types."""
        asked, data = self.start(cell), {}
        while True:
            kind, content = self._next(asked)
            if kind in ("execute_result", "display_data"):
                data = content["data"]
            assert kind != "error", content
            if kind == "status" and content["execution_state"] == "idle":
                return data

    def complete(self, code, cursor=None):
        """The cells that Tab at *cursor*, or at the end, leads to."""
        asked = self.client.complete(code, cursor)
        while True:
            reply = self.client.get_shell_msg(timeout=SECONDS)
            if reply["parent_header"].get("msg_id") == asked:
                told = reply["content"]
                assert "ok" == told["status"], told
                return [code[: told["cursor_start"]] + one + code[told["cursor_end"] :] for one in told["matches"]]

    def begin(self, cell, *, subshell=None, word="begun"):
        """Start a cell, and come back when it has printed *word*."""
        asked = self.start(cell, subshell=subshell)
        self.await_print(asked, word)
        return asked

    def await_print(self, asked, word):
        while True:
            kind, content = self._next(asked)
            if kind == "stream" and word in content["text"]:
                return
            assert kind != "error", content
            assert (kind, content.get("execution_state")) != ("status", "idle"), f"it ended, and never said {word}"

    def stop(self, way="signal"):
        """Press the stop button."""
        if way == "signal":
            self.manager.interrupt_kernel()
        else:
            assert "ok" == self.ask_control("interrupt_request")["status"]

    def stop_once_begun(self, cell, way="signal"):
        """Press the stop button when the cell has printed "begun"; what else it shows, and how long stopping took."""
        asked = self.begin(cell)
        start = time.monotonic()
        self.stop(way)
        shown = self.result(asked)
        return shown, time.monotonic() - start

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


KINDS = {
    "7-asyncio": {"loop": "asyncio"},
    "7-uvloop": {"loop": "uvloop"},
    "6-asyncio": {"loop": "asyncio", "versions": (OLDER,)},
    "6-uvloop": {"loop": "uvloop", "versions": (OLDER,)},
}

PRELUDE = """
import asyncio, sys, threading
from ciops_nb import sync

trail = []

@sync.twin
async def where(number=7):
    await asyncio.sleep(0)
    return number, threading.current_thread().name

async def forever():
    try:
        print("begun", flush=True)
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.02)
        trail.append("clean")

wait = sync.twin(forever)

def new_button(on_click):
    import ipywidgets
    button = ipywidgets.Button()
    button.on_click(lambda button: on_click())
    print(button.comm.comm_id, flush=True)
    return button
"""
