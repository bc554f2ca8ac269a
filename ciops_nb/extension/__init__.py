"""``%load_ext ciops_nb``: what it adds to a notebook, or to IPython in a terminal.

- Cells run in greenlets, where there is a kernel of ipykernel's: ``ciops_nb.sync.notebook``.
- An answer that is shown carries a line: where it comes from, and whether it is whole: ``shown``.
- Names are completed in calls of a session: ``completion``.

``%unload_ext ciops_nb`` takes all of it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ciops_nb.extension.completion import Matcher
from ciops_nb.extension.shown import CiopsLine
from ciops_nb.sync import notebook

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


@dataclass(frozen=True)
class _Loaded:
    shell: Any
    line: CiopsLine
    matcher: Matcher

    def unload(self) -> None:
        self.line.unload()
        matchers = self.shell.Completer.custom_matchers
        matchers[:] = [one for one in matchers if one is not self.matcher]


_loaded: _Loaded | None = None


def load_ipython_extension(ipython: Any) -> None:
    """What ``%load_ext ciops_nb`` calls; the cells after it run in greenlets."""
    global _loaded
    notebook.load_ipython_extension(ipython)
    if _loaded is not None and _loaded.shell is not ipython:
        _loaded.unload()
        _loaded = None
    if _loaded is None:
        matcher = Matcher(lambda: ipython.user_ns)
        ipython.Completer.custom_matchers.append(matcher)
        _loaded = _Loaded(ipython, CiopsLine(ipython), matcher)


def unload_ipython_extension(ipython: Any) -> None:
    """What ``%unload_ext ciops_nb`` calls."""
    global _loaded
    if _loaded is not None:
        _loaded.unload()
        _loaded = None
    notebook.unload_ipython_extension(ipython)
