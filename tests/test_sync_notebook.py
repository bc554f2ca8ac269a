"""The opt-in in real kernels: plain code in cells waits on the loop of the notebook itself."""

import pytest

from tests.kernels import KINDS, NEST, OLDER, PRELUDE, Kernel

MINE = (
    PRELUDE
    + """
feed = asyncio.Queue()
mine = asyncio.get_running_loop()

async def double(number):
    await asyncio.sleep(0)
    return 2 * number

async def take():
    print("begun", flush=True)
    return await feed.get()

async def beat(times):
    for number in range(times):
        await asyncio.sleep(0.001)
        feed.put_nowait(number)

class Session:
    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        return self

    async def get(self, what):
        assert asyncio.get_running_loop() is self.loop
        await asyncio.sleep(0)
        return what
"""
)
WAITS = [
    "sync.run(forever(), where='caller')",
    "wait.sync()",
    "await asyncio.sleep(0)\nsync.run(forever(), where='caller')",
]


def test_without_the_opt_in_an_error_says_what_to_do(plain):
    shown = plain.run(
        "try:\n    sync.run(double(21), where='caller')\nexcept sync.run.__globals__['CannotWait'] as error:\n    print(error)"
    )

    module = "uvloop" if plain.loop == "uvloop" else "asyncio.unix_events"
    assert [
        f"The loop that runs here ({module}) stands still meanwhile, so double cannot be waited for. Await it; or load "
        "the extension in a cell of its own (%load_ext ciops_nb) and run this cell again; or, on a loop of asyncio's "
        "own, call ciops_nb.sync.use_running_loop() once."
    ] == shown
    assert ["False"] == plain.run("hasattr(asyncio, '_nest_patched')")


# ── cells that run in greenlets ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=KINDS)
def plain(request):
    kernel = Kernel(**KINDS[request.param])
    try:
        assert [] == kernel.run(MINE)
        yield kernel
    finally:
        kernel.close()


@pytest.fixture
def loaded(plain):
    assert [] == plain.run("%load_ext ciops_nb\ntrail.clear()")
    yield plain
    assert [] == plain.run("%unload_ext ciops_nb")
    assert ["CannotWait"] == plain.run("sync.run(double(21), where='caller')")
    assert ["False"] == plain.run("hasattr(asyncio, '_nest_patched')")


def test_the_cell_that_loads_the_extension_is_not_in_it(plain):
    cell = "%load_ext ciops_nb\nsync.use_running_loop()\nprint('well')\nsync.run(double(21), where='caller')"
    assert ["well", "CannotWait"] == plain.run(cell)
    assert ["42"] == plain.run("sync.use_running_loop()\nsync.run(double(21), where='caller')")
    assert ["False"] == plain.run("hasattr(asyncio, '_nest_patched')")
    assert [] == plain.run("%unload_ext ciops_nb")


def test_it_runs_on_the_loop_of_the_notebook_in_this_thread(loaded):
    cell = """
async def here():
    await asyncio.sleep(0)
    return asyncio.get_running_loop(), threading.current_thread().name
assert sync.run(here(), where="caller") == (asyncio.get_running_loop(), "MainThread")
where.sync()
"""
    assert ["(7, 'ciops-home')"] == loaded.run(cell)
    assert ["(7, 'ciops-home')"] == loaded.run("await asyncio.sleep(0)" + cell)


def test_tasks_go_on_while_a_cell_waits(loaded):
    cell = """
task = asyncio.ensure_future(beat(5))
[sync.run(feed.get(), where="caller") for _ in range(5)], task.done() or sync.run(task_end(task), where="caller")
"""
    loaded.run("async def task_end(task):\n    await task\n    return True")
    assert ["([0, 1, 2, 3, 4], True)"] == loaded.run(cell)
    assert ["([0, 1, 2, 3, 4], True)"] == loaded.run("await asyncio.sleep(0)\n" + cell)


def test_tasks_go_on_while_a_tool_is_waited_for(loaded):
    cell = """
release = threading.Event()

@sync.twin
async def until_released():
    return await sync.in_thread(release.wait, 30)

async def let_go():
    await asyncio.sleep(0)
    release.set()

task = asyncio.ensure_future(let_go())
until_released.sync()
"""
    assert ["True"] == loaded.run(cell)


