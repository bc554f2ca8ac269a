"""Waiting on the loop of the caller, and asking for it."""

import asyncio
import contextlib
import gc
import threading
import warnings
from contextvars import ContextVar

from harness import interrupt_after, play, raises, takes_at_least, takes_less_than

from ciops_nb import sync
from ciops_nb.errors import BadParameter, CannotWait, ToolTimedOut

begun, trail = threading.Event(), []
tenant: ContextVar[str] = ContextVar("tenant", default="none")


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


async def forever() -> None:
    try:
        begun.set()
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.02)
        trail.append("clean")


def _here(coro: object, **more: object) -> object:
    return sync.run(coro, where="caller", **more)


def it_is_asked_for_and_never_done_unasked() -> None:
    async def main() -> None:
        assert 42 == sync.run(answer()) == await sync.twin(answer)()
        coroutine = answer()
        with raises(CannotWait) as errors:
            _here(coroutine)
        assert str(errors[0]).startswith(
            "The loop that runs here (asyncio.unix_events) stands still meanwhile, so answer cannot be waited for. Await it;"
        )
        assert coroutine.cr_frame is None  # closed: nobody is told of a coroutine that was never awaited
        assert not hasattr(asyncio, "_nest_patched")

    asyncio.run(main())
    assert 42 == sync.run(at_home(), timeout=10)


async def at_home() -> object:
    sync.use_running_loop()
    assert not hasattr(asyncio, "_nest_patched")
    return _here(answer())


def without_a_loop_there_is_none_to_use() -> None:
    text = "No loop runs here, so answer cannot be waited for. Leave out where= and let it run at home."
    with raises(CannotWait) as errors:
        _here(answer())
    assert text == str(errors[0])
    with raises(CannotWait):
        sync.use_running_loop()


def another_place_is_an_error() -> None:
    with raises(BadParameter) as errors:
        sync.run(answer(), where="nowhere")  # type: ignore[arg-type]
    assert "where='nowhere': a coroutine runs at home or on the loop of the caller." in str(errors[0])


def uvloop_cannot_turn_inside_itself() -> None:
    import uvloop

    async def main() -> None:
        for ask in (sync.use_running_loop, lambda: _here(answer())):
            with raises(CannotWait):
                ask()
        assert 42 == sync.run(answer())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert not hasattr(asyncio, "_nest_patched")


def asked_for_it_works_on_a_loop_of_asyncio() -> None:
    async def main() -> None:
        sync.use_running_loop()
        sync.use_running_loop()
        feed: asyncio.Queue[int] = asyncio.Queue()

        async def beat() -> None:
            for number in range(3):
                await asyncio.sleep(0.001)
                feed.put_nowait(number)

        async def choose() -> object:
            before = tenant.get()
            tenant.set("chosen")
            return before, asyncio.get_running_loop()

        async def nested() -> object:
            return _here(answer())

        task = asyncio.create_task(beat())
        assert [0, 1, 2] == [_here(feed.get()) for _ in range(3)]
        await task
        assert ("none", asyncio.get_running_loop()) == _here(choose())
        assert "chosen" == tenant.get()
        assert 42 == sync.run(answer()) == await sync.twin(answer)() == sync.run(nested())

    asyncio.run(main())


def errors_arrive_as_they_are() -> None:
    async def fail(error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    async def main() -> None:
        sync.use_running_loop()
        for error in (LookupError("gone"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError("mine")):
            with raises(type(error)) as caught:
                _here(fail(error))
            assert error is caught[0]
            assert error.__context__ is None
        with raises(ToolTimedOut) as errors:
            _here(forever(), timeout=0.01)
        assert ("forever", 0.01) == (errors[0].tool, errors[0].seconds)
        assert ["clean"] == trail

    asyncio.run(main())


def ctrl_c_ends_the_wait_and_spares_the_loop() -> None:
    async def main() -> str:
        sync.use_running_loop()
        interrupt_after(begun)
        with takes_less_than(1.5), raises(KeyboardInterrupt):
            _here(forever())
        assert ["clean"] == trail
        assert 42 == _here(answer())
        return "the loop goes on"

    assert "the loop goes on" == asyncio.run(main())


def what_will_not_end_is_left_after_two_seconds() -> None:
    async def stubborn() -> None:
        while not finish.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await finish.wait()

    async def main() -> None:
        sync.use_running_loop()
        with takes_at_least(2), takes_less_than(4), warnings.catch_warnings(record=True) as said, raises(ToolTimedOut):
            warnings.simplefilter("always")
            _here(stubborn(), timeout=0.01)
        finish.set()
        assert [(f"{stubborn.__qualname__} was cancelled, but goes on in the background", __file__)] == [
            (str(one.message), one.filename) for one in said
        ]

    finish = asyncio.Event()
    asyncio.run(main())


def nothing_is_left_behind() -> None:
    async def fail() -> None:
        raise LookupError

    async def main() -> None:
        sync.use_running_loop()

        def mixed(times: int) -> None:
            for _ in range(times):
                assert 42 == _here(answer())
                with raises(LookupError):
                    _here(fail())

        def census() -> tuple[int, int, int]:
            _here(answer())
            gc.collect()
            return len(gc.get_objects()), threading.active_count(), len(asyncio.all_tasks())

        mixed(50)
        before = census()
        mixed(1000)
        after = census()
        assert before[1:] == after[1:]
        assert after[0] - before[0] < 100, f"{after[0] - before[0]} objects more"

    asyncio.run(main())


if __name__ == "__main__":
    play(globals())
