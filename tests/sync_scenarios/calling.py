"""The two ways to call, from wherever a caller may be."""

import asyncio
import gc
import inspect
import signal
import sys
import threading

from harness import in_background, play, raises

AT_START = set(sys.modules)

from ciops_nb import sync  # noqa: E402  what it imports is looked at below
from ciops_nb.errors import CannotWait  # noqa: E402


@sync.twin
async def where(number: int = 0) -> tuple[int, str, bool]:
    """Where am I?"""
    await asyncio.sleep(0)
    return number, threading.current_thread().name, sync.on_home_loop()


HOME = (7, "ciops-home", True)


def importing_starts_and_loads_nothing() -> None:
    loaded = set(sys.modules) - AT_START
    assert 1 == threading.active_count()
    assert not {"greenlet", "uvloop", "polars", "pandas", "numpy", "IPython", "anyio"} & loaded
    assert signal.default_int_handler is signal.getsignal(signal.SIGINT)
    assert not sync.on_home_loop()


def sync_without_a_loop() -> None:
    assert HOME == where.sync(7)


def sync_inside_a_running_loop() -> None:
    async def main() -> None:
        assert HOME == where.sync(7)
        assert not sync.on_home_loop()

    asyncio.run(main())
    assert HOME == where.sync(7)


def awaited_from_another_loop_it_runs_at_home() -> None:
    async def main() -> None:
        assert HOME == await where(7)
        assert threading.current_thread() is threading.main_thread()

    asyncio.run(main())
    asyncio.run(main())


def awaited_at_home_it_stays_in_its_task() -> None:
    @sync.twin
    async def inner() -> object:
        return asyncio.current_task()

    async def outer() -> None:
        assert asyncio.current_task() is await inner()

    sync.run(outer())


def a_policy_of_uvloop_does_not_matter() -> None:
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

    @sync.twin
    async def loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    async def main() -> None:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        assert await loop() == loop.sync() == "asyncio.unix_events"
        assert [HOME] * 20 == list(await asyncio.gather(*(where(7) for _ in range(20))))
        assert HOME == where.sync(7)

    asyncio.run(main())
    assert HOME == where.sync(7)


def forty_threads_at_once() -> None:
    barrier, answers = threading.Barrier(40), []

    def ask(number: int) -> None:
        barrier.wait()
        answers.append(where.sync(number)[0])

    for thread in [in_background(lambda number=number: ask(number)) for number in range(40)]:
        thread.join()
    assert list(range(40)) == sorted(answers)
    assert 1 == sum(thread.name.startswith("ciops-home") for thread in threading.enumerate())


def threads_with_loops_of_their_own() -> None:
    answers = []

    async def main() -> None:
        answers.extend(await asyncio.gather(*(where(7) for _ in range(10))))
        answers.append(where.sync(7))

    for thread in [in_background(lambda: asyncio.run(main())) for _ in range(8)]:
        thread.join()
    assert [HOME] * 88 == answers


def a_lock_belongs_to_both_ways() -> None:
    lock = asyncio.Lock()
    inside: list[int] = []

    @sync.twin
    async def critical(number: int) -> None:
        async with lock:
            inside.append(number)
            assert 1 == len(inside)
            await asyncio.sleep(0.001)
            inside.remove(number)

    async def main() -> None:
        threads = [in_background(lambda: critical.sync(1)) for _ in range(5)]
        await asyncio.gather(*(critical(2) for _ in range(10)))
        critical.sync(3)
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])

    asyncio.run(main())
    assert not inside
    assert not lock.locked()


def a_call_passes_for_a_coroutine() -> None:
    async def main() -> None:
        assert HOME == await asyncio.wait_for(where(7), 5)
        assert HOME == await asyncio.create_task(where(7))
        assert HOME == await asyncio.ensure_future(where(7))
        assert [HOME, HOME] == await asyncio.gather(where(7), where(7))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(where(7))
        assert HOME == task.result()
        done, _ = await asyncio.wait([asyncio.create_task(where(7))])
        assert HOME == done.pop().result()
        assert HOME == asyncio.run_coroutine_threadsafe(where(7), other).result(5)

    other = asyncio.new_event_loop()
    thread = in_background(other.run_forever)
    asyncio.run(main())
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()
    assert HOME == asyncio.run(where(7))
    assert HOME == sync.run(where(7))
    sync.run(main_at_home())


async def main_at_home() -> None:
    assert HOME == await asyncio.wait_for(where(7), 5)
    assert HOME == await asyncio.create_task(where(7))
    assert [HOME, HOME] == await asyncio.gather(where(7), where(7))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(where(7))
    assert HOME == task.result()


