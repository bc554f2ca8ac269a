"""The fields of a widget: who may change them, and when.

Callbacks come on several threads, and what we put into a field ourselves is no wish of the analyst's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets  # type: ignore[import-untyped,unused-ignore]

__all__ = ["Fields"]


class Fields:
    """Takes what is typed and clicked, one thing at a time.

    Args:
        failed: Shows what a callback raised.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self.lock = threading.RLock()
        self._failed = failed
        self._quiet = 0

    def guarded(self, do: Callable[[Any], None]) -> Callable[[Any], None]:
        """*do*, under the lock, not when we ourselves set the fields, and with its errors in the widget."""

        def call(change: Any) -> None:
            with self.lock:
                if self._quiet:
                    return
                try:
                    do(change)
                except Exception as error:  # noqa: BLE001  it is shown
                    self._failed(error)

        return call

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """What is set meanwhile, we set."""
        with self.lock:
            self._quiet += 1
            try:
                yield
            finally:
                self._quiet -= 1

    def watch(self, widget: Any, do: Callable[[Any], None], name: str = "value") -> None:
        """Call *do* with what the trait *name* of *widget* becomes."""
        widget.observe(self.guarded(lambda change: do(change["new"])), name)

    def quick_times(self, ranges: Sequence[str], do: Callable[[str], None]) -> ipywidgets.Dropdown:
        """Quick choices of time; *do* is called with the one that was chosen."""
        made = ipywidgets.Dropdown(
            options=[("quick …", ""), *((name.replace("_", " "), name) for name in ranges)],
            layout=ipywidgets.Layout(width="110px"), tooltip="Quick choices of time",
        )  # fmt: skip

        def chosen(name: str) -> None:
            if name:
                with self.quietly():
                    made.value = ""
                do(name)

        self.watch(made, chosen)
        return made
