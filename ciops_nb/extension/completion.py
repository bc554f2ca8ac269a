"""Completion of names in calls of a session: codes of CIs, metrics, relation types, fields, recipes, tools, choices.

Which parameter is meant is read from the signature of the tool or recipe. The session is looked up in the namespace of
the notebook by its name, and nothing else is: no attribute of any object is asked for, and no code is run. Names are
read of the session's own tenant, past its trace and its cache: looking for a name is not asking a tool. Where they take
longer than a moment there are none now, and all at once when they have come.
"""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from ciops_nb import sync
from ciops_nb.extension.code import Place, Text, place_of

if TYPE_CHECKING:
    from ciops_nb.session import Ops
    from ciops_nb.tools.names import Known, Names

__all__ = ["Matcher"]

_MOST = 50
_PATIENCE = 0.4  # seconds that Tab waits for names that are not there yet
_AGAIN = 0.05  # for names that were waited for before
_LIMIT = 60.0  # after which they are given up


class Matcher:
    """What ``IPCompleter.custom_matchers`` takes, in version 2 of its API."""

    matcher_api_version = 2
    matcher_priority = 10
    matcher_identifier = "ciops_nb"

    def __init__(self, namespace: Callable[[], Mapping[str, Any]]) -> None:
        self.__qualname__ = self.matcher_identifier  # IPython asks for it too
        self._namespace = namespace
        self._fetches: dict[tuple[int, Names], _Fetch] = {}

    def __call__(self, context: Any) -> dict[str, Any]:
        nothing: dict[str, Any] = {"completions": [], "suppress": False}
        if "ciops_nb.session" not in sys.modules:  # then there is no session
            return nothing
        try:
            lines = context.full_text.split("\n")[: context.cursor_line + 1]
            lines[-1] = lines[-1][: context.cursor_position]
            return self._complete("\n".join(lines)) or nothing
        except (Exception, KeyboardInterrupt):  # noqa: BLE001  whoever types is not to be told of an estate that is away: the call will tell
            return nothing

    def _complete(self, code: str) -> dict[str, Any] | None:
        place = place_of(code)
        if place is None:
            return None
        meant = _meant(place, self._namespace())
        if meant is None:
            return None
        ops, names = meant
        typed = "" if place.text is None else place.text.value
        if typed is None or (place.text is None and not isinstance(names, tuple)):
            return None
        found = _chosen(names, typed) if isinstance(names, tuple) else self._known(ops, names, typed)
        return _completions(found, place.text)

    def _known(self, ops: Ops, asked: Names, typed: str) -> list[tuple[str, str]]:
        """Names of the estate's, and what they are."""
        from ciops_nb.tools.names import ended, starting

        key = (id(ops), asked)
        fetch = self._fetches.get(key)
        patience = _AGAIN
        if fetch is None or fetch.done:
            fetch, patience = _Fetch(partial(_read, ops, asked)), _PATIENCE
            self._fetches[key] = fetch
        if not fetch.wait(patience):
            return []
        self._fetches.pop(key, None)  # Tab may be pressed in two threads
        if fetch.found is None:
            return []
        known, moment = fetch.found
        names, total = starting(known, typed, _MOST)
        gone = set() if moment is None else ended(known, names, moment)
        cut = f", {len(names)} of {total:,}" if len(names) < total else ""
        return [(name, asked.kind + (", ended" if name in gone else "") + cut) for name in names]


class _Fetch:
    """Names that are read at home, in a thread of their own: who waits for them no longer need not stop them."""

    def __init__(self, make: Any) -> None:
        self.found: tuple[Known, datetime | None] | None = None
        self._make = make
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="ciops-names", daemon=True).start()

    @property
    def done(self) -> bool:
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def _run(self) -> None:
        try:
            self.found = sync.block(self._make, name="completion", timeout=_LIMIT)
        except BaseException:  # noqa: BLE001  as above; what is printed from here would stand in some cell
            self.found = None
        finally:
            self._ended.set()


async def _read(ops: Ops, asked: Names) -> tuple[Known, datetime | None]:
    ctx, now = await ops.aside()
    return await asked.read(ctx), now


# ── what is meant ───────────────────────────────────────────────────────────────────────────────────────────────────


