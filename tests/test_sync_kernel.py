"""The crossing in real kernels: cells that block, cells that await, widgets, subshells, and the stop button."""

import time

import pytest

from tests.kernels import KINDS, PRELUDE, SECONDS, Kernel


@pytest.fixture(scope="module", params=KINDS)
def kernel(request):
    kernel = Kernel(**KINDS[request.param])
    try:
        assert [] == kernel.run(PRELUDE)
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


@pytest.mark.parametrize("way", ["signal", "message"])
@pytest.mark.parametrize("cell", ["wait.sync()", "await wait()", "await asyncio.gather(wait(), where())"])
def test_the_stop_button_stops_a_cell_and_the_next_one_runs(kernel, cell, way):
    kernel.run("trail.clear()")

    shown, seconds = kernel.stop_once_begun(cell, way)

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


@pytest.mark.parametrize("made", ["await make()", "make.sync()"])
def test_both_ways_share_a_session_that_was_opened_at_home(kernel, made):
    cell = (
        """
class Session:
    def __init__(self):
        self.loop, self.free, self.asked = asyncio.get_running_loop(), asyncio.Semaphore(2), asyncio.Queue()

    async def get(self, what):
        assert asyncio.get_running_loop() is self.loop
        async with self.free:
            await self.asked.put(what)
            await asyncio.sleep(0)
            return what

@sync.twin
async def make():
    return Session()

@sync.twin
async def get(what):
    return await session.get(what)

@sync.twin
async def asked():
    return [await session.asked.get() for _ in range(5)]

session = """
        + made
        + """
answers = [get.sync(0), *await asyncio.gather(*(get(number) for number in range(1, 4))), get.sync(4)]
answers, sorted(asked.sync())
"""
    )
    assert [str((list(range(5)), list(range(5))))] == kernel.run(cell)


def test_a_click_blocks_on_the_main_thread(kernel):
    (comm,) = kernel.run("button = new_button(lambda: trail.append((where.sync(), threading.current_thread().name)))")
    kernel.run("trail.clear()")

    kernel.result(kernel.click(comm))

    assert ["[((7, 'ciops-home'), 'MainThread')]"] == kernel.run("trail")


def test_a_click_reaches_a_cell_that_awaits(kernel):
    if kernel.major < 7:
        pytest.skip("ipykernel 6 keeps clicks until an async cell has ended")
    (comm,) = kernel.run(
        "clicked = asyncio.Event()\nbutton = new_button(lambda: (trail.append(where.sync()), clicked.set()))"
    )
    kernel.run("trail.clear()")
    asked = kernel.begin("print('begun', flush=True)\nasync with asyncio.timeout(30):\n    await clicked.wait()\ntrail")

    kernel.click(comm)

    assert ["[(7, 'ciops-home')]"] == kernel.result(asked)


def test_a_subshell_blocks_and_awaits_while_the_main_shell_is_blocked(kernel):
    if kernel.major < 7:
        pytest.skip("subshells came with ipykernel 7")
    kernel.run("trail.clear()")
    cell = """
async def until_clicked():
    global clicked
    clicked = asyncio.Event()
    print("begun", flush=True)
    await clicked.wait()
    return trail

@sync.twin
async def set_clicked():
    clicked.set()

def on_click():
    trail.append((where.sync(), threading.current_thread() is threading.main_thread()))
    set_clicked.sync()
"""
    assert [] == kernel.run(cell)
    subshell = kernel.ask_control("create_subshell_request")["subshell_id"]
    try:
        blocked = kernel.begin("sync.run(until_clicked(), timeout=60)")

        in_main = "threading.current_thread() is threading.main_thread()"
        assert ["((7, 'ciops-home'), False)"] == kernel.result(
            kernel.start(f"where.sync(), {in_main}", subshell=subshell)
        )
        assert ["((7, 'ciops-home'), False)"] == kernel.result(
            kernel.start(f"await where(), {in_main}", subshell=subshell)
        )
        # The clicks on a widget go to the subshell that made it.
        (comm,) = kernel.result(kernel.start("button = new_button(on_click)", subshell=subshell))
        kernel.click(comm, subshell=subshell)

        assert ["[((7, 'ciops-home'), False)]"] == kernel.result(blocked)
    finally:
        assert "ok" == kernel.ask_control("delete_subshell_request", {"subshell_id": subshell})["status"]


def test_a_cell_may_fork(kernel):
    cell = """
import os
def in_child():
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if where.sync() == (7, "ciops-home") else 3)
        except BaseException:
            os._exit(4)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
where.sync(), in_child(), where.sync()[0]
"""
    assert ["((7, 'ciops-home'), 0, 7)"] == kernel.run(cell)


HEARTBEAT = """
import time
import duckdb, numpy, polars

numbers = numpy.random.default_rng(7)
frame = polars.DataFrame({"key": numbers.integers(0, 300_000, 1_000_000), "value": numbers.random(1_000_000)})
rows, answers = 100_000_000, []

def ask_duckdb():
    (total,), = duckdb.connect().execute(f"select sum(hash(range) % 1000) from range({rows})").fetchall()
    answers.append(0 < total < 1000 * rows)

def ask_polars():
    ranks = polars.col("value").rank().over("key").alias("rank")
    most = frame.lazy().sort("value").with_columns(ranks).group_by("key").agg(polars.col("rank").max()).collect()
    answers.append(most.height == frame["key"].n_unique())

@sync.twin
async def query(seconds=2):
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        await sync.in_thread(ask_duckdb)
        await sync.in_thread(ask_polars)
    return time.monotonic() - start

async def beat(gaps):
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.005)
        now = time.monotonic()
        gaps.append(now - last)
        last = now

async def listen():
    gaps = []
    beating = asyncio.ensure_future(beat(gaps))
    took = await query()
    beating.cancel()
    gaps.sort()
    return took >= 2, all(answers), len(gaps) > 100, gaps[int(0.99 * len(gaps))] * 1000, gaps[-1] * 1000

"""


def test_the_loop_of_the_notebook_beats_while_engines_work_for_two_seconds(kernel):
    kernel.run(HEARTBEAT)
    for _ in range(3):  # what else this machine does may hold up one of them
        shown = kernel.run(
            "asked_long, right, many, p99, longest = await listen()\nprint(asked_long, right, many, p99, longest)"
        )
        *facts, p99, longest = shown[0].split()
        if float(p99) < 50 and float(longest) < 150:
            break
    assert ["True"] * 3 == facts
    assert float(p99) < 50
    assert float(longest) < 150


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
