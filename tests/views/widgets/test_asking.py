"""Of what is asked again and again, the newest is answered; nobody who asks has to wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from ciops_nb import sync
from ciops_nb.views.widgets.asking import Following, Newest

SOON = 10.0


class Shown:
    """Keeps what it is shown, and lets a test wait for it."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.errors: list[Exception] = []

    def show(self, value: Any) -> None:
        self.values.append(value)

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


def test_the_newest_request_is_shown_and_those_before_are_cancelled() -> None:
    shown, ended = Shown(), []
    work = Newest("test", threading.RLock(), shown.fail)

    async def first() -> int:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return 1

    async def last() -> int:
        return 2

    work.ask(first, shown.show)
    sync.run(asyncio.sleep(0))  # it has begun
    work.ask(last, shown.show)
    sync.run(work.idle(), timeout=SOON)

    assert ([2], [], ["cancelled"]) == (shown.values, shown.errors, ended)


def test_what_is_dropped_is_not_shown_even_if_it_comes() -> None:
    shown, told, begun, done = Shown(), [], threading.Event(), threading.Event()
    work = Newest("test", threading.RLock(), shown.fail, lambda: told.append(work.is_going))

    async def stubborn() -> int:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        done.set()
        return 1

    work.ask(stubborn, shown.show)
    assert begun.wait(SOON)
    assert work.is_going
    work.drop()
    assert done.wait(SOON)
    sync.run(sync.in_thread(lambda: None))

    assert ([], [], [False]) == (shown.values, shown.errors, told)


def test_who_waits_for_the_end_is_told_of_each_while_a_newer_one_is_going() -> None:
    shown, told = Shown(), []
    work = Newest("test", threading.RLock(), shown.fail, lambda: told.append(work.is_going))

    async def answer() -> int:
        return 1

    work.ask(lambda: asyncio.sleep(3600), shown.show)
    work.ask(lambda: asyncio.sleep(3600), shown.show)
    assert [True] == told
    work.ask(answer, shown.show)
    sync.run(work.idle(), timeout=SOON)

    assert ([1], [True, True, False]) == (shown.values, told)


def test_many_threads_ask_and_one_answer_is_the_last() -> None:
    shown, lock = Shown(), threading.RLock()
    work, asked = Newest("test", lock, shown.fail), []

    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number

    def ask(number: int) -> None:
        with lock:
            asked.append(number)
            work.ask(lambda: answer(number), shown.show)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    sync.run(work.idle(), timeout=SOON)

    assert asked[-1] == shown.values[-1]
    assert [] == shown.errors


@pytest.mark.parametrize("where", ["make", "show"])
def test_an_error_is_shown(where: str) -> None:
    shown = Shown()
    work = Newest("test", threading.RLock(), shown.fail)

    async def make() -> int:
        return 1 // (where != "make")

    work.ask(make, (lambda _: [].pop()) if where == "show" else shown.show)  # type: ignore[arg-type,return-value]
    sync.run(work.idle(), timeout=SOON)

    assert [ZeroDivisionError if where == "make" else IndexError] == [type(error) for error in shown.errors]


def test_what_comes_too_fast_is_dropped_and_the_newest_is_worked_on() -> None:
    shown, begun, go = Shown(), threading.Event(), threading.Event()

    def make(value: int) -> int:
        begun.set()
        assert go.wait(SOON)
        return value

    work = Following("test", threading.RLock(), make, shown.show, shown.fail)
    work.want(0)
    assert begun.wait(SOON)
    for value in range(1, 50):
        work.want(value)
    go.set()
    sync.run(work.idle(), timeout=SOON)

    assert [0, 49] == shown.values
    work.want(50)
    sync.run(work.idle(), timeout=SOON)
    assert [0, 49, 50] == shown.values


def test_an_error_of_one_does_not_end_the_following() -> None:
    shown = Shown()
    work = Following("test", threading.RLock(), lambda value: 1 // value, shown.show, shown.fail)
    for value in (0, 1):
        work.want(value)
        sync.run(work.idle(), timeout=SOON)

    assert [1] == shown.values
    assert [ZeroDivisionError] == [type(error) for error in shown.errors]


def test_after_closing_nothing_is_shown() -> None:
    shown, begun, go = Shown(), threading.Event(), threading.Event()

    def make(value: int) -> int:
        begun.set()
        assert go.wait(SOON)
        return value

    newest, following = (
        Newest("test", threading.RLock(), shown.fail),
        Following("test", threading.RLock(), make, shown.show, shown.fail),
    )

    async def later() -> int:
        await asyncio.sleep(3600)
        return 1

    newest.ask(later, shown.show)
    following.want(1)
    assert begun.wait(SOON)
    newest.close()
    following.close()
    go.set()
    newest.ask(later, shown.show)
    following.want(2)
    sync.run(newest.idle(), timeout=SOON)
    sync.run(following.idle(), timeout=SOON)

    assert ([], []) == (shown.values, shown.errors)