def _meant(place: Place, namespace: Mapping[str, Any]) -> tuple[Ops, Names | tuple[str, ...]] | None:
    """The session, and which names belong there."""
    from ciops_nb.session import Ops

    callee = place.callee
    ops: Any = namespace.get(callee.names[0])
    if not issubclass(type(ops), Ops):  # of the type itself: some objects answer isinstance as they like
        return None
    way = callee.names[1:]
    way = way[:-1] if len(way) == 2 and way[1] == "sync" else way
    if len(way) != 1:
        return None
    names = _names(ops, way[0], place)
    return None if not names else (ops, names)


def _names(ops: Ops, name: str, place: Place) -> Names | tuple[str, ...] | None:
    from ciops_nb.recipes.run import all_recipes
    from ciops_nb.registry import all_tools

    callee = place.callee
    if callee.called is not None:
        return _of_tool(all_tools().get(callee.called), place) if name == "tool" and callee.then in _BOUND else None
    if name not in ("tool", "plan", "run", "start"):
        return _of_tool(inspect.getattr_static(type(ops), name, None), place)
    if place.position == 0 and place.keyword is None:
        all_of = all_recipes() if name in ("run", "start") else all_tools()
        return tuple(all_of) if place.within == "value" else None
    if place.first is None or name == "tool":
        return None
    if name == "plan":
        return _of_tool(all_tools().get(place.first), place, before=1)
    recipe = all_recipes().get(place.first)
    if recipe is None or place.keyword is None:
        return None
    return _of(recipe, inspect.signature(recipe).parameters.get(place.keyword), place)


_BOUND = ((), ("sync",))


def _of_tool(tool: Any, place: Place, *, before: int = 0) -> Names | tuple[str, ...] | None:
    from ciops_nb.registry import Tool

    if not isinstance(tool, Tool):
        return None
    parameters = tool.signature.parameters
    if place.keyword is not None:
        return _of(tool.function, parameters.get(place.keyword), place)
    taken = [one for one in parameters.values() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    number = -1 if place.position is None else place.position - before
    return _of(tool.function, taken[number] if 0 <= number < len(taken) else None, place)


def _of(function: Any, parameter: inspect.Parameter | None, place: Place) -> Names | tuple[str, ...] | None:
    """What may be meant by *parameter* of *function*."""
    from ciops_nb.tools.names import ASKED, CHOICES, values_of

    if parameter is None:
        return None
    if place.of is not None:
        return values_of(place.of) if parameter.name == "where" else None
    if (parameter.name == "where") != (place.within == "key"):
        return None
    kind, name = parameter.annotation, parameter.name
    if place.within == "item" and kind is not Any and not re.search(r"\bAny\b|\blist\b", str(kind)):
        return None
    literal = next((part for part in (kind, *get_args(kind)) if get_origin(part) is Literal), None)
    if literal is not None:
        return tuple(value for value in get_args(literal) if isinstance(value, str))
    if name in ("source", "target") and function.__module__.partition(".")[0] != "ciops_nb":
        return None  # such words mean other things to others
    return CHOICES.get(name) or ASKED.get(name)


# ── what is offered ─────────────────────────────────────────────────────────────────────────────────────────────────


def _chosen(names: tuple[str, ...], typed: str) -> list[tuple[str, str]]:
    found = [name for name in names if name.startswith(typed)]
    if not found:
        found = [name for name in names if name.lower().startswith(typed.lower())]
    return [(name, "choice") for name in found]


def _completions(found: list[tuple[str, str]], text: Text | None) -> dict[str, Any]:
    """Names with what they are, as IPython takes them: all of what was typed of the text is replaced."""
    from IPython.core.completer import SimpleCompletion

    into = text or Text("", '"', "")
    written = [(into.written(name), kind) for name, kind in found]
    quote = "" if text is not None else into.quote
    return {
        "completions": [
            SimpleCompletion(f"{quote}{name}{quote}", type=kind) for name, kind in written if name is not None
        ],
        "matched_fragment": "" if text is None else text.typed,
        "suppress": True,  # no file is meant in a text that is for us, nor any name where a choice has to be
        "ordered": True,
    }
