"""``@tool`` makes a function findable, described and callable two ways.

A tool is an async function whose first parameter is a :class:`~ciops_nb.context.Context`. Its signature is its schema,
its docstring its description; neither is typed twice.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from ciops_nb import sync
from ciops_nb.context import Context
from ciops_nb.errors import UnknownTool
from ciops_nb.estate.names import nearest

__all__ = ["BoundTool", "Tool", "all_tools", "find_tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

_tools: dict[str, Tool[..., Any]] = {}


class Caller(Protocol):
    """What a tool is bound to: the session, which puts the layers around a call."""

    def call_tool(self, tool: Tool[..., Any], arguments: Mapping[str, Any]) -> Coroutine[Any, Any, Any]: ...


class Tool(Generic[P, R]):
    """A question, as a function of a context; as an attribute of a session it is bound to it."""

    def __init__(self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], version: int) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name: str = function.__name__
        self.version = version
        signature = inspect.signature(function, eval_str=True)
        _, *parameters = signature.parameters.values()
        untyped = [parameter.name for parameter in parameters if parameter.annotation is parameter.empty]
        if untyped or not function.__doc__:
            raise TypeError(
                f"tool {self.name}: " + (f"give {', '.join(untyped)} a type" if untyped else "write a docstring")
            )
        self.signature = signature.replace(parameters=parameters)
        self.__signature__ = self.signature

    def __call__(self, context: Context, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return self.function(context, *args, **kwargs)

    @overload
    def __get__(self, caller: None, owner: type) -> Tool[P, R]: ...
    @overload
    def __get__(self, caller: Caller, owner: type) -> BoundTool[P, R]: ...
    def __get__(self, caller: Caller | None, owner: type) -> Tool[P, R] | BoundTool[P, R]:
        return self if caller is None else BoundTool(self, caller)

    def arguments(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """All parameters of a call by name, defaults filled in.

        Raises:
            TypeError: an argument is missing, or there is none of that name.
        """
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}. Call it as {self.name}{self.signature}") from None
        bound.apply_defaults()
        return bound.arguments

    def __repr__(self) -> str:
        return f"<tool {self.name}{self.signature}>"


class BoundTool(Generic[P, R]):
    """A tool of one session: ``await ops.ci_get("x")``, or ``ops.ci_get.sync("x")``."""

    def __init__(self, tool: Tool[P, R], caller: Caller) -> None:
        self.tool, self._caller = tool, caller
        self.__name__, self.__doc__, self.__signature__ = tool.name, tool.__doc__, tool.signature

    def _make(self, *args: P.args, **kwargs: P.kwargs) -> Callable[[], Coroutine[Any, Any, R]]:
        return functools.partial(self._caller.call_tool, self.tool, self.tool.arguments(*args, **kwargs))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> sync.Call[R]:
        return sync.call(self._make(*args, **kwargs), name=self.tool.name)

    def sync(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same call, waited for: in a notebook or out of one, with or without a running loop."""
        return sync.block(self._make(*args, **kwargs), name=self.tool.name)

    def __repr__(self) -> str:
        return f"<{self.tool.name}{self.tool.signature}: await it, or {self.tool.name}.sync(...)>"


def tool(*, version: int = 1) -> Callable[[Callable[Concatenate[Context, P], Coroutine[Any, Any, R]]], Tool[P, R]]:
    """Register an async function of a context as a tool.

    Raises:
        TypeError: a parameter has no type, there is no docstring, or the name is taken.
    """

    def register(function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]]) -> Tool[P, R]:
        made = Tool(function, version)
        if made.name in _tools:
            raise TypeError(f"there is a tool {made.name!r} already, in {_tools[made.name].function.__module__}")
        _tools[made.name] = made
        return made

    return register


def all_tools() -> dict[str, Tool[..., Any]]:
    """Every tool by its name."""
    return dict(sorted(_tools.items()))


def find_tool(name: str) -> Tool[..., Any]:
    """The tool called *name*.

    Raises:
        UnknownTool: there is none.
    """
    if name not in _tools:
        raise UnknownTool(name, nearest(name, _tools), f"There are: {', '.join(sorted(_tools))}.")
    return _tools[name]
