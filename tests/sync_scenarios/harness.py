"""Shared by the scenario scripts: ``python SCRIPT.py NAME`` plays one scenario in a fresh interpreter."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def play(scope: dict[str, Any]) -> None:
    scope[sys.argv[1]]()
    print("played", flush=True)


@contextmanager
def raises(kind: type[BaseException]) -> Iterator[list[Any]]:
    caught: list[Any] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    else:
        raise AssertionError(f"{kind.__name__} did not come")


@contextmanager
def takes_less_than(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"took {took:.2f} s"


@contextmanager
def takes_at_least(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took >= seconds, f"took {took:.2f} s"


def in_background(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def interrupt_after(*events: threading.Event) -> None:
    """Send this process one SIGINT after each of *events*."""

    def send() -> None:
        for event in events:
            event.wait()
            os.kill(os.getpid(), signal.SIGINT)

    in_background(send)
