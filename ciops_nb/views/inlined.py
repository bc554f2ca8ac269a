"""The explorer of a report, for those who allow scripts: a graph as the script reads it, and the script with its style.

Nobody answers it: it walks, searches, lists and marks what is in the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ciops_nb.views.origins import GraphAtHand
from ciops_nb.views.scene_rows import numbering, parts_of, whole
from ciops_nb.views.scenes import marks_at_first
from ciops_nb.views.widgets.twin import asset

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["script", "sheet", "world"]

_MOST = 1000  # nodes; what lies beyond is counted at those that are shown


def world(
    graph: nx.MultiDiGraph[str],
    *,
    focus: str | None = None,
    highlight: Mapping[str, str] | Iterable[str] | None = None,
) -> str:
    """*graph* as JSON that may stand in a script element.

    Args:
        graph: As ``graph_expand`` or ``graph_path`` returns it.
        focus: Where it opens; by default at its roots.
        highlight: Codes of the items that are hurt, or a mapping from code to a short reason.

    Raises:
        ItemNotFound: *focus* is not in the graph.
    """
    scene = GraphAtHand(graph, focus, _MOST).opened()
    told = whole(parts_of(scene, marks_at_first(scene, highlight), numbering()))
    text = json.dumps({**told, "alone": True}, allow_nan=False)
    return text.replace("<", "\\u003c")  # so that nothing in it ends the element


def script() -> str:
    """What makes a page explore its graphs.

    Raises:
        BadParameter: this is a checkout, and nothing was bundled.
    """
    return asset("report.js")


def sheet() -> str:
    """The style of it."""
    return asset("explorer.css")
