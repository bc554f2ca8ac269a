"""The states of a panel, against a naive model and under many threads at once."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ciops_nb import sync
from ciops_nb.errors import BadParameter
from ciops_nb.views.widgets.control import Control, Now

NEXT = {
    "idle": {"running"},
    "running": {"running", "cancelling", "done", "failed", "cancelled"},
    "cancelling": {"cancelling", "done", "failed", "cancelled"},
    "done": {"running"},
    "failed": {"running"},
    "cancelled": {"running"},
}


class Fake:
    """What stands for a run: it goes on until it is told how to end, or is cancelled."""

    def __init__(self, recipe: str) -> None:
        self.recipe, self._said, self.error = recipe, "running", None
        self.how: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.cancels = 0
        self.task = asyncio.create_task(self._go())

    @property
    def status(self) -> str:
        return "cancelled" if self.task.cancelled() else self._said

    @status.setter
    def status(self, said: str) -> None:
        self._said = said

    async def _go(self) -> None:
        try:
            self.status = await self.how
        except asyncio.CancelledError:
            self.cancels += 1
            self.status = "cancelled"

    async def wait(self) -> Fake:
        await asyncio.wait([self.task])
        return self


class Slow(Fake):
    """A run that takes its time to stop, until it is told to go on."""

    def __init__(self, recipe: str) -> None:
        self.go_on = asyncio.Event()
        super().__init__(recipe)

    async def _go(self) -> None:
        try:
            await self.how
        except asyncio.CancelledError:
            self.cancels += 1
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.cancels += 1
            self.status = "cancelled"


def begun(kind: type[Fake]) -> Control:
    """A control whose run, of this *kind*, has begun."""

    async def begin(recipe: str, params: Mapping[str, Any], resume: Any) -> Fake:
        return kind(recipe)

    control = Control(begin)  # type: ignore[arg-type]
    control.start("look", {})
    until(lambda: control.now.run is not None)
    return control


class World:
    """A control, the runs it began, and every step it told of."""

    def __init__(self) -> None:
        self.runs: list[Fake] = []
        self.going = self.most = 0
        self.told: list[Now] = []
        self.control = Control(self._begin, told=self.told.append)  # type: ignore[arg-type]

    async def _begin(self, recipe: str, params: Mapping[str, Any], resume: Any) -> Fake:
        if params.get("bad"):
            raise BadParameter("bad", True, "is bad")
        run = Fake(recipe)
        self.runs.append(run)
        self.going += 1
        self.most = max(self.most, self.going)
        run.task.add_done_callback(self._over)
        return run

    def _over(self, _: Any) -> None:
        self.going -= 1

    def end(self, how: str) -> None:
        """Let the run end by itself."""

        async def tell() -> None:
            if self.runs and not self.runs[-1].how.done():
                self.runs[-1].how.set_result(how)

        sync.run(tell())

    def settle(self) -> Now:
        """Wait until nothing runs."""
        return sync.run(self.control.wait(), timeout=10)

    def begun(self) -> None:
        """Wait until what was started has begun, or ended."""
        until(lambda: self.control.now.run is not None or not self.control.now.going)

    def path(self) -> list[str]:
        """The states in the order of the steps."""
        return [now.state for now in sorted(self.told, key=lambda now: now.change)]


def until(come: Callable[[], bool]) -> None:
    """Wait until something has come about in another thread."""
    end = time.monotonic() + 10
    while not come():
        assert time.monotonic() < end
        time.sleep(0.0005)


def elsewhere(work: Callable[[], Any]) -> None:
    """Do it in a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("seed", range(40))
def test_it_does_what_a_naive_model_does(seed: int) -> None:
    dice, world, state, starts = random.Random(seed), World(), "idle", 0
    for _ in range(25):
        what = dice.choice(["start", "start", "bad", "cancel", "done", "failed", "look"])
        if what in ("start", "bad"):
            refused = []

            def start(what: str = what, refused: list[Any] = refused) -> None:
                try:
                    world.control.start("look", {"bad": what == "bad"})
                except BadParameter as error:
                    refused.append(error)

            elsewhere(start)
            assert (state == "running") == bool(refused)
            if not refused:
                starts += 1
                state = "failed" if what == "bad" else "running"
                world.settle() if what == "bad" else world.begun()
        elif what == "cancel":
            answers: list[bool] = []
            elsewhere(lambda answers=answers: answers.append(world.control.cancel()))  # type: ignore[misc]
            assert [state == "running"] == answers
            if state == "running":
                state = "cancelled"
                world.settle()
        elif what in ("done", "failed") and state == "running":
            world.end(what)
            state = what
            world.settle()
        assert (state, starts) == (world.control.now.state, world.control.now.turn)


