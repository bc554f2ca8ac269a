"""A scene as the page of an explorer reads it, by part: rows of nodes and edges by number, and what else it must know.

A page is told the whole once, and then what differs.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ciops_nb.views import explored

if TYPE_CHECKING:
    from ciops_nb.views.explored import Edge, Marks
    from ciops_nb.views.scenes import Scene

__all__ = ["change", "numbering", "parts_of", "whole"]

_ROWS = ("nodes", "edges")


def numbering() -> defaultdict[Any, int]:
    """A number for each node and edge, for as long as the page is open, given when it is asked for first."""
    return defaultdict(itertools.count().__next__)


def parts_of(
    scene: Scene, marks: Marks | None, numbers: defaultdict[Any, int], time: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """All that the page needs.

    Args:
        scene: What is on screen, and what is known.
        marks: What is laid over it.
        numbers: Of ``numbering``, the same for all scenes of a page.
        time: How the moments read; None where nothing can be asked, as of a graph at hand.
    """
    number = {code: numbers[code] for code in scene.shown}
    numbered = {edge: numbers[edge] for edge in scene.links}
    return {
        "nodes": explored.node_rows(
            scene.graph, scene.shown, scene.places, number, scene.hops, scene.hidden, scene.compared
        ),
        "edges": explored.edge_rows(scene.graph, number, numbered, scene.compared),
        "roots": [number[root] for root in scene.roots if root in number],
        "marks": None if marks is None else _marked(marks, number, numbered),
        "look": explored.look(scene.graph),
        "told": _told(scene),
        "time": time,
        "asks": time is not None,
    }


def _marked(marks: Marks, number: Mapping[str, int], numbered: Mapping[Edge, int]) -> dict[str, Any]:
    return {
        "kind": marks.kind,
        "title": marks.title,
        "nodes": [[number[code], *said] for code, said in marks.nodes.items() if code in number],
        "edges": sorted(numbered[edge] for edge in marks.edges if edge in numbered),
    }


def _told(scene: Scene) -> dict[str, Any]:
    return {
        "name": scene.name,
        "view": scene.view,
        "shown": len(scene.shown),
        "total": scene.total_text,
        "whole": not scene.at_least and scene.total == len(scene.shown),
        "frontier": len(scene.hidden),
        "notes": list(scene.told),
        "compared": explored.diff_text(scene.compared),
    }


def whole(parts: Mapping[str, Any], version: int = 0) -> dict[str, Any]:
    """All *parts* as JSON has them, where a number is no key."""
    rows = {name: [[key, row] for key, row in parts[name].items()] for name in _ROWS}
    return {**parts, **rows, "version": version}


def change(before: Mapping[str, Any], parts: Mapping[str, Any], version: int) -> dict[str, Any]:
    """What to tell a page that knows the parts of *before*: rows to put and to drop, and of the rest what differs."""
    told: dict[str, Any] = {"kind": "change", "version": version}
    for name in _ROWS:
        found = explored.changes(before[name], parts[name])
        if found["put"] or found["drop"]:
            told[name] = found
    told["rest"] = {name: part for name, part in parts.items() if name not in _ROWS and part != before[name]}
    return told
