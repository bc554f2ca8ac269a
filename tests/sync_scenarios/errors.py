"""What goes wrong at home arrives as it is."""

import asyncio
import gc
import sys
import traceback
import weakref
from types import TracebackType

from harness import play, raises

from ciops_nb import sync


class Gone(LookupError):
    pass


@sync.twin
async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


@sync.twin
async def empty() -> int:
    return 42


def _seen(trace: TracebackType | None) -> list[str]:
    """The frames that IPython and pytest show: those without ``__tracebackhide__``."""
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    return [frame.f_code.co_name for frame in frames if "__tracebackhide__" not in frame.f_locals]


def the_same_error_arrives_whichever_way() -> None:
    async def main() -> None:
        error = Gone("inside a loop")
        with raises(Gone) as caught:
            fail.sync(error)
        assert error is caught[0]
        error = Gone("awaited")
        with raises(Gone) as caught:
            await fail(error)
        assert error is caught[0]

    error = Gone("without a loop")
    with raises(Gone) as caught:
        fail.sync(error)
    assert error is caught[0]
    assert error.__context__ is None
    assert error.__cause__ is None
    asyncio.run(main())
    asyncio.run(empty_at_home())


async def empty_at_home() -> None:
    assert 42 == await empty()


def a_traceback_shows_the_caller_and_the_work_only() -> None:
    def caller() -> None:
        fail.sync(Gone())

    async def awaiter() -> None:
        await fail(Gone())

    with raises(Gone) as caught:
        caller()
    assert ["raises", "a_traceback_shows_the_caller_and_the_work_only", "caller", "fail"][1:] == _seen(
        caught[0].__traceback__
    )[1:]
    with raises(Gone) as caught:
        asyncio.run(awaiter())
    assert ["awaiter", "fail"] == _seen(caught[0].__traceback__)[-2:]
    with raises(Gone) as caught:
        sync.run(awaiter())
    assert ["awaiter", "fail"] == _seen(caught[0].__traceback__)[-2:]

    async def nested() -> None:
        caller()

    with raises(Gone) as caught:
        sync.run(nested())
    assert ["nested", "caller", "fail"] == _seen(caught[0].__traceback__)[-3:]


def wrong_arguments_are_a_type_error_of_the_caller() -> None:
    for wrong in (lambda: empty.sync(1), lambda: asyncio.run(empty(1))):
        with raises(TypeError) as caught:
            wrong()
        assert "empty() takes 0 positional arguments but 1 was given" == str(caught[0])


def an_exit_in_the_work_reaches_its_caller_and_spares_the_loop() -> None:
    for error in (SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError("mine")):
        with raises(type(error)) as caught:
            fail.sync(error)
        assert error is caught[0]
        assert 42 == empty.sync()

    async def main() -> None:
        error = SystemExit(4)
        with raises(SystemExit) as caught:
            await fail(error)
        assert error is caught[0]
        assert 42 == await empty()

    asyncio.run(main())


def an_exit_in_a_task_of_the_work_spares_the_loop() -> None:
    async def main() -> None:
        task = asyncio.create_task(exits())
        with raises(SystemExit):
            await task
        asyncio.get_running_loop().call_soon(sys.exit)
        await asyncio.sleep(0.01)

    async def exits() -> None:
        sys.exit(3)

    sync.run(main(), timeout=10)
    assert 42 == empty.sync()


def a_group_of_errors_arrives() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(Gone("a")))
            group.create_task(fail(Gone("b")))

    with raises(ExceptionGroup) as caught:
        sync.run(main())
    assert {"a", "b"} >= {str(error) for error in caught[0].exceptions}


def nothing_holds_an_error_once_it_is_handled() -> None:
    gc.disable()

    @sync.twin
    async def gone() -> None:
        raise Gone

    def blocked() -> weakref.ref[Gone]:
        try:
            gone.sync()
        except Gone as error:
            return weakref.ref(error)
        raise AssertionError

    async def awaited() -> weakref.ref[Gone]:
        try:
            await gone()
        except Gone as error:
            return weakref.ref(error)
        raise AssertionError

    async def nested() -> weakref.ref[Gone]:
        return blocked()

    held = [blocked(), asyncio.run(awaited()), sync.run(nested()), sync.run(awaited())]
    empty.sync()
    assert [None] * 4 == [reference() for reference in held]


def raised_inside_a_handler_it_has_that_context_as_any_error() -> None:
    outer = ValueError("outer")
    try:
        raise outer
    except ValueError:
        with raises(Gone) as caught:
            fail.sync(Gone())
    assert outer is caught[0].__context__


if __name__ == "__main__":
    play(globals())
