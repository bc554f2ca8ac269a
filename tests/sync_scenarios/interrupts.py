"""Ctrl-C, and time that runs out."""

import asyncio
import signal
import threading
import time
import warnings

from harness import interrupt_after, play, raises, takes_at_least, takes_less_than

from ciops_nb import sync
from ciops_nb.errors import ToolTimedOut
from ciops_nb.sync import crossing

begun, cleaning = threading.Event(), threading.Event()
trail: list[str] = []


@sync.twin
async def wait() -> None:
    try:
        begun.set()
        await asyncio.Event().wait()
    finally:
        cleaning.set()
        await asyncio.sleep(0.02)
        trail.append("clean")


@sync.twin
async def stubborn() -> None:
    begun.set()
    while not finish.is_set():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            cleaning.set()


finish = threading.Event()


@sync.twin
async def empty() -> int:
    return 42


def _blocked_is_interrupted() -> None:
    with takes_less_than(1.5), raises(KeyboardInterrupt):
        wait.sync()
    assert ["clean"] == trail
    assert 42 == empty.sync()


def ctrl_c_without_a_loop() -> None:
    interrupt_after(begun)
    _blocked_is_interrupted()
    assert signal.default_int_handler is signal.getsignal(signal.SIGINT)


def ctrl_c_inside_a_running_loop() -> None:
    async def main() -> str:
        before = signal.getsignal(signal.SIGINT)
        interrupt_after(begun)
        _blocked_is_interrupted()
        assert before is signal.getsignal(signal.SIGINT)
        return "the loop goes on"

    assert "the loop goes on" == asyncio.run(main())


def ctrl_c_inside_a_running_loop_ends_asyncio_run() -> None:
    async def main() -> None:
        interrupt_after(begun)
        wait.sync()

    with takes_less_than(1.5), raises(KeyboardInterrupt):
        asyncio.run(main())
    assert ["clean"] == trail


def ctrl_c_under_uvloop() -> None:
    import uvloop

    async def main() -> None:
        interrupt_after(begun)
        _blocked_is_interrupted()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def ctrl_c_where_a_loop_has_a_signal_handler() -> None:
    async def main() -> None:
        called = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, called.set)
        interrupt_after(begun)
        _blocked_is_interrupted()
        await asyncio.wait_for(called.wait(), 5)
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    asyncio.run(main())


def ctrl_c_while_awaiting() -> None:
    async def main() -> None:
        interrupt_after(begun)
        await wait()

    with takes_less_than(1.5), raises(KeyboardInterrupt):
        asyncio.run(main())
    assert ["clean"] == trail


def ctrl_c_through_nested_calls() -> None:
    async def outer() -> None:
        try:
            wait.sync()
        finally:
            trail.append("outer")

    interrupt_after(begun)
    with takes_less_than(1.5), raises(KeyboardInterrupt):
        sync.run(outer())
    assert ["clean", "outer"] == trail


def a_second_ctrl_c_ends_the_wait_for_the_clean_up() -> None:
    async def main() -> None:
        interrupt_after(begun, cleaning)
        with takes_less_than(1.5), warnings.catch_warnings(record=True) as said, raises(KeyboardInterrupt):
            warnings.simplefilter("always")
            stubborn.sync()
        assert ["stubborn was cancelled, but goes on in the background"] == [str(one.message) for one in said]
        assert [__file__] == [one.filename for one in said]
        finish.set()

    asyncio.run(main())


def a_late_ctrl_c_costs_nothing() -> None:
    @sync.twin
    async def work() -> int:
        begun.set()
        return 1

    def at_last(number: int, frame: object) -> None:
        while asyncio.all_tasks(
            crossing._homes[0].loop
        ):  # until the work has ended, while the caller is still to learn it
            time.sleep(0.001)

    signal.signal(signal.SIGINT, at_last)
    interrupt_after(begun)
    with takes_less_than(1), raises(KeyboardInterrupt):
        while True:  # one call may be over before the signal comes
            work.sync()
            begun.clear()


def the_handler_of_somebody_else_is_called_first() -> None:
    def handler(number: int, frame: object) -> None:
        trail.append("handler")

    signal.signal(signal.SIGINT, handler)
    interrupt_after(begun)
    with raises(KeyboardInterrupt):
        wait.sync()
    assert ["handler", "clean"] == trail
    assert handler is signal.getsignal(signal.SIGINT)


def the_error_of_somebody_elses_handler_comes_through() -> None:
    class Stop(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Stop

    signal.signal(signal.SIGINT, handler)
    interrupt_after(begun)
    with raises(Stop):
        wait.sync()
    assert ["clean"] == trail


def ignored_interrupts_stay_ignored() -> None:
    @sync.twin
    async def work() -> int:
        begun.set()
        await asyncio.sleep(0.1)
        return 42

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupt_after(begun)
    assert 42 == work.sync()
    assert signal.SIG_IGN is signal.getsignal(signal.SIGINT)


def other_signals_raise_through_and_cancel() -> None:
    class Alarm(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Alarm

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with raises(Alarm):
        wait.sync()
    assert ["clean"] == trail


def time_runs_out() -> None:
    async def main() -> None:
        with takes_less_than(1.5), raises(ToolTimedOut) as errors:
            sync.run(wait(), timeout=0.05)
        assert ("wait", 0.05) == (errors[0].tool, errors[0].seconds)
        assert isinstance(errors[0], TimeoutError)
        assert errors[0].__context__ is None

    asyncio.run(main())
    assert ["clean"] == trail
    with raises(ToolTimedOut):
        sync.block(wait.__wrapped__, name="wait", timeout=0.05)
    assert ["clean"] * 2 == trail


def no_time_at_all() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    for _ in range(200):
        with raises(ToolTimedOut):
            sync.run(never(), timeout=0)
    assert 42 == empty.sync()


def enough_time() -> None:
    assert 42 == sync.block(empty.__wrapped__, name="empty", timeout=10)


def work_that_will_not_end_is_left_after_two_seconds() -> None:
    with takes_at_least(2), takes_less_than(4), warnings.catch_warnings(record=True) as said, raises(ToolTimedOut):
        warnings.simplefilter("always")
        sync.run(stubborn(), timeout=0.01)
    assert ["Call was cancelled, but goes on in the background"] != [str(one.message) for one in said]
    assert ["stubborn was cancelled, but goes on in the background"] == [str(one.message) for one in said]
    finish.set()


if __name__ == "__main__":
    play(globals())
