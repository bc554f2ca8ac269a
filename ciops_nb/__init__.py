"""Investigate operations incidents in Jupyter: topology, metrics, history and reports as DataFrames and graphs.

Importing this package reads, starts and patches nothing; what is named here is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ciops_nb import cep, errors, sync
    from ciops_nb.answers import provenance
    from ciops_nb.context import Context, Frame, Graph
    from ciops_nb.recipes.bundle import replay
    from ciops_nb.recipes.findings import Findings, Section, Statement
    from ciops_nb.recipes.run import recipe
    from ciops_nb.registry import tool
    from ciops_nb.session import Ops, connect
    from ciops_nb.views.widgets.board import MetricBoard
    from ciops_nb.views.widgets.explorer import TopologyExplorer
    from ciops_nb.views.widgets.panel import RecipePanel
    from ciops_nb.views.widgets.rule_lab import RuleLab
    from ciops_nb.views.widgets.waterfall import TraceWaterfall

_PLACES = {
    "Context": "context",
    "Findings": "recipes.findings",
    "Frame": "context",
    "Graph": "context",
    "MetricBoard": "views.widgets.board",
    "Ops": "session",
    "RecipePanel": "views.widgets.panel",
    "RuleLab": "views.widgets.rule_lab",
    "Section": "recipes.findings",
    "Statement": "recipes.findings",
    "TopologyExplorer": "views.widgets.explorer",
    "TraceWaterfall": "views.widgets.waterfall",
    "cep": "",
    "connect": "session",
    "errors": "",
    "load_ipython_extension": "extension",
    "provenance": "answers",
    "recipe": "recipes.run",
    "replay": "recipes.bundle",
    "sync": "",
    "tool": "registry",
    "unload_ipython_extension": "extension",
}

__all__ = [
    "Context", "Findings", "Frame", "Graph", "MetricBoard", "Ops", "RecipePanel", "RuleLab", "Section", "Statement",
    "TopologyExplorer", "TraceWaterfall", "cep", "connect", "errors", "provenance", "recipe", "replay", "sync",
    "tool",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = _PLACES[name]
    if not place:
        return importlib.import_module(f"{__name__}.{name}")
    found = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