def test_a_helper_deep_in_plain_code_waits(loaded):
    cell = """
def helper(number):
    return sync.run(double(number), where="caller") + where.sync(1)[0]
max(map(helper, range(5)), key=lambda number: sync.run(double(number), where="caller"))
"""
    assert ["9"] == loaded.run(cell)


def test_a_session_opened_with_await_serves_later_cells(loaded):
    assert [] == loaded.run("session = await Session().__aenter__()")
    assert ["'page'"] == loaded.run("sync.run(session.get('page'), where='caller')")
    assert ["AssertionError"] == loaded.run("sync.run(session.get('page'))")  # the home loop is another


@pytest.mark.parametrize("wait", ["sync.run(clicked.wait(), where='caller')", "until_clicked.sync()"])
def test_clicks_arrive_while_a_cell_waits(loaded, wait):
    cell = """
clicked, at_home = asyncio.Event(), threading.Event()

@sync.twin
async def until_clicked():
    await sync.in_thread(at_home.wait, 30)

def on_click():
    print("click")
    trail.append(where.sync())
    clicked.set(), at_home.set()

button = new_button(on_click)
"""
    (comm,) = loaded.run(cell)
    asked = loaded.begin(f"print('begun', flush=True)\n{wait}\nprint('after')\ntrail")

    loaded.click(comm)

    shown = loaded.result(asked)
    assert ["after", "[(7, 'ciops-home')]"] == shown[-2:]
    assert [*shown[:-2], "click"] in (["click"], ["click", "click"])  # ipykernel 7 shows it under the cell


def test_a_click_that_fails_does_not_end_the_cell(loaded):
    (comm,) = loaded.run(
        "again = iter([lambda: 1 / 0, lambda: feed.put_nowait('second')])\nbutton = new_button(lambda: next(again)())"
    )
    asked = loaded.begin("sync.run(take(), where='caller')")

    loaded.click(comm)
    loaded.click(comm)

    assert "'second'" == loaded.result(asked)[-1]


def test_a_cell_in_the_queue_waits_for_its_turn(loaded):
    (comm,) = loaded.run("button = new_button(lambda: feed.put_nowait('click'))")
    first = loaded.begin("got = sync.run(take(), where='caller')\ngot")
    others = [loaded.start(f"got += '{number}'\ngot") for number in range(3)]

    loaded.click(comm)

    assert [["'click'"], ["'click0'"], ["'click01'"], ["'click012'"]] == [
        loaded.result(one) for one in (first, *others)
    ]


@pytest.mark.parametrize("way", ["signal", "message"])
@pytest.mark.parametrize("cell", WAITS)
def test_the_stop_button_ends_a_wait(loaded, cell, way):
    shown, seconds = loaded.stop_once_begun(cell, way)

    assert ["KeyboardInterrupt"] == shown
    assert seconds < 2
    assert ["['clean']"] == loaded.run("trail")
    assert ["42"] == loaded.run("sync.run(double(21), where='caller')")
    assert ["(7, 'ciops-home')"] == loaded.run("where.sync()")


def test_the_stop_button_gives_up_on_what_will_not_end(loaded):
    cell = """
let_it_end = asyncio.Event()
async def stubborn():
    print("begun", flush=True)
    while not let_it_end.is_set():
        try:
            await let_it_end.wait()
        except asyncio.CancelledError:
            pass
"""
    loaded.run(cell)
    shown, seconds = loaded.stop_once_begun(
        "import warnings\nwith warnings.catch_warnings(record=True) as said:\n    warnings.simplefilter('always')\n    sync.run(stubborn(), where='caller')"
    )

    assert ["KeyboardInterrupt"] == shown
    assert 2 <= seconds < 4
    assert ["['stubborn was cancelled, but goes on in the background']"] == loaded.run(
        "[str(one.message) for one in said]"
    )
    assert [] == loaded.run("let_it_end.set()\nawait asyncio.sleep(0)")


