"""The interpreter exits with work under way; what is printed, and how long it took, is judged from outside."""

import asyncio
import atexit
import contextlib
import sys
import threading
import time
import weakref

from harness import in_background, raises

if sys.argv[1] == "calling_when_all_is_over":
    atexit.register(lambda: print("over", nested.sync(), asyncio.run(nested_in_a_loop())))  # runs last

from ciops_nb import sync  # registers its own
from ciops_nb.errors import CannotWait

begun = threading.Event()


@sync.twin
async def pending() -> None:
    try:
        begun.set()
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        print("cleaned up", flush=True)


@sync.twin
async def empty() -> int:
    return 42


@sync.twin
async def nested() -> int:
    return empty.sync() + await sync.in_thread(max, 0, 0)


async def nested_in_a_loop() -> int:
    with raises(CannotWait) as errors:
        empty.sync()
    text = "The interpreter is exiting, and a loop runs here, so empty cannot be waited for. Await it instead."
    assert text == str(errors[0])
    return await empty() + await sync.in_thread(max, 0, 0)


def blocked(work: object) -> None:
    """Block in a thread, and say nothing of being cancelled at the exit."""
    with contextlib.suppress(asyncio.CancelledError):
        work()


def with_work_pending() -> None:
    async def leave() -> None:
        tasks.append(asyncio.create_task(pending()))
        await asyncio.sleep(0.01)

    tasks: list[object] = []
    sync.run(leave())


def with_a_thread_waiting() -> None:
    in_background(lambda: blocked(pending.sync))
    begun.wait()


def with_work_that_will_not_end() -> None:
    @sync.twin
    async def stubborn() -> None:
        while True:
            try:
                begun.set()
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("no", flush=True)

    in_background(lambda: blocked(stubborn.sync))
    begun.wait()


def with_the_loop_held() -> None:
    @sync.twin
    async def hold() -> None:
        begun.set()
        time.sleep(60)  # noqa: ASYNC251  the mistake is the scenario

    in_background(lambda: blocked(hold.sync))
    begun.wait()


def with_a_thread_of_the_pool_busy() -> None:
    async def busy() -> None:
        await sync.in_thread(lambda: (begun.set(), time.sleep(60)))

    in_background(lambda: blocked(lambda: sync.run(busy())))
    begun.wait()


def with_a_generator_open() -> None:
    async def numbers() -> object:
        try:
            yield 1
        finally:
            print("closed", flush=True)

    async def main() -> object:
        generator = numbers()
        await anext(generator)
        return generator

    globals()["kept"] = sync.run(main())


def by_sys_exit() -> None:
    in_background(lambda: blocked(pending.sync))
    begun.wait()
    sys.exit(3)


def calling_once_more_at_exit() -> None:
    atexit.register(lambda: print("registered after", nested.sync(), asyncio.run(nested())))
    nested.sync()


def using_a_thread_for_the_first_time_at_exit() -> None:
    atexit.register(lambda: print("thread", nested.sync(), asyncio.run(nested())))
    empty.sync()


def calling_for_the_first_time_at_exit() -> None:
    atexit.register(lambda: print("first", nested.sync(), asyncio.run(nested_in_a_loop())))


def calling_from_a_finalizer_at_exit() -> None:
    class Session:
        pass

    globals()["session"] = Session()
    weakref.finalize(globals()["session"], lambda: print("finalizer", nested.sync()))
    nested.sync()


def calling_when_all_is_over() -> None:
    nested.sync()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
