"""The crossing in real kernels: cells that block, cells that await, and the stop button."""

import sys
import time
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[1]
SECONDS = 30

PRELUDE = f"""
import asyncio, sys, threading
sys.path.insert(0, {str(ROOT)!r})
from ciops_nb import sync

begun = threading.Event()
trail = []

@sync.twin
async def where(number=7):
    await asyncio.sleep(0)
    return number, threading.current_thread().name

@sync.twin
async def wait():
    try:
        print("begun", flush=True)
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.02)
        trail.append("clean")
"""

LAUNCH = {
    "asyncio": "from ipykernel import kernelapp; kernelapp.launch_new_instance()",
    "uvloop": "import asyncio, uvloop; asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); "
    "from ipykernel import kernelapp; kernelapp.launch_new_instance()",
}


class Kernel:
    """A kernel of this interpreter, asked one cell at a time."""

    def __init__(self, loop: str = "asyncio") -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[:] = [sys.executable, "-c", LAUNCH[loop], "-f", "{connection_file}"]
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    def start(self, cell):
        return self.client.execute(cell)

    def result(self, asked):
        """What the cell displayed, printed, or raised."""
        shown, deadline = [], time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind == "execute_result":
                shown.append(content["data"]["text/plain"])
            elif kind == "stream":
                shown.append(content["text"].strip())
            elif kind == "error":
                shown.append(content["ename"])
            elif kind == "status" and content["execution_state"] == "idle":
                return shown
        raise AssertionError(f"the cell did not end; it had shown {shown}")

    def run(self, cell):
        return self.result(self.start(cell))

    def stop_once_begun(self, cell):
        """Press the stop button when the cell has printed "begun"; what else it shows, and how long stopping took."""
        asked = self.start(cell)
        while True:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            if message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
                break
        start = time.monotonic()
        self.manager.interrupt_kernel()
        shown = self.result(asked)
        return shown, time.monotonic() - start

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def kernel(request):
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed, so no kernel can run on it")
    kernel = Kernel(request.param)
    try:
        assert [] == kernel.run(PRELUDE)
        loop = "uvloop" if request.param == "uvloop" else "asyncio.unix_events"
        assert [repr(loop)] == kernel.run("type(asyncio.get_running_loop()).__module__")
        yield kernel
    finally:
        kernel.close()


HOME = ["(7, 'ciops-home')"]


def test_a_cell_blocks(kernel):
    assert HOME == kernel.run("where.sync()")


def test_a_cell_awaits(kernel):
    assert HOME == kernel.run("await where()")


def test_a_cell_shows_a_forgotten_await(kernel):
    assert ["<where(...): not run yet: await it, or use .sync(...)>"] == kernel.run("where()")


def test_both_ways_share_a_lock_made_at_home(kernel):
    cell = """
async def make():
    return asyncio.Lock()
lock, inside = sync.run(make()), []

@sync.twin
async def critical(number):
    async with lock:
        inside.append(number)
        await asyncio.sleep(0.001)
        return inside.pop() == number and not inside

waiting = asyncio.gather(*(critical(number) for number in range(5)))
await asyncio.sleep(0)
blocked = [critical.sync(number) for number in range(5)]
blocked + await waiting
"""
    assert [str([True] * 10)] == kernel.run(cell)


def test_a_thread_in_a_cell_blocks(kernel):
    cell = """
answers = []
threads = [threading.Thread(target=lambda: answers.append(where.sync())) for _ in range(5)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
set(answers)
"""
    assert ["{(7, 'ciops-home')}"] == kernel.run(cell)


def test_plain_code_between_two_coroutines_blocks(kernel):
    cell = """
@sync.twin
async def outer():
    return plain()

def plain():
    return where.sync()

assert outer.sync() == await outer()
outer.sync()
"""
    assert HOME == kernel.run(cell)


def test_a_cell_with_a_loop_of_its_own_in_a_thread(kernel):
    assert HOME == kernel.run("await asyncio.to_thread(lambda: asyncio.run(where()))")


@pytest.mark.parametrize("cell", ["wait.sync()", "await wait()", "await asyncio.gather(wait(), where())"])
def test_the_stop_button_stops_a_cell_and_the_next_one_runs(kernel, cell):
    kernel.run("trail.clear()")

    shown, seconds = kernel.stop_once_begun(cell)

    assert shown in (["KeyboardInterrupt"], ["CancelledError"])
    assert seconds < 2
    assert HOME == kernel.run("where.sync()")
    assert HOME == kernel.run("await where()")
    assert ["['clean']"] == kernel.run("trail")


def test_the_stop_button_stops_again(kernel):
    for cell in ("wait.sync()", "await wait()", "wait.sync()"):
        shown, seconds = kernel.stop_once_begun(cell)
        assert shown in (["KeyboardInterrupt"], ["CancelledError"])
        assert seconds < 2
    assert HOME == kernel.run("where.sync()")


def test_an_error_in_a_cell_is_the_error_of_the_work(kernel):
    cell = "async def fail():\n    raise LookupError('gone')\n"
    assert ["LookupError"] == kernel.run(cell + "sync.run(fail())")
    assert ["LookupError"] == kernel.run("await sync.twin(fail)()")


def test_time_runs_out_in_a_cell(kernel):
    assert ["begun", "ToolTimedOut"] == kernel.run("sync.run(wait(), timeout=0.05)")


def test_a_variable_set_by_the_work_is_set_in_the_cell(kernel):
    cell = """
from contextvars import ContextVar
tenant = ContextVar("tenant", default="none")

@sync.twin
async def choose(name):
    tenant.set(name)

choose.sync("blocked")
blocked = tenant.get()
await choose("awaited")
blocked, tenant.get()
"""
    assert ["('blocked', 'awaited')"] == kernel.run(cell)


def test_queued_cells_all_answer(kernel):
    asked = [kernel.start(cell) for cell in ["where.sync()", "await where()"] * 3]

    assert [HOME] * 6 == [kernel.result(one) for one in asked]


def test_the_kernel_shuts_down_with_work_pending():
    kernel = Kernel()
    try:
        kernel.run(PRELUDE)
        asked = kernel.run("task = asyncio.ensure_future(wait()); await asyncio.sleep(0.05)")
        start = time.monotonic()
        kernel.client.shutdown()
        while kernel.manager.is_alive() and time.monotonic() - start < SECONDS:
            time.sleep(0.05)
        assert asked == ["begun"]
        assert time.monotonic() - start < 5
    finally:
        kernel.close()
