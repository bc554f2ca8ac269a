"""A scene where no kernel runs: exact words, and a picture that is small enough to be kept in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ciops_nb.recipes.evidence import counted, listed
from ciops_nb.views import explored
from ciops_nb.views.svg import visible
from ciops_nb.views.topology_plots import topology_svg

if TYPE_CHECKING:
    from ciops_nb.views.explored import Marks
    from ciops_nb.views.scenes import Scene

__all__ = ["twin_svg", "twin_text"]

_ALL = 150  # nodes up to which all are drawn
_DRAWN = (100, 50, 25, 10)  # beyond, or until it is small enough
_BYTES = 60_000


def twin_text(scene: Scene, marks: Marks | None, chosen: str | None) -> str:
    """What is shown and hidden, what is marked, and which CI is *chosen*."""
    names = listed([visible(root) for root in scene.roots], most=3) or "a graph"
    kinds = ", ".join(
        f"{visible(kind)} {count:,}" for kind, count in explored.by_type(scene.graph, scene.shown).items()
    )
    lines = [
        f"TopologyExplorer of {names}: view {scene.view}, as of {scene.at or 'now'}",
        f"{len(scene.shown):,} of {scene.total_text} CIs shown, {counted(len(scene.links), 'relation')}",
        f"by type: {kinds or 'none'}",
        f"hidden: {_hidden_text(scene.hidden)}",
    ]
    if chosen is not None:
        lines.append(f"selected: {visible(chosen)}")
    if marks is not None:
        lines.append(f"marked: {marks.title}")
    if scene.compared is not None:
        lines.append(f"compared: {explored.diff_text(scene.compared)}")
    return "\n".join([*lines, *scene.told])


def _hidden_text(hidden: Mapping[str, int]) -> str:
    if not hidden:
        return "no neighbours"
    first = sorted(hidden, key=lambda code: (-hidden[code], code))
    told = listed([f"{visible(code)} +{hidden[code]:,}" for code in first])
    return f"neighbours of {counted(len(hidden), 'CI')}: {told}"


def twin_svg(scene: Scene, marks: Marks | None, theme: str) -> str:
    """The nodes on screen; where they are many, the nearest of them, and how many are not drawn."""
    title = f"Topology around {scene.name}"
    said = {} if marks is None else {code: word for code, (role, word) in marks.nodes.items() if role == "hurt"}
    size = len(scene.shown)
    svg = ""
    for most in [size] * (size <= _ALL) + [fewer for fewer in _DRAWN if fewer < size]:
        drawn = scene.nearest(most)
        left = size - len(drawn)
        note = f"Drawn are the nearest {len(drawn):,} of the {size:,} CIs on screen: {left:,} are not." if left else ""
        focus = scene.focus if scene.focus in drawn else None
        hurt = {code: word for code, word in said.items() if code in drawn}
        svg = topology_svg(drawn, title, focus=focus, highlight=hurt, note=note, theme=theme)
        if len(svg.encode()) <= _BYTES:
            break
    return svg
