"""Blocking calls made by code that runs at home."""

import asyncio
import gc
import threading
import time

from harness import in_background, play, raises

from ciops_nb import sync
from ciops_nb.errors import ToolTimedOut
from ciops_nb.sync import crossing


@sync.twin
async def deep(depth: int) -> list[str]:
    await asyncio.sleep(0)
    here = [threading.current_thread().name]
    return here + _plain(depth - 1) if depth else here


def _plain(depth: int) -> list[str]:
    return deep.sync(depth)


@sync.twin
async def nap(result: object = 42) -> object:
    await asyncio.sleep(0.001)
    return result


@sync.twin
async def thread_name() -> str:
    return threading.current_thread().name


def sync_async_sync_thirty_deep() -> None:
    assert ["ciops-home"] * 31 == deep.sync(30)

    async def main() -> None:
        assert ["ciops-home"] * 31 == await deep(30) == deep.sync(30)

    asyncio.run(main())


def gathered_coroutines_that_block_go_on_together() -> None:
    together = asyncio.Barrier(20)

    @sync.twin
    async def meet() -> int:
        return await together.wait()

    async def one() -> int:
        return meet.sync()

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(one() for _ in range(20)))

    assert list(range(20)) == sorted(sync.run(all_of_them(), timeout=10))


def the_loop_turns_while_a_nested_call_waits() -> None:
    async def main() -> str:
        released = asyncio.Event()

        async def release() -> None:
            released.set()

        helper = asyncio.create_task(release())

        async def wait() -> str:
            await released.wait()
            return "released"

        result = sync.run(wait(), timeout=10)
        await helper
        return result

    assert "released" == sync.run(main())


def a_nested_call_stays_in_its_task() -> None:
    async def task() -> object:
        return asyncio.current_task()

    async def main() -> None:
        assert asyncio.current_task() is sync.run(task())

    sync.run(main())


def many_nested_calls_in_tasks_of_a_group() -> None:
    async def main() -> list[object]:
        async def one(number: int) -> object:
            return [nap.sync(number), await nap(number), nap.sync(number)]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number)) for number in range(100)]
        return [task.result() for task in tasks]

    assert [[number] * 3 for number in range(100)] == sync.run(main())


def a_nested_error_arrives_as_it_is() -> None:
    error = LookupError("gone")

    @sync.twin
    async def fail() -> None:
        await asyncio.sleep(0)
        raise error

    async def main() -> str:
        with raises(LookupError) as caught:
            fail.sync()
        assert error is caught[0]
        assert error.__context__ is None
        return str(nap.sync("still there"))

    assert "still there" == sync.run(main())
    with raises(LookupError) as caught:
        fail.sync()
    assert error is caught[0]


def a_nested_time_out_ends_the_nested_call_only() -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("clean")

    async def main() -> object:
        with raises(ToolTimedOut) as errors:
            sync.run(forever(), timeout=0.01)
        assert errors[0].__context__ is None
        assert 0.01 == errors[0].seconds
        return nap.sync()

    assert 42 == sync.run(main())
    assert ["clean"] == ended


def a_time_out_of_the_work_is_not_taken_for_ours() -> None:
    error = TimeoutError("theirs")

    async def fail() -> None:
        raise error

    async def main() -> None:
        with raises(TimeoutError) as errors:
            sync.run(fail(), timeout=10)
        assert error is errors[0]

    sync.run(main())
    with raises(TimeoutError) as errors:
        sync.run(fail(), timeout=10)
    assert error is errors[0]


def cancelling_reaches_through_nested_calls() -> None:
    begun, trail = threading.Event(), []

    @sync.twin
    async def inner() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            trail.append("inner")
            raise

    @sync.twin
    async def outer() -> None:
        try:
            helper()
        finally:
            trail.append("outer")

    def helper() -> None:
        try:
            inner.sync()
        finally:
            trail.append("helper")

    async def main() -> None:
        task = asyncio.create_task(outer())
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ["inner", "helper", "outer"] == trail
    begun.clear()
    trail.clear()
    sync.run(main())
    assert ["inner", "helper", "outer"] == trail


def asyncio_timeout_and_groups_work_in_nested_calls() -> None:
    @sync.twin
    async def inner() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            pass
        with raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(60))
                group.create_task(fail())
        return "well"

    async def fail() -> None:
        raise LookupError

    async def main() -> str:
        return inner.sync()

    assert "well" == sync.run(main())
    assert "well" == asyncio.run(main())


