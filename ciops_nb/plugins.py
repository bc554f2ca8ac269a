"""Tools and recipes of other packages, offered by entry points.

A package names a module, or one tool or recipe in it, in its ``pyproject.toml``::

    [project.entry-points."ciops_nb.tools"]
    owners = "my_package.tools"

    [project.entry-points."ciops_nb.recipes"]
    handover = "my_package.recipes:handover"

They are imported when somebody first asks for a name that is not there, or for all names: never by importing ciops_nb.
One that cannot be imported, or whose name is taken, is told of in a warning, and all others work.
"""

from __future__ import annotations

import threading
import warnings
from importlib.metadata import EntryPoint, entry_points

__all__ = ["load"]

_lock = threading.RLock()  # a plug-in may look tools up while it is imported
_loaded: set[str] = set()


def load(group: str) -> None:
    """Import what the installed packages offer in *group*, once."""
    with _lock:
        if group in _loaded:
            return
        _loaded.add(group)
        for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
            _load(entry)


def _load(entry: EntryPoint) -> None:
    try:
        entry.load()  # importing it registers what is decorated there
    except Exception as error:  # noqa: BLE001  what is wrong with a plug-in must not stop those who do not need it
        offered = f" of {entry.dist.name} {entry.dist.version}" if entry.dist is not None else ""
        warnings.warn(
            f"Plug-in {entry.name!r}{offered} ({entry.value}) is left out: {type(error).__name__}: {error}",
            stacklevel=4,
        )
