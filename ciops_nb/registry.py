"""``@tool`` makes a function findable, described and callable two ways.

A tool is an async function whose first parameter is a :class:`~ciops_nb.context.Context`. Its signature is its schema,
its docstring its description; neither is typed twice. Packages offer theirs by entry points: see ``ciops_nb.plugins``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from ciops_nb import plugins, sync
from ciops_nb.context import Context
from ciops_nb.errors import UnknownTool
from ciops_nb.estate.names import nearest
from ciops_nb.ways import Work

__all__ = ["BoundTool", "Tool", "all_tools", "find_tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

_TTL = 300.0
_TIMEOUT = 300.0

Reads = Callable[[Mapping[str, Any], Mapping[str, int]], tuple[Work, ...]]
"""From the arguments of a call, times absolute, and the sizes of the tables to what has to be read for it."""

_tools: dict[str, Tool[..., Any]] = {}


class Caller(Protocol):
    """What a tool is bound to: the session, which puts the layers around a call."""

    def call_tool(self, tool: Tool[..., Any], arguments: Mapping[str, Any]) -> Coroutine[Any, Any, Any]: ...


class Tool(Generic[P, R]):
    """A question, as a function of a context; as an attribute of a session it is bound to it."""

    __qualname__: str

    def __init__(
        self,
        function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]],
        *,
        version: int,
        ttl: float,
        timeout: float | None,
        work: Reads | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name: str = function.__name__
        self.version, self.ttl, self.timeout, self.work = version, ttl, timeout, work
        self.edition = 0  # how often a notebook has defined it anew: what an older edition answered is not its answer
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"tool {self.name}: write it as async def")
        signature = inspect.signature(function, eval_str=True)
        if not signature.parameters:
            raise TypeError(f"tool {self.name}: give it the context as its first parameter")
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


@overload
def tool(function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Tool[P, R]: ...
@overload
def tool(
    *, version: int = 1, ttl: float = ..., timeout: float | None = ..., work: Reads | None = ...
) -> Callable[[Callable[Concatenate[Context, P], Coroutine[Any, Any, R]]], Tool[P, R]]: ...
def tool(
    function: Any = None,
    /,
    *,
    version: int = 1,
    ttl: float = _TTL,
    timeout: float | None = _TIMEOUT,
    work: Reads | None = None,
) -> Any:
    """Register an async function of a context as a tool.

    It can be asked at once as ``ops.tool("name")``, awaited or with ``.sync``, cached, traced and with a provenance.
    Defined again in the same place, as when the cell of a notebook is run again, it takes the place of what was there.

    It returns a polars frame, a pandas frame with a plain index, or a networkx graph whose nodes are ci_codes::

        @ciops.tool
        async def ci_owners(ctx: ciops.Context, *, least: int = 1) -> pl.DataFrame:
            "Who owns how many CIs?"
            rows = ctx.tables.table("ci").group_by("owner").agg(n=nw.len()).filter(nw.col("n") >= least)
            return (await ctx.run(rows)).sort("owner")


        ops.tool("ci_owners").sync(least=3)

    Its tables are those of the session's tenant. Parameters called ``ci``, ``as_of`` and ``time_range`` take what they
    take elsewhere, and arrive as codes and absolute times. What is asked of anything but the estate changes without the
    data version: give such a tool a short *ttl*, or 0.

    Args:
        function: The function, where the decorator is written without parentheses.
        version: Of what it answers: raise it when the same question has another answer.
        ttl: Seconds an answer may be kept; 0 for what must be asked each time.
        timeout: Seconds it may take; None lets it run.
        work: What a call has to read, so that ``ops.plan`` can tell what it will take; None says nothing of it.

    Raises:
        TypeError: it is no async function of a context, a parameter has no type, there is no docstring, or the name is
            taken.
    """

    def register(function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]]) -> Tool[P, R]:
        made = Tool(function, version=version, ttl=ttl, timeout=timeout, work=work)
        there = _tools.get(made.name)
        if there is not None:
            if (there.function.__module__, there.__qualname__) != (function.__module__, function.__qualname__):
                raise TypeError(f"there is a tool {made.name!r} already, in {there.function.__module__}")
            made.edition = there.edition + 1
        _tools[made.name] = made
        return made

    return register if function is None else register(function)


def all_tools() -> dict[str, Tool[..., Any]]:
    """Every tool by its name, those of other packages among them."""
    plugins.load("ciops_nb.tools")
    return dict(sorted(_tools.items()))


def find_tool(name: str) -> Tool[..., Any]:
    """The tool called *name*.

    Raises:
        UnknownTool: there is none.
    """
    if name not in _tools:
        plugins.load("ciops_nb.tools")
    if name not in _tools:
        raise UnknownTool(name, nearest(name, _tools), f"There are: {', '.join(sorted(_tools))}.")
    return _tools[name]
