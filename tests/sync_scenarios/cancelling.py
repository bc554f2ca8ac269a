"""Cancelling who awaits cancels the work, and waits for its end."""

import asyncio
import gc
import threading

from harness import play, raises, takes_less_than

from ciops_nb import sync
from ciops_nb.sync import crossing

trail: list[str] = []
begun, cleaning, go_on = threading.Event(), threading.Event(), threading.Event()


@sync.twin
async def wait() -> None:
    try:
        begun.set()
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.02)
        trail.append("clean")


@sync.twin
async def empty() -> int:
    return 42


def cancelling_a_task() -> None:
    asyncio.run(_one_after_another())
    sync.run(_one_after_another())


async def begin_later() -> None:
    await wait()


async def _one_after_another() -> None:
    for make in (wait, begin_later):
        begun.clear()
        task = asyncio.create_task(make())
        await asyncio.to_thread(begun.wait)
        task.cancel("enough")
        with raises(asyncio.CancelledError) as caught:
            await task
        assert ("enough",) == caught[0].args
        assert "clean" == trail.pop()


def waiting_for_a_time() -> None:
    async def main() -> None:
        with raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.02)
        assert "clean" == trail.pop()
        with raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await wait()
        assert "clean" == trail.pop()
        assert 42 == await empty()

    asyncio.run(main())
    sync.run(main())


def a_scope_of_anyio() -> None:
    import anyio

    async def main() -> None:
        with anyio.move_on_after(0.02) as scope:
            await wait()
        assert scope.cancelled_caught
        assert "clean" == trail.pop()
        with raises(TimeoutError):
            with anyio.fail_after(0.02):
                await wait()
        assert "clean" == trail.pop()
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.to_thread.run_sync(begun.wait)
            group.cancel_scope.cancel()
        assert "clean" == trail.pop()
        assert 42 == await empty()

    asyncio.run(main())
    assert not trail


def a_group_cancels_the_others() -> None:
    async def fail() -> None:
        await asyncio.to_thread(begun.wait)
        raise LookupError

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())

    with raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert [LookupError] == [type(error) for error in caught[0].exceptions]
    assert ["clean"] == trail


def cancelling_twice_reaches_the_clean_up() -> None:
    @sync.twin
    async def slow_to_clean() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            try:
                cleaning.set()
                await asyncio.Event().wait()
            finally:
                trail.append("cut short")

    async def main() -> None:
        task = asyncio.create_task(slow_to_clean())
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.to_thread(cleaning.wait)
        task.cancel()
        with raises(asyncio.CancelledError):
            await task

    with takes_less_than(2):
        asyncio.run(main())
    assert ["cut short"] == trail


def cancelled_before_it_begins_it_may_not_run_but_never_hangs() -> None:
    async def main() -> None:
        for _ in range(300):
            task = asyncio.create_task(empty())
            await asyncio.sleep(0)
            task.cancel()
            with raises(asyncio.CancelledError):
                await task
        assert 42 == await empty()

    asyncio.run(asyncio.wait_for(main(), 20))


def a_caller_whose_loop_is_gone_takes_the_work_along() -> None:
    ended = threading.Event()

    @sync.twin
    async def lasting() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def main() -> None:
        coroutine = lasting()
        coroutine.send(None)
        await asyncio.to_thread(begun.wait)
        coroutine.close()

    asyncio.run(main())
    assert ended.wait(10)


def work_in_a_thread_that_has_not_begun_is_dropped() -> None:
    ran: list[int] = []

    async def main() -> None:
        full = [asyncio.create_task(sync.in_thread(go_on.wait)) for _ in range(crossing._THREADS)]
        queued = asyncio.create_task(sync.in_thread(ran.append, 1))
        await asyncio.sleep(0)
        queued.cancel()
        with raises(asyncio.CancelledError):
            await queued
        go_on.set()
        await asyncio.gather(*full)
        await sync.in_thread(ran.append, 2)

    sync.run(main(), timeout=10)
    assert [2] == ran


def before_it_begins_leaves_nothing_that_was_never_awaited() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(empty())
        task.cancel()
        with raises(asyncio.CancelledError):
            await task
        several = asyncio.gather(_double(1), _double(2))
        several.cancel()
        with raises(asyncio.CancelledError):
            await several
        gc.collect()

    sync.run(main())


async def _double(number: int) -> int:
    return 2 * number


if __name__ == "__main__":
    play(globals())