def test_pressed_twice_it_cancels_what_holds_the_loop_up(loaded):
    cell = """
import signal, time
pressed = []
signal.signal(signal.SIGINT, lambda *_: pressed.append(1))

def hold():
    print("held", flush=True)
    while not pressed:
        time.sleep(0.01)
    print("pressed", flush=True)
    while True:
        time.sleep(0.01)

async def holds():
    hold()

task = asyncio.ensure_future(holds())
sync.run(forever(), where="caller")
"""
    asked = loaded.begin(cell, word="held")

    loaded.stop()
    loaded.await_print(asked, "pressed")
    loaded.stop()

    assert "KeyboardInterrupt" == loaded.result(asked)[-1]
    assert ["(True, ['clean'])"] == loaded.run("task.cancelled(), trail")


def test_time_runs_out_and_errors_arrive(loaded):
    assert ["begun", "ToolTimedOut"] == loaded.run("sync.run(forever(), where='caller', timeout=0.05)")
    assert ["begun", "ToolTimedOut"] == loaded.run("sync.run(forever(), timeout=0.05)")
    assert ["['clean', 'clean']"] == loaded.run("trail")
    cell = """
async def fail(error):
    raise error
for error in (LookupError("gone"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()):
    try:
        sync.run(fail(error), where="caller")
    except BaseException as caught:
        trail.append(caught is error and caught.__context__)
trail[2:]
"""
    assert ["[None, None, None, None]"] == loaded.run(cell)


def test_variables_go_in_and_come_back(loaded):
    cell = """
from contextvars import ContextVar
tenant = ContextVar("tenant", default="none")

async def choose(name):
    before = tenant.get()
    tenant.set(name)
    return before

at_home = sync.twin(choose)
[sync.run(choose("first"), where="caller"), at_home.sync("second"), sync.run(choose("third"), where="caller"), tenant.get()]
"""
    assert ["['none', 'first', 'second', 'third']"] == loaded.run(cell)


def test_waits_in_a_cell_leave_nothing_behind(loaded):
    cell = """
import gc

async def fail():
    raise LookupError

at_home, failing = sync.twin(double), sync.twin(fail)

def mixed(times):
    for _ in range(times):
        assert 42 == sync.run(double(21), where="caller") == at_home.sync(21)
        for ask in (lambda: sync.run(fail(), where="caller"), failing.sync):
            try:
                ask()
            except LookupError:
                pass

def census():
    gc.collect()
    return len(gc.get_objects()), threading.active_count(), len(asyncio.all_tasks())

mixed(20)
before = census()
mixed(250)
after = census()
before[1:] == after[1:], after[0] - before[0] < 100
"""
    assert ["(True, True)"] == loaded.run(cell)


def test_threads_and_forks_of_a_cell_are_no_part_of_it(loaded):
    cell = """
answers = []
def ask():
    answers.append(where.sync()[1])
    try:
        sync.run(double(21), where="caller")
    except RuntimeError as error:
        answers.append(str(error)[:18])
thread = threading.Thread(target=ask)
thread.start(), thread.join()
answers
"""
    assert ["['ciops-home', 'No loop runs here,']"] == loaded.run(cell)
    cell = """
import os
child = os.fork()
if child == 0:
    os._exit(0 if where.sync() == (7, "ciops-home") else 3)
os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), where.sync()[0]
"""
    assert ["(0, 7)"] == loaded.run(cell)


def test_a_subshell_waits_on_a_loop_of_its_own(loaded):
    if loaded.major < 7:
        pytest.skip("subshells came with ipykernel 7")
    subshell = loaded.ask_control("create_subshell_request")["subshell_id"]
    try:
        asked = loaded.begin("fed = sync.run(take(), where='caller')")
        cell = "async def here():\n    await asyncio.sleep(0)\n    return threading.current_thread() is threading.main_thread()\n"
        cell += "sync.run(here(), where='caller'), where.sync()[1]"
        assert ["(False, 'ciops-home')"] == loaded.result(loaded.start(cell, subshell=subshell))
        loaded.result(loaded.start("handle = mine.call_soon_threadsafe(feed.put_nowait, 'fed')", subshell=subshell))
        assert [] == loaded.result(asked)
        assert ["'fed'"] == loaded.run("fed")
    finally:
        assert "ok" == loaded.ask_control("delete_subshell_request", {"subshell_id": subshell})["status"]


# ── nest-asyncio ────────────────────────────────────────────────────────────────────────────────────────────────────

