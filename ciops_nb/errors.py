"""Every error ciops_nb raises on purpose.

::

    CiopsError
    ├── ItemNotFound        (LookupError)      no configuration item has this code or id
    ├── UnknownMetric       (LookupError)      no metric has this name
    ├── UnknownField        (LookupError)      no column, tag or attribute has this name
    ├── UnknownTool         (LookupError)      no tool or recipe has this name
    ├── BadParameter        (ValueError)       a parameter has a value that cannot be meant
    │   ├── BadFilter                          a ``where`` that cannot be read
    │   └── BadTimeRange                       a time or a time range that cannot be read
    ├── BadRule             (ValueError)       a rule that cannot be read or replayed
    ├── EstateInvalid       (ValueError)       a folder, table or file is not what an estate needs
    │   └── BadMapping                         a mapping for an import does not fit its files
    ├── BadBundle           (ValueError)       a saved run is missing, damaged, or not what was saved
    ├── NotRecorded         (LookupError)      a replayed run asks what its bundle has no answer to
    ├── TenantNeeded        (ValueError)       the estate has several tenants, or not the one named
    ├── EngineUnavailable   (ConnectionError)  the rows could not be fetched
    ├── ToolTimedOut        (TimeoutError)     an answer took longer than allowed
    ├── CannotWait          (RuntimeError)     plain code cannot wait here without stopping what it waits for
    ├── SessionClosed       (RuntimeError)     the connection was closed before the call
    └── IncompleteResult    (RuntimeError)     ``strict=True`` and the answer is not whole

Each inherits the builtin that a caller would already catch, takes plain arguments (so that it survives the trip
from a worker thread or process), and says in one breath: the value, what is wrong, what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "BadBundle",
    "BadFilter",
    "BadMapping",
    "BadParameter",
    "BadRule",
    "BadTimeRange",
    "CannotWait",
    "CiopsError",
    "EngineUnavailable",
    "EstateInvalid",
    "IncompleteResult",
    "ItemNotFound",
    "NotRecorded",
    "SessionClosed",
    "TenantNeeded",
    "ToolTimedOut",
    "UnknownField",
    "UnknownMetric",
    "UnknownTool",
    "did_you_mean",
]


def did_you_mean(similar: Iterable[str], otherwise: str) -> str:
    """What to do next about a name that is not known: the *similar* ones, or else *otherwise*."""
    names = [repr(name) for name in similar]
    return f"Did you mean {' or '.join(names)}?" if names else otherwise


def _shown(value: Any) -> str:
    """*value* on one line, cut where it is long: a frame is not what an error is for."""
    text = " ".join(repr(value).split("\n"))
    return text if len(text) <= 200 else text[:197] + "..."


class CiopsError(Exception):
    """The root of the family: ``except CiopsError`` catches whatever ciops_nb raises on purpose."""


class ItemNotFound(CiopsError, LookupError):
    """No configuration item has the code or id that was asked for."""

    def __init__(self, value: str, similar: tuple[str, ...] = (), *, what: str = "code", when: str = "") -> None:
        super().__init__(value, similar)
        self.value, self.similar, self.what, self.when = value, tuple(similar), what, when

    def __reduce__(self) -> Any:
        return _rebuild_item_not_found, (self.value, self.similar, self.what, self.when)

    def __str__(self) -> str:
        at = f" at {self.when}" if self.when else ""
        if at and self.value in self.similar:
            hint = "It exists at other times: ask with another as_of."
        else:
            hint = did_you_mean(self.similar, "Look for it with ci_search().")
        return f"No configuration item has {self.what} {_shown(self.value)}{at}. {hint}"


def _rebuild_item_not_found(value: str, similar: tuple[str, ...], what: str, when: str) -> ItemNotFound:
    return ItemNotFound(value, similar, what=what, when=when)


class _UnknownName(CiopsError, LookupError):
    noun = "name"
    otherwise = ""

    def __init__(self, value: str, similar: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(value, similar, hint)
        self.value, self.similar, self.hint = value, tuple(similar), hint

    def __str__(self) -> str:
        hint = did_you_mean(self.similar, self.hint or self.otherwise)
        return f"There is no {self.noun} {_shown(self.value)}. {hint}".rstrip()


class UnknownMetric(_UnknownName):
    """No metric has the name that was asked for."""

    noun = "metric"
    otherwise = "List the metrics with metric_list()."


class UnknownField(_UnknownName):
    """No column of a CI, and no tag or attribute of any CI, has the name that was asked for."""

    noun = "field"
    otherwise = "Fields are the columns of a CI, tags.NAME and attributes.NAME."


class UnknownTool(_UnknownName):
    """No tool or recipe has the name that was asked for."""

    noun = "tool or recipe"


class BadParameter(CiopsError, ValueError):
    """A parameter has a value that cannot be meant."""

    def __init__(self, name: str, value: Any, problem: str, hint: str = "") -> None:
        super().__init__(name, value, problem, hint)
        self.name, self.value, self.problem, self.hint = name, value, problem, hint

    def __str__(self) -> str:
        return f"{self.name}={_shown(self.value)}: {self.problem}. {self.hint}".rstrip()


class BadFilter(BadParameter):
    """A ``where`` that cannot be read: an unknown operator, or a value of the wrong kind."""


class BadTimeRange(BadParameter):
    """A time or a time range that cannot be read."""


class BadRule(CiopsError, ValueError):
    """A rule that cannot be read or replayed; *where* is its place, such as ``rule 2, when.over`` or ``line 7``."""

    def __init__(self, where: str, problem: str, hint: str = "") -> None:
        super().__init__(where, problem, hint)
        self.where, self.problem, self.hint = where, problem, hint

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}. {self.hint}".rstrip()


class EstateInvalid(CiopsError, ValueError):
    """A folder, table or file is not what an estate needs."""

    def __init__(self, place: str, problem: str, hint: str = "") -> None:
        super().__init__(place, problem, hint)
        self.place, self.problem, self.hint = place, problem, hint

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}. {self.hint}".rstrip()


class BadMapping(EstateInvalid):
    """A mapping for an import does not fit the files it is for."""


class BadBundle(CiopsError, ValueError):
    """A saved run is missing, damaged, or not what was saved."""

    def __init__(self, place: str, problem: str, hint: str = "") -> None:
        super().__init__(place, problem, hint)
        self.place, self.problem, self.hint = place, problem, hint

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}. {self.hint}".rstrip()


class NotRecorded(CiopsError, LookupError):
    """A replayed run asks what it was not answered when it was recorded: the recipe is another one now."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return (
            f"{self.place} holds no answer to this call: the recipe or its parameters are not those that were "
            "recorded. Run it on the estate instead."
        )