def a_call_passes_for_a_coroutine_with_anyio() -> None:
    import anyio

    async def in_scope(results: list[object]) -> None:
        with anyio.fail_after(5):
            results.append(await where(7))

    async def main() -> None:
        results: list[object] = []
        with anyio.move_on_after(5):
            task = asyncio.create_task(where(7))
            assert inspect.CORO_CREATED == inspect.getcoroutinestate(task.get_coro())
            results.append(await task)
        async with anyio.create_task_group() as group:
            group.start_soon(in_scope, results)
            group.start_soon(where)
        results.append(await anyio.to_thread.run_sync(where.sync, 7))
        assert [HOME] * 3 == results

    asyncio.run(main())
    sync.run(main())


def a_call_is_awaited_once() -> None:
    call = where(7)
    assert HOME == asyncio.run(call)
    with raises(RuntimeError) as errors:
        asyncio.run(call)
    assert "cannot reuse already awaited coroutine" == str(errors[0])


def a_call_that_is_never_awaited_does_nothing_and_says_nothing() -> None:
    ran: list[int] = []

    @sync.twin
    async def work() -> None:
        ran.append(1)

    work()
    call = work()
    call.close()
    del call
    gc.collect()
    assert not ran
    assert 1 == threading.active_count()


def a_call_shows_what_to_do() -> None:
    call = where(7)
    text = "<where(...): not run yet: await it, or use .sync(...)>"
    assert text == repr(call)
    html = "<code>&lt;where(...): not run yet: await it, or use .sync(...)&gt;</code>"
    assert html == call._repr_html_()
    assert {"text/plain": text, "text/html": html} == call._repr_mimebundle_()
    asyncio.run(call)
    assert "<where(...): ended>" == repr(call)


def a_twin_looks_like_its_function() -> None:
    assert ("where", "Where am I?", "where") == (where.__name__, where.__doc__, where.__qualname__)
    assert "(number: int = 0) -> tuple[int, str, bool]" == str(inspect.signature(where))
    assert "<where: await where(...), or where.sync(...)>" == repr(where)


def a_method_can_be_a_twin() -> None:
    class Client:
        base = 40

        @sync.twin
        async def add(self, number: int) -> int:
            return self.base + number

    assert 42 == Client().add.sync(2) == asyncio.run(Client().add(2)) == Client.add.sync(Client(), 2)


def run_takes_nothing_but_a_coroutine() -> None:
    async def answer() -> int:
        return 42

    assert 42 == sync.run(answer())
    with raises(TypeError) as errors:
        sync.run(answer)  # type: ignore[arg-type]
    assert "call the function first" in str(errors[0])
    with raises(TypeError) as errors:
        sync.run(42)  # type: ignore[arg-type]
    assert "run() waits for a coroutine, and got 42: give it the call of an async function" == str(errors[0])


def the_primitives_make_at_home() -> None:
    made: list[str] = []

    def make() -> object:
        made.append(threading.current_thread().name)
        return where.__wrapped__(7)

    call = sync.call(make, name="ci_get")
    assert "<ci_get(...): not run yet: await it, or use .sync(...)>" == repr(call)
    assert not made
    assert HOME == asyncio.run(call)
    assert HOME == sync.block(make, name="ci_get", timeout=5)
    assert ["ciops-home"] * 2 == made


def the_task_bears_the_name() -> None:
    async def name() -> str:
        return asyncio.current_task().get_name()

    assert "ci_get" == sync.block(name, name="ci_get")


def nest_asyncio_applied_before_does_not_matter() -> None:
    import warnings

    warnings.simplefilter("ignore")  # of nest_asyncio2's own
    import nest_asyncio2

    async def main() -> None:
        nest_asyncio2.apply()
        assert HOME == where.sync(7)
        assert HOME == await where(7)
        assert HOME == asyncio.run(where(7))

        @sync.twin
        async def outer() -> object:
            return where.sync(7)

        assert HOME == outer.sync() == await outer()

    asyncio.run(main())


def the_browser_is_told_to_await() -> None:
    sys.platform = "emscripten"
    with raises(CannotWait) as errors:
        where.sync(7)
    assert "There are no threads in this browser, so where cannot be waited for. Await it instead." == str(errors[0])
    assert (7, "MainThread", False) == asyncio.run(where(7))
    assert 1 == threading.active_count()


if __name__ == "__main__":
    play(globals())
