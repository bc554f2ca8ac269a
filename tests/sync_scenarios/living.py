"""Forks, leaks and silence."""

import asyncio
import gc
import os
import sys
import threading
import time
import traceback
import warnings

from harness import in_background, play, raises, takes_less_than

from ciops_nb import sync
from ciops_nb.sync import crossing


@sync.twin
async def empty() -> int:
    return 42


@sync.twin
async def fail() -> None:
    raise LookupError


@sync.twin
async def nested() -> int:
    return empty.sync()


def _in_child(check: object) -> int:
    """The exit code of a forked child that calls *check* and exits the ordinary way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of every fork beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            check()
            code = 0
        except BaseException:  # noqa: BLE001  the parent judges by the exit code
            traceback.print_exc()
        sys.exit(code)
    with takes_less_than(10):
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _works() -> None:
    assert 42 == empty.sync() == nested.sync() == asyncio.run(empty())

    async def main() -> int:
        return await sync.in_thread(max, 1, 42)

    assert 42 == sync.run(main(), timeout=10)


def a_forked_child_has_a_loop_of_its_own() -> None:
    _works()
    begun, finish = threading.Event(), threading.Event()

    @sync.twin
    async def lasting() -> str:
        begun.set()
        await sync.in_thread(finish.wait)
        return "the parent's own"

    results: list[str] = []
    thread = in_background(lambda: results.append(lasting.sync()))
    begun.wait()
    assert [0] * 3 == [_in_child(_works) for _ in range(3)]
    _works()
    finish.set()
    thread.join()
    assert ["the parent's own"] == results


def a_fork_before_the_first_call() -> None:
    assert 0 == _in_child(_works)
    _works()


def a_fork_in_a_thread_and_on_the_home_loop() -> None:
    _works()

    async def forks() -> int:
        return _in_child_that_leaves_at_once(_works)

    assert 0 == sync.run(forks())
    codes: list[int] = []
    in_background(lambda: codes.append(_in_child_that_leaves_at_once(_works))).join()
    assert [0] == codes
    _works()


def _in_child_that_leaves_at_once(check: object) -> int:
    """As multiprocessing does: no finalization of an interpreter that is in the midst of something."""

    def checked() -> None:
        code = 1
        try:
            check()
            code = 0
        except BaseException:  # noqa: BLE001  the parent judges by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)

    return _in_child(checked)


def three_thousand_calls_leave_nothing_behind() -> None:
    async def awaited(times: int) -> None:
        for _ in range(times):
            assert 42 == await empty()
            with raises(LookupError):
                await fail()

    async def pooled() -> None:
        assert 42 == await sync.in_thread(max, 1, 42)

    async def never() -> None:
        await asyncio.Event().wait()

    def mixed(times: int) -> None:
        for _ in range(times):
            assert 42 == empty.sync() == nested.sync()
            with raises(LookupError):
                fail.sync()
            with raises(TimeoutError):
                sync.run(never(), timeout=0)
            sync.run(pooled())
            empty()
        asyncio.run(awaited(times))
        sync.run(awaited(times))

    def census() -> tuple[int, int, int]:
        empty.sync()
        gc.collect()
        return len(gc.get_objects()), threading.active_count(), len(asyncio.all_tasks(crossing._homes[0].loop))

    mixed(50)
    before = census()
    mixed(330)
    after = census()
    assert before[1:] == after[1:]
    assert after[0] - before[0] < 100, f"{after[0] - before[0]} objects more"


def calls_make_no_reference_cycles() -> None:
    async def awaited() -> None:
        for _ in range(50):
            await empty()

    async def blocked() -> None:
        for _ in range(50):
            empty.sync()

    def all_ways() -> None:
        for _ in range(50):
            empty.sync()
        sync.run(awaited())
        sync.run(blocked())

    all_ways()
    gc.collect()
    gc.disable()
    before = len(gc.get_objects())
    all_ways()
    empty.sync()
    assert len(gc.get_objects()) - before < 30


def a_silent_home_loop_is_told_of_once() -> None:
    crossing._SILENCE, crossing._ANSWER = 0.2, 0.1
    held, release = threading.Event(), threading.Event()

    @sync.twin
    async def hold() -> None:
        held.set()
        release.wait()  # the mistake that is warned of

    async def main() -> int:
        return await empty()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        holder = in_background(hold.sync)
        held.wait()
        waiters = [in_background(empty.sync), in_background(lambda: asyncio.run(main()))]
        while not said:
            time.sleep(0.01)
        time.sleep(0.7)
        release.set()
        for thread in (holder, *waiters):
            thread.join()
    (warning,) = said
    assert RuntimeWarning is warning.category
    text = str(warning.message)
    assert " has waited for 0.3 s, and the loop of ciops_nb does not turn: something keeps it busy." in text
    assert "release.wait()  # the mistake that is warned of" in text


def a_long_wait_on_a_turning_loop_is_not_told_of() -> None:
    crossing._SILENCE, crossing._ANSWER = 0.05, 0.05

    @sync.twin
    async def lasting() -> int:
        await asyncio.sleep(0.4)
        return 42

    async def main() -> int:
        return await lasting()

    assert 42 == lasting.sync() == asyncio.run(main())


if __name__ == "__main__":
    play(globals())