class TenantNeeded(CiopsError, ValueError):
    """The estate has several tenants and none was named, or the one named is not there."""

    def __init__(self, tenant: str | None, tenants: tuple[str, ...]) -> None:
        super().__init__(tenant, tenants)
        self.tenant, self.tenants = tenant, tuple(tenants)

    def __str__(self) -> str:
        known = ", ".join(repr(name) for name in self.tenants) or "none"
        if self.tenant is None:
            return f"This estate has several tenants: {known}. Name one: connect(..., tenant={self.tenants[0]!r})."
        return f"This estate has no tenant {_shown(self.tenant)}. It has: {known}."


class EngineUnavailable(CiopsError, ConnectionError):
    """The rows could not be fetched: a library is missing, a file is damaged or gone, a server is away."""

    def __init__(self, engine: str, problem: str, hint: str = "") -> None:
        super().__init__(engine, problem, hint)
        self.engine, self.problem, self.hint = engine, problem, hint

    def __str__(self) -> str:
        return f"Engine {self.engine}: {self.problem}. {self.hint}".rstrip()


class ToolTimedOut(CiopsError, TimeoutError):
    """An answer took longer than allowed."""

    def __init__(self, tool: str, seconds: float) -> None:
        super().__init__(tool, seconds)
        self.tool, self.seconds = tool, seconds

    def __str__(self) -> str:
        return f"{self.tool} gave no answer within {self.seconds:g} s and was cancelled. Ask for less, or allow more."


class CannotWait(CiopsError, RuntimeError):
    """Plain code cannot wait here without stopping the very loop that has to do the work."""

    def __init__(self, name: str, problem: str, hint: str = "Await it instead.") -> None:
        super().__init__(name, problem, hint)
        self.name, self.problem, self.hint = name, problem, hint

    def __str__(self) -> str:
        return f"{self.problem}, so {self.name} cannot be waited for. {self.hint}"


class SessionClosed(CiopsError, RuntimeError):
    """The connection was closed before the call."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.source = source

    def __str__(self) -> str:
        return f"The connection to {self.source!r} is closed. Open it again with ciops_nb.connect()."


class IncompleteResult(CiopsError, RuntimeError):
    """``strict=True`` and the answer is not whole."""

    def __init__(self, tool: str, status: str, left_out: tuple[str, ...] = ()) -> None:
        super().__init__(tool, status, left_out)
        self.tool, self.status, self.left_out = tool, status, tuple(left_out)

    def __str__(self) -> str:
        what = "; ".join(self.left_out) or "see the warnings"
        return f"{self.tool}: the answer is {self.status} ({what}). Raise its limit, or connect without strict=True."