def generators_are_closed_in_nested_calls() -> None:
    trail: list[int] = []

    async def numbers() -> object:
        try:
            for number in range(10):
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            trail.append(-1)

    @sync.twin
    async def first() -> int:
        generator = numbers()
        async for number in generator:
            await generator.aclose()
            return number
        return -1

    async def main() -> int:
        return first.sync()

    assert 0 == sync.run(main())
    assert [-1] == trail


def a_callback_of_the_home_loop_may_block() -> None:
    async def main() -> list[object]:
        results: list[object] = []
        done = asyncio.Event()

        def callback() -> None:
            results.append(thread_name.sync())
            results.append(nap.sync("again"))
            done.set()

        asyncio.get_running_loop().call_soon(callback)
        await done.wait()
        return results

    assert ["ciops-home-1", "again"] == sync.run(main())


def what_a_callback_blocks_for_may_block_and_await_in_turn() -> None:
    @sync.twin
    async def both() -> list[object]:
        done, more = asyncio.Event(), []

        def callback() -> None:
            more.append(thread_name.sync())
            done.set()

        asyncio.get_running_loop().call_soon(callback)
        await done.wait()
        return [thread_name.sync(), await thread_name(), *more]

    async def main() -> list[object]:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: future.set_result(both.sync()))
        return await future

    assert ["ciops-home-1", "ciops-home-1", "ciops-home-2"] == sync.run(main(), timeout=10)


def a_task_without_our_greenlet_may_block() -> None:
    async def plain_task() -> object:
        return thread_name.sync()

    async def main() -> object:
        loop = asyncio.get_running_loop()
        return await asyncio.Task(plain_task(), loop=loop)

    assert "ciops-home-1" == sync.run(main(), timeout=10)


def a_finalizer_may_block() -> None:
    names: list[str] = []

    class Leaves:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            names.append(thread_name.sync())

    async def main() -> None:
        Leaves()
        gc.collect()
        Leaves()
        asyncio.get_running_loop().call_soon(gc.collect)
        await asyncio.sleep(0.01)

    sync.run(main(), timeout=10)
    assert ["ciops-home", "ciops-home-1"] == names


def cancelling_reaches_what_a_callback_blocks_for() -> None:
    begun, trail = threading.Event(), []

    @sync.twin
    async def inner() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            trail.append("inner")

    @sync.twin
    async def outer() -> None:
        def callback() -> None:
            with raises(asyncio.CancelledError):
                inner.sync()
            trail.append("callback")

        asyncio.get_running_loop().call_soon(callback)
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(outer())
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ["inner", "callback"] == trail
    assert 42 == nap.sync()


def threads_of_the_pool_that_block_do_not_starve_it() -> None:
    @sync.twin
    async def work(depth: int) -> int:
        return await sync.in_thread(job, depth)

    def job(depth: int) -> int:
        return 1 + work.sync(depth - 1) if depth else 1

    async def main() -> list[int]:
        return await asyncio.gather(*(work(3) for _ in range(10)))

    assert [4] * 10 == sync.run(main(), timeout=20)
    assert [4] * 10 == sync.run(main(), timeout=20)


def the_pool_is_bounded_and_used_again() -> None:
    lock, inside, most, names = threading.Lock(), [], [0], set()

    def job() -> None:
        with lock:
            inside.append(1)
            most[0] = max(most[0], len(inside))
            names.add(threading.current_thread().ident)
        time.sleep(0.002)
        with lock:
            inside.pop()

    async def main() -> None:
        await asyncio.gather(*(sync.in_thread(job) for _ in range(40)))
        await asyncio.gather(*(asyncio.to_thread(job) for _ in range(40)))

    sync.run(main())
    assert crossing._THREADS == most[0] == len(names)


def an_error_in_a_thread_arrives_and_the_thread_lives() -> None:
    error = SystemExit(3)

    def fail() -> None:
        raise error

    async def main() -> int:
        for _ in range(10):
            with raises(SystemExit) as caught:
                await sync.in_thread(fail)
            assert error is caught[0]
        return await sync.in_thread(max, 1, 2)

    assert 2 == sync.run(main())


def forty_threads_ask_for_nested_calls() -> None:
    answers = []
    threads = [in_background(lambda: answers.append(len(deep.sync(5)))) for _ in range(40)]
    for thread in threads:
        thread.join()
    assert [6] * 40 == answers


def greenlets_of_others_are_left_alone() -> None:
    from greenlet import greenlet

    async def main() -> object:
        return greenlet(thread_name.sync).switch()

    assert "ciops-home-1" == sync.run(main(), timeout=10)


if __name__ == "__main__":
    play(globals())