@pytest.mark.parametrize("seed", range(8))
def test_many_threads_at_once_start_one_at_a_time_and_each_ends(seed: int) -> None:
    world, accepted, refused, gate = World(), [], [], threading.Barrier(6)

    def work(number: int) -> None:
        dice = random.Random(seed * 100 + number)
        gate.wait(10)
        for _ in range(30):
            what = dice.choice(["start", "start", "bad", "cancel", "end"])
            if what == "cancel":
                world.control.cancel()
            elif what == "end":
                world.end(dice.choice(["done", "failed"]))
            else:
                try:
                    accepted.append(world.control.start("look", {"bad": what == "bad"}).turn)
                except BadParameter as error:
                    refused.append(str(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    world.control.cancel()
    world.settle()

    assert [] == [said for said in refused if "look is still" not in said]
    assert world.most <= 1
    assert list(range(1, len(accepted) + 1)) == sorted(accepted)
    path = ["idle", *world.path()]
    assert [] == [(a, b) for a, b in itertools.pairwise(path) if b not in NEXT[a]]
    assert len(accepted) == sum(state in ("done", "failed", "cancelled") for state in path)
    assert {0, 1} >= {run.cancels for run in world.runs}
    assert all(run.task.done() for run in world.runs)


def test_a_start_while_one_runs_is_refused_in_words_and_not_queued() -> None:
    world = World()
    world.control.start("look", {})
    world.begun()

    with pytest.raises(BadParameter, match=r"look is still running\. Wait for its end, or cancel it"):
        world.control.start("other", {})
    world.end("done")

    assert ("done", "look", 1) == (world.settle().state, world.control.now.recipe, len(world.runs))


def test_cancelling_right_after_the_start_ends_what_has_not_begun() -> None:
    world = World()
    for _ in range(50):
        world.control.start("look", {})
        assert world.control.cancel()
        assert "cancelled" == world.settle().state
    assert all(run.task.done() for run in world.runs)


def test_a_run_that_cleans_up_for_a_moment_is_being_cancelled_and_hears_it_once() -> None:
    control = begun(Slow)
    run: Any = control.now.run

    assert [True, False, False] == [control.cancel() for _ in range(3)]
    assert "cancelling" == control.now.state
    with pytest.raises(BadParameter, match="look is still being cancelled"):
        control.start("look", {})

    async def enough() -> None:
        run.go_on.set()

    sync.run(enough())

    assert "cancelled" == sync.run(control.wait(), timeout=10).state
    assert 1 == run.cancels


def test_a_run_that_is_cancelled_just_when_it_begins_hears_it_once() -> None:
    runs: list[Slow] = []

    async def begin(recipe: str, params: Mapping[str, Any], resume: Any) -> Fake:
        runs.append(Slow(recipe))
        asyncio.get_running_loop().call_soon(control.cancel)
        return runs[-1]

    async def enough() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        runs[0].go_on.set()

    control = Control(begin)  # type: ignore[arg-type]
    control.start("look", {})
    until(lambda: any(run.cancels for run in runs))
    sync.run(enough())

    assert "cancelled" == sync.run(control.wait(), timeout=10).state
    assert [1] == [run.cancels for run in runs]


def test_what_ends_in_spite_of_being_cancelled_is_told_as_it_ended() -> None:
    class Deaf(Fake):
        async def _go(self) -> None:
            try:
                await self.how
            except asyncio.CancelledError:
                self.status = "done"

    control = begun(Deaf)
    control.cancel()

    assert "done" == sync.run(control.wait(), timeout=10).state


def test_a_run_that_was_cancelled_before_its_first_step_and_does_not_know_it_is_cancelled() -> None:
    class Unborn(Fake):
        async def _go(self) -> None:
            await self.how  # and nothing is noted where that is cancelled

    control = begun(Unborn)
    control.cancel()

    assert "cancelled" == sync.run(control.wait(), timeout=10).state


def test_the_run_before_is_kept_if_it_was_of_the_same_recipe() -> None:
    world = World()
    for recipe in ("look", "look", "other"):
        world.control.start(recipe, {})
        world.begun()
        world.end("done")
        world.settle()
        if recipe == "look":
            last = world.control.now
    assert last.before is world.runs[0]
    assert world.control.now.before is None
    world.control.start("other", {"bad": True})
    failed = world.settle()
    assert ("failed", None, world.runs[2]) == (failed.state, failed.run, failed.before)
    assert "bad=True: is bad." == str(failed.error)