APPLY = {
    "ours": "sync.use_running_loop()",
    "nest_asyncio2 before": "import nest_asyncio2\nnest_asyncio2.apply()\nsync.use_running_loop()",
    "nest_asyncio 1.6 before": "import nest_asyncio\nnest_asyncio.apply()",
}


@pytest.fixture(scope="module", params=[(version, apply) for version in ("7", "6") for apply in APPLY], ids=" ".join)
def nested(request):
    version, apply = request.param
    kernel = Kernel(versions=[OLDER] * (version == "6") + [NEST] * ("1.6" in apply))
    try:
        assert [] == kernel.run(MINE + "import warnings\nwarnings.simplefilter('error')")
        assert [] == kernel.run(APPLY[apply])
        if (version, apply) == ("7", "nest_asyncio 1.6 before"):
            assert ["RuntimeWarning"] == kernel.run("where.sync()")  # once
        assert [] == kernel.run("sync.use_running_loop()")
        assert [str("1.6" not in apply)] == kernel.run("hasattr(asyncio, '_nest_asyncio2')")
        yield kernel
    finally:
        kernel.close()


def test_nested_it_waits_on_the_loop_of_the_notebook(nested):
    cell = """
session = await Session().__aenter__()
task = asyncio.ensure_future(beat(3))
sync.run(session.get("page"), where="caller"), [sync.run(feed.get(), where="caller") for _ in range(3)], where.sync()[1]
"""
    assert ["('page', [0, 1, 2], 'ciops-home')"] == nested.run(cell)
    cell = "task = asyncio.ensure_future(beat(3))\n[sync.run(feed.get(), where='caller') for _ in range(3)], where.sync()[1], await_at_home.sync()"
    nested.run("@sync.twin\nasync def await_at_home():\n    return (await where())[0] + where.sync()[0]")
    assert ["([0, 1, 2], 'ciops-home', 14)"] == nested.run(cell)


@pytest.mark.parametrize("cell", WAITS)
def test_nested_the_stop_button_ends_a_wait(nested, cell):
    nested.run("trail.clear()")

    shown, seconds = nested.stop_once_begun(cell)

    assert ["KeyboardInterrupt"] == shown
    assert seconds < 2
    assert ["['clean']"] == nested.run("trail")
    assert ["42"] == nested.run("sync.run(double(21), where='caller')")


PRESSED = """
import signal

async def bystander():
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0)
    return "went on"

async def presses():
    signal.raise_signal(signal.SIGINT)
    await forever()
"""


def test_nested_the_stop_button_takes_nothing_with_it_that_runs_just_then(nested):
    nested.run(f"{PRESSED}\ntrail.clear()")

    cell = "task = asyncio.ensure_future(bystander())\nsync.run(forever(), where='caller')"
    assert ["begun", "KeyboardInterrupt"] == nested.run(cell)

    assert ["('went on', ['clean'])"] == nested.run("await task, trail")


def test_nested_the_stop_button_is_heard_as_soon_as_the_work_begins(nested):
    nested.run(f"{PRESSED}\ntrail.clear()")

    assert ["begun", "KeyboardInterrupt"] == nested.run("sync.run(presses(), where='caller')")

    assert ["['clean']"] == nested.run("trail")


def test_nested_time_runs_out_and_variables_come_back(nested):
    assert ["begun", "ToolTimedOut"] == nested.run("sync.run(forever(), where='caller', timeout=0.05)")
    cell = """
from contextvars import ContextVar
tenant = ContextVar("tenant", default="none")

async def choose(name):
    before = tenant.get()
    await asyncio.sleep(0)
    tenant.set(name)
    return before

[sync.run(choose("first"), where="caller"), sync.run(choose("second"), where="caller"), tenant.get()]
"""
    assert ["['none', 'first', 'second']"] == nested.run(cell)


def test_nested_a_queue_of_cells_is_answered(nested):
    asked = [nested.start(f"sync.run(double({number}), where='caller')") for number in range(6)]

    assert [[str(2 * number)] for number in range(6)] == [nested.result(one) for one in asked]


def test_uvloop_cannot_turn_inside_itself(plain):
    if plain.loop != "uvloop":
        pytest.skip("this is a loop of asyncio's own")
    assert ["CannotWait"] == plain.run("sync.use_running_loop()")
    assert ["False"] == plain.run("hasattr(asyncio, '_nest_patched')")
