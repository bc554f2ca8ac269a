"""Running a recipe: from its name and parameters to a run with findings and the record of every call."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import ciops_nb
from ciops_nb.answers import COMPLETE, Provenance, record
from ciops_nb.errors import BadParameter, UnknownTool
from ciops_nb.estate.names import nearest
from ciops_nb.execution.record import Recorder
from ciops_nb.recipes.findings import Findings
from ciops_nb.tools.params import told

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["Run", "all_recipes", "recipe", "run_recipe"]

Recipe: TypeAlias = Callable[..., Coroutine[Any, Any, Findings]]

_recipes: dict[str, Recipe] = {}


def recipe(function: Recipe) -> Recipe:
    """Make an async function ``(ops, ..., *, ...) -> Findings`` a recipe under its own name.

    Raises:
        TypeError: the name is taken, or there is no docstring.
    """
    name = function.__name__
    if name in _recipes:
        raise TypeError(f"there is a recipe {name!r} already, in {_recipes[name].__module__}")
    if not function.__doc__:
        raise TypeError(f"recipe {name}: write a docstring")
    _recipes[name] = function
    return function


def all_recipes() -> dict[str, Recipe]:
    """Every recipe by its name, those of the package among them."""
    from ciops_nb.recipes import triage

    assert triage.__name__
    return dict(sorted(_recipes.items()))


@dataclass(frozen=True)
class Run:
    """What a recipe found, and the provenance of every call it made, in the order of asking."""

    id: str
    recipe: str
    status: str
    params: Mapping[str, Any]
    findings: Findings
    calls: tuple[Provenance, ...]
    tenant: str
    estate: str
    data_version: str
    engine: str
    ciops_version: str

    @property
    def completeness(self) -> str:
        """``complete`` if every call was, else the first other status."""
        return next((call.completeness.status for call in self.calls if call.completeness.status != COMPLETE), COMPLETE)

    def report(self, path: str | Path) -> Path:
        """Write the report as one HTML file that reads without scripts and without a network.

        Raises:
            BadParameter: the file cannot be written there.
        """
        import importlib

        # Views stand above recipes and import them; this one step goes up, and only when it is asked for.
        written: Path = importlib.import_module("ciops_nb.views.report").write(self, Path(path))
        return written

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.recipe}: {self.status}, {len(self.calls)} calls, {self.completeness}>"


async def run_recipe(ops: Ops, which: str | Recipe, params: Mapping[str, Any]) -> Run:
    """Run a recipe on a session.

    Raises:
        UnknownTool: no recipe has that name.
        BadParameter: a parameter is missing or unknown.
    """
    function = _find(which) if isinstance(which, str) else which
    name = function.__name__
    filled = _bind(name, function, ops, params)
    recorder = Recorder()
    with recorder.on(), ops.trace.span("run", name):
        findings = await function(ops, **filled)
    made = tuple(
        record(entry.call, entry.answer, started_at=entry.started_at, duration_ms=entry.duration_ms)
        for entry in recorder.recorded
    )
    shown = told(filled)
    version = made[0].data_version if made else ""
    text = json.dumps([name, shown, ops.tenant, ops.engine, version, ciops_nb.__version__], sort_keys=True)
    return Run(
        id=hashlib.blake2b(text.encode(), digest_size=6).hexdigest(),
        recipe=name,
        status="done",
        params=shown,
        findings=findings,
        calls=made,
        tenant=ops.tenant,
        estate=ops.name,
        data_version=version,
        engine=ops.engine,
        ciops_version=ciops_nb.__version__,
    )


def _find(name: str) -> Recipe:
    known = all_recipes()
    if name not in known:
        raise UnknownTool(name, nearest(name, known), f"There are: {', '.join(known)}.")
    return known[name]


def _bind(name: str, function: Recipe, ops: Ops, params: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(function)
    known = list(signature.parameters)[1:]
    for key in params:
        if key not in known:
            near = nearest(key, known) or known
            raise BadParameter(key, params[key], f"recipe {name!r} has no such parameter", f"It has {', '.join(near)}")
    for key in known:
        if key not in params and signature.parameters[key].default is inspect.Parameter.empty:
            raise BadParameter(key, None, f"recipe {name!r} needs it", f"Pass {key}=…")
    bound = signature.bind(ops, **params)
    bound.apply_defaults()
    return dict(list(bound.arguments.items())[1:])
