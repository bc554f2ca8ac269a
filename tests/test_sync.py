"""The crossing, in scenarios that each play in a fresh interpreter with a time limit: there a deadlock is a verdict."""

import ast
import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ciops_nb import sync

SCENARIOS = Path(__file__).parent / "sync_scenarios"
ROOT = Path(__file__).parents[1]
SCRIPTS = ("calling", "nesting", "interrupts", "errors", "cancelling", "contexts", "living", "caller")


def play(script: str, name: str, *, seconds: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(SCENARIOS / f"{script}.py"), name],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def scenarios() -> list[tuple[str, str]]:
    """The functions of the scripts without an underscore and without parameters."""
    found = []
    for script in SCRIPTS:
        tree = ast.parse((SCENARIOS / f"{script}.py").read_text())
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        found += [(script, node.name) for node in functions if not node.name.startswith("_")]
    return found


@pytest.mark.parametrize(("script", "name"), scenarios())
def test_scenario(script, name):
    played = play(script, name)

    assert ("played\n", "", 0) == (played.stdout, played.stderr, played.returncode)


@pytest.mark.parametrize(
    ("name", "printed", "code"),
    [
        ("with_work_pending", "cleaned up\n", 0),
        ("with_a_thread_waiting", "cleaned up\n", 0),
        ("with_work_that_will_not_end", "no\n", 0),
        ("with_the_loop_held", "", 0),
        ("with_a_thread_of_the_pool_busy", "", 0),
        ("with_a_generator_open", "closed\n", 0),
        ("by_sys_exit", "cleaned up\n", 3),
        ("calling_once_more_at_exit", "registered after 42 42\n", 0),
        ("using_a_thread_for_the_first_time_at_exit", "thread 42 42\n", 0),
        ("calling_for_the_first_time_at_exit", "first 42 42\n", 0),
        ("calling_from_a_finalizer_at_exit", "finalizer 42\n", 0),
        ("calling_when_all_is_over", "over 42 42\n", 0),
    ],
)
def test_leaving_takes_less_than_five_seconds(name, printed, code):
    start = time.monotonic()
    left = play("leaving", name)
    took = time.monotonic() - start

    assert (printed, "", code) == (left.stdout, left.stderr, left.returncode)
    assert took < 5


def test_it_works_between_and_inside_tests_of_plain_pytest():
    assert 42 == answer.sync()


@pytest.mark.parametrize("turn", [1, 2])
async def test_it_works_in_the_loop_of_each_test(turn):
    assert 42 == await answer() == answer.sync()


@sync.twin
async def answer() -> int:
    await asyncio.sleep(0)
    return 42


ANYIO = """
import pytest
from ciops_nb import sync

pytestmark = pytest.mark.anyio

@pytest.fixture(params=["asyncio", pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")])
def anyio_backend(request):
    return request.param

@sync.twin
async def answer():
    return 42

@pytest.fixture
async def awaited():
    return await answer()

@pytest.mark.parametrize("turn", [1, 2])
async def test_both_ways(awaited, turn):
    assert 42 == awaited == answer.sync() == await answer()
"""


def test_it_works_in_the_plugin_of_anyio(tmp_path):
    (tmp_path / "test_with_anyio.py").write_text(ANYIO)
    played = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:asyncio",
            "-p",
            "no:cacheprovider",
            str(tmp_path),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 0 == played.returncode, played.stdout + played.stderr
    assert "4 passed" in played.stdout


# ── started, and not waited for ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_started_runs_at_home_and_hands_over_its_result_or_its_error() -> None:
    async def where() -> str:
        return threading.current_thread().name

    async def fail() -> None:
        raise LookupError("gone")

    assert "ciops-home" == sync.start(where, name="where").result(5)
    assert isinstance(sync.start(fail, name="fail").exception(5), LookupError)


def test_cancelling_what_was_started_cancels_the_work() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    future = sync.start(forever, name="forever")
    assert begun.wait(5)
    future.cancel()

    assert ended.wait(5)
