"""Context variables go in, and come back."""

import asyncio
from contextvars import ContextVar, copy_context

from harness import in_background, play, raises

from ciops_nb import sync

tenant: ContextVar[str] = ContextVar("tenant", default="none")
untouched: ContextVar[list[int]] = ContextVar("untouched")


@sync.twin
async def swap(to: str) -> str:
    before = tenant.get()
    await asyncio.sleep(0)
    tenant.set(to)
    await asyncio.sleep(0)
    return before


@sync.twin
async def swap_and_fail(to: str) -> None:
    tenant.set(to)
    raise LookupError


@sync.twin
async def read() -> str:
    return tenant.get()


def _check_blocked() -> None:
    tenant.set("mine")
    assert "mine" == swap.sync("yours")
    assert "yours" == tenant.get() == swap.sync("again")
    with raises(LookupError):
        swap_and_fail.sync("failed")
    assert "failed" == tenant.get()


async def _check_awaited() -> None:
    tenant.set("mine")
    assert "mine" == await swap("yours")
    assert "yours" == tenant.get() == await swap("again")
    with raises(LookupError):
        await swap_and_fail("failed")
    assert "failed" == tenant.get()


def without_a_loop() -> None:
    _check_blocked()


def inside_a_running_loop() -> None:
    async def main() -> None:
        _check_blocked()
        await _check_awaited()

    asyncio.run(main())
    assert "none" == tenant.get()


def at_home() -> None:
    async def main() -> None:
        await _check_awaited()
        _check_blocked()

        def deep() -> str:
            return swap.sync("deep")

        async def between() -> str:
            return deep()

        tenant.set("upper")
        assert "upper" == sync.run(between())
        assert "deep" == tenant.get()

    sync.run(main())
    assert "failed" != tenant.get()
    assert "deep" == tenant.get()


def the_first_caller_leaves_nothing_behind() -> None:
    tenant.set("first")
    assert "first" == read.sync()
    seen: list[str] = []
    in_background(lambda: seen.append(read.sync())).join()
    assert ["none"] == seen


def only_what_changed_comes_back() -> None:
    async def main() -> None:
        value = [1]
        untouched.set(value)
        task = asyncio.create_task(swap("task"))
        assert "none" == await task
        assert "none" == tenant.get()  # a task has a context of its own
        assert value is untouched.get()

    asyncio.run(main())
    before = dict(copy_context())
    read.sync()
    assert before == dict(copy_context())


def gathered_calls_do_not_meet() -> None:
    async def one(name: str) -> tuple[str, str]:
        tenant.set(name)
        first = await swap(name + "!")
        return first, read.sync()

    async def main() -> None:
        names = [str(number) for number in range(50)]
        assert [(name, name + "!") for name in names] == await asyncio.gather(*(one(name) for name in names))

    asyncio.run(main())
    sync.run(main())


def into_a_thread_of_the_pool() -> None:
    async def main() -> str:
        return await sync.in_thread(tenant.get)

    tenant.set("carried")
    assert "carried" == sync.run(main())
    assert "carried" == asyncio.run(main())


if __name__ == "__main__":
    play(globals())
