"""Pictures of how configuration items hang together: one graph, or what differs between two.

Each is described once and drawn with a pen of ``pens``: as a Figure like all others, or straight as SVG, which needs no
matplotlib. Where nodes stand is in ``layout``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ciops_nb.views.layout import focus_of, impact_of, layered, layers, reached
from ciops_nb.views.marks import DASHES
from ciops_nb.views.pens import Drawing, Pen, Place, written
from ciops_nb.views.sheet import EM, WIDTH, Legend, Nothing, marker_sample, on_sheet, width_of
from ciops_nb.views.svg import Palette, palette, shorten, styled, text_columns, visible

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.figure import Figure

__all__ = ["EMPTY", "relation_looks", "topology", "topology_diff", "topology_svg", "type_looks"]

EMPTY = {"topology": "No configuration items to draw."}

Marked: TypeAlias = Mapping[str, str] | Iterable[str] | None
Box: TypeAlias = tuple[float, float, float, float]

# --- one topology ---------------------------------------------------------------------------------------------------

_CARDS = 90  # nodes up to which each is a card with its names; beyond, a dot
_COLUMNS = 9  # of cards side by side
_SMALL = 6.2  # points of the second line of a card
_FEW = 40  # edges up to which none need stand back
_SHAPES = {"SYSTEM": ("h", "purple"), "SW": ("o", "blue"), "HW": ("s", "orange")}
_HUES = ("blue", "vermillion", "green", "purple", "orange", "sky")
_MORE_SHAPES = ("^", "D", "p", "v", "P", "*", "X", "8")
_RELATIONS = {
    "DEPENDS_ON": ("blue", 0),
    "RUNS_ON": ("green", 1),
    "USES": ("orange", 2),
    "DEPLOYED_ON": ("purple", 3),
    "COMPOSED_OF": ("muted", 0),
    "CONNECTED_TO": ("muted", 2),
    "PROTECTED_BY": ("sky", 4),
}


@styled
def topology(
    graph: nx.MultiDiGraph[str],
    *,
    focus: str | None = None,
    highlight: Marked = None,
    note: str = "",
    theme: str = "light",
) -> Figure:
    """Draw how configuration items hang together: needs on the left, what is hurt when they fail on the right.

    Up to 90 items each is a card with its code; beyond that a dot, and the ones that matter are named.

    Args:
        graph: As ``graph_expand`` or ``graph_path`` returns it; ``graph.graph["frontier"]`` gives the "+n" badges.
        focus: The item to stand out; by default the one root of the graph.
        highlight: Codes of the items that are hurt, or a mapping from code to a short reason.
        note: A sentence to stand in the legend, such as what was left out.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        ItemNotFound: *focus* is not in the graph.
        BadParameter: no such theme.
    """
    return on_sheet(_drawing(graph, focus, highlight, note, theme))


def topology_svg(
    graph: nx.MultiDiGraph[str],
    title: str,
    *,
    focus: str | None = None,
    highlight: Marked = None,
    note: str = "",
    theme: str = "light",
    prefix: str = "p",
) -> str:
    """The picture of ``topology`` as ``to_svg`` would write it, without matplotlib, which takes long to load.

    Args:
        graph: As for ``topology``, like *focus*, *highlight*, *note* and *theme*.
        title: What it shows, for those who hear it; becomes its ``<title>``.
        prefix: Put before every id: must differ between two pictures of one page.

    Raises:
        ItemNotFound: *focus* is not in the graph.
        BadParameter: no such theme.
    """
    return written(_drawing(graph, focus, highlight, note, theme), title, prefix=prefix)


def _drawing(graph: nx.MultiDiGraph[str], focus: str | None, highlight: Marked, note: str, theme: str) -> Drawing:
    colours = palette(theme)
    if not len(graph):
        return Nothing(EMPTY["topology"], colours)
    return _Topology(graph, focus_of(graph, focus), _reasons(highlight, graph), colours, note)


def type_looks(types: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Marker and role of the colour of each ci_type, those known first; the same types look the same everywhere."""
    present = sorted({*types})
    others = [name for name in present if name not in _SHAPES]
    looks = {name: look for name, look in _SHAPES.items() if name in present}
    for i, name in enumerate(others):
        looks[name] = (_MORE_SHAPES[i % len(_MORE_SHAPES)], _HUES[(i + 2) % 6])
    return looks


def relation_looks(impacts: Mapping[str, str]) -> dict[str, tuple[str, int, bool]]:
    """Role of the colour, place in ``DASHES`` and whether there is an arrow, of each relation type.

    Args:
        impacts: What each says of who is hurt: target_to_source, source_to_target, both, none.
    """
    others = [name for name in sorted(impacts) if name not in _RELATIONS]
    looks = {}
    for name in sorted(impacts):
        place = others.index(name) if name in others else 0
        role, dash = _RELATIONS.get(name) or (_HUES[place % 6], (place + 1) % len(DASHES))
        looks[name] = (role, dash, impacts[name] in ("target_to_source", "source_to_target"))
    return looks


def _reasons(marked: Marked, graph: nx.MultiDiGraph[str]) -> dict[str, str]:
    if marked is None:
        return {}
    pairs = marked.items() if isinstance(marked, Mapping) else ((code, "") for code in marked)
    return {str(code): visible(reason or "") for code, reason in pairs if code in graph}


class _Topology:
    """One picture of a graph, in inches."""

    def __init__(
        self, graph: nx.MultiDiGraph[str], focus: str | None, hurt: dict[str, str], colours: Palette, note: str = ""
    ) -> None:
        self.graph, self.focus, self.hurt, self.note, self.colours = graph, focus, hurt, note, colours
        self.hidden = {item["ci_code"]: int(item["count"]) for item in graph.graph.get("frontier") or ()}
        spots = layered(graph, focus=focus)
        self.codes = list(spots)
        xs, ys = np.array([spots[code] for code in self.codes]).T
        columns = float(xs.max() - xs.min()) + 1
        rows = float(ys.max() - ys.min()) + 1
        self.cards = len(spots) <= _CARDS and columns <= _COLUMNS
        if self.cards:
            pitch, row = min(2.3, max(1.32, WIDTH / columns)), 0.52
            self.half = ((pitch - 0.42) / 2, 0.185)
        else:
            pitch, row = WIDTH / max(columns, 6), min(0.26, 13 / rows)
            radius = min(0.075, row * 0.36, pitch * 0.2)
            self.half = (radius, radius)
        self.pitch = pitch
        self.legend = Legend(max(columns * pitch, 6.0))
        self.width = self.legend.width + 0.4
        self.head = 0.5 if focus is not None else 0.3
        self._fill_legend()
        self.foot = self.legend.height() + 0.1
        self.height = rows * row + self.head + self.foot
        left = (self.width - columns * pitch) / 2 + pitch / 2
        self.at = {
            code: (left + (x - xs.min()) * pitch, self.foot + (y - ys.min() + 0.5) * row)
            for code, x, y in zip(self.codes, xs.tolist(), ys.tolist(), strict=True)
        }

    # What things look like

    def _types(self) -> dict[str, tuple[str, str]]:
        """Shape and colour of each ci_type, those known first."""
        looks = type_looks(str(data.get("ci_type") or "?") for _, data in self.graph.nodes(data=True))
        return {name: (shape, getattr(self.colours, role)) for name, (shape, role) in looks.items()}

    def _relations(self) -> dict[str, tuple[str, Any, bool]]:
        """Colour, dashes and whether there is an arrow, of each relation type."""
        impacts = {
            str(d.get("relation_type") or "related"): impact_of(d.get("relation_type"), d) for *_, d in self._edges()
        }
        return {
            name: (getattr(self.colours, role), DASHES[dash], arrow)
            for name, (role, dash, arrow) in relation_looks(impacts).items()
        }

    def _edges(self) -> list[tuple[str, str, dict[str, Any]]]:
        edges = [(a, b, data) for a, b, data in self.graph.edges(data=True) if a != b]
        return sorted(edges, key=lambda e: (str(e[2].get("relation_type") or "related"), str(e[0]), str(e[1])))

    def _fill_legend(self) -> None:
        colours, legend = self.colours, self.legend
        for name, (shape, colour) in self._types().items():
            legend.add(name, marker_sample(shape, colour, colours.ink))
        self._add_marked()
        if self.focus is not None:
            legend.add("focus", marker_sample("o", colours.focus_tint, colours.blue, 70))
        for name, (colour, dashes, arrow) in self._relations().items():
            legend.add_line(name, colour, dashes, 1.3, arrow)
        if self.hidden:
            legend.notes.append("+n: n more neighbours of this item are not in the graph.")
        if self.note:
            legend.notes.append(visible(self.note))
        if not self.cards:
            legend.notes.append("")  # its place; said once it is known how many found room

    def _add_marked(self) -> None:
        if self.hurt:
            self.legend.add("hurt", marker_sample("o", self.colours.alarm_tint, self.colours.alarm, 70))

    def _sign(self, code: str) -> str:
        """What the badge of a marked item says."""
        return "!"

    def _marked_look(self, code: str) -> tuple[str, str]:
        """Face and frame of a marked item."""
        return self.colours.alarm_tint, self.colours.alarm

    def _badge_look(self, code: str) -> tuple[str, str]:
        """Face and ink of the badge of a marked item."""
        return self.colours.alarm, self.colours.surface

    def _word_tone(self) -> str:
        """The ink of what is said of marked items."""
        return self.colours.alarm

    def _stands_out(self, source: str, target: str, data: Mapping[str, Any]) -> bool:
        marked = {*self.hurt, *([self.focus] if self.hurt and self.focus else [])}
        central = self.focus is not None and self.graph.degree(self.focus) <= _FEW
        return (central and self.focus in (source, target)) or {source, target} <= marked

    # Drawing

    def draw(self, pen: Pen) -> None:
        self.pen = pen
        self._draw_head()
        self._draw_edges()
        if self.cards:
            self._draw_cards()
        else:
            self._draw_dots()
        self.legend.draw(pen, 0.2, self.foot - 0.1, self.colours)

    def _draw_head(self) -> None:
        pen, tone = self.pen, self.colours.muted
        if self.focus is None:
            pen.text(0.2, self.height - 0.16, "◀ what is needed", tone)
            pen.text(self.width - 0.2, self.height - 0.16, "what is hurt when it fails ▶", tone, anchor="right")
            return
        spans: dict[int, list[float]] = {}
        true = reached(self.graph, self.focus)
        beside: set[int] = set()
        for code, level in layers(self.graph, focus=self.focus).items():
            spans.setdefault(level, []).append(self.at[code][0])
            beside |= set() if code in true else {level}
        for level, xs in sorted(spans.items()):
            left, right = min(xs) - self.pitch * 0.42, max(xs) + self.pitch * 0.42
            text = _hops_text(level, right - left, level in beside)
            pen.text((left + right) / 2, self.height - 0.2, text, tone, anchor="center")
            pen.line((left, self.height - 0.34), (right, self.height - 0.34), self.colours.faint, 1)

    def _draw_edges(self) -> None:
        looks = self._relations()
        drawn: dict[tuple[str, bool], list[tuple[Sequence[Place], Place]]] = {}
        ports = self._ports()
        few = len(ports) <= _FEW
        for number, (source, target, data) in enumerate(self._edges()):
            strong = few or self._stands_out(source, target, data)
            name = str(data.get("relation_type") or "related")
            drawn.setdefault((name, strong), []).append(self._curve(source, target, ports[number]))
        for (name, strong), found in sorted(drawn.items()):
            colour, dashes, arrow = looks[name]
            alpha, width = (0.9, 1.2) if strong else (0.6, 0.8) if self.cards else (0.35, 0.6)
            curves = [points for points, _ in found]
            self.pen.curves(curves, colour, width, dashes, alpha=alpha, layer=2 + strong)
            if arrow:
                size = 0.07 if self.cards else 0.045
                heads = [_arrow_head(points[-1], tip, size) for points, tip in found]
                self.pen.polygons(heads, colour, alpha=alpha, layer=3)

    def _ports(self) -> list[tuple[float, float]]:
        """For each edge how far above the middle it leaves and enters, so that edges do not run together."""
        edges = self._edges()
        ends: dict[tuple[str, int], list[tuple[float, int, int]]] = {}
        for number, (source, target, _) in enumerate(edges):
            for which, (own, other) in enumerate(((source, target), (target, source))):
                side = self._side(own, other)
                ends.setdefault((own, side), []).append((self.at[other][1], number, which))
        offsets = [[0.0, 0.0] for _ in edges]
        room = self.half[1] * (1.3 if self.cards else 0.0)
        for found in ends.values():
            found.sort()
            step = min(0.09, room / max(1, len(found) - 1))
            for i, (_, number, which) in enumerate(found):
                offsets[number][which] = (i - (len(found) - 1) / 2) * step
        return [(a, b) for a, b in offsets]

    def _side(self, own: str, other: str) -> int:
        """On which side of *own* the edge to *other* leaves; two of one column are joined on their right."""
        return -1 if self.at[other][0] < self.at[own][0] - 1e-6 else 1

    def _curve(self, source: str, target: str, ports: tuple[float, float]) -> tuple[Sequence[Place], Place]:
        """A Bézier curve with level ends, and the direction in which it arrives."""
        side, far = self._side(source, target), self._side(target, source)
        x0, y0 = self.at[source][0] + side * self.half[0], self.at[source][1] + ports[0]
        x1, y1 = self.at[target][0] + far * self.half[0], self.at[target][1] + ports[1]
        if side == far:
            bend = min(0.36, 0.12 + 0.06 * abs(y1 - y0)) * 1.33 if self.cards else min(0.5, 0.1 + 0.2 * abs(y1 - y0))
        else:
            bend = max(0.5 * abs(x1 - x0), 0.05)
        return [(x0, y0), (x0 + side * bend, y0), (x1 + far * bend, y1), (x1, y1)], (-far, 0.0)

    def _draw_cards(self) -> None:
        colours, (w, h) = self.colours, self.half
        self._draw_shapes(62, 0.8, -w + 0.15)
        texts = [self._kind_and_hops(code, data) for code, data in self.graph.nodes(data=True)]
        # All cards or none: the heading of a column tells the hops too, where there is a focus.
        self.tell_hops = all(width_of(text, _SMALL) <= 2 * w - 0.34 for text in texts)
        for code in self.codes:
            x, y = self.at[code]
            self.pen.box(x - w, y - h, 2 * w, 2 * h, *self._card_look(code), rounding=0.05, layer=4)
            self._draw_lines(code, x - w + 0.29, y, 2 * w - 0.34)
            if code in self.hurt:
                self._badge(x + w, y + h, self._sign(code), *self._badge_look(code))
            if code in self.hidden:
                self._badge(x + w, y - h, f"+{self.hidden[code]}", colours.panel, colours.ink)

    def _draw_lines(self, code: str, x: float, y: float, room: float) -> None:
        """The two lines of a card: code and kind; a code too long for one takes both, for its ends tell it apart."""
        colours, name = self.colours, visible(code)
        second = self._second_line(code, self.graph.nodes[code])
        bold = code == self.focus or code in self.hurt
        points, columns = 7.0 if bold else 7.5, room / _SMALL / EM
        tone = self._word_tone() if self.hurt.get(code) else colours.muted
        if width_of(name, points) > room:
            points = _SMALL
        if text_columns(name) > columns and not self.hurt.get(code):
            cut = max(end for end in range(len(name)) if text_columns(name[:end]) <= columns)
            # Best torn where a word of it ends, if one ends near.
            cut = next((end for end in range(cut, max(cut - 9, 1), -1) if not name[end - 1].isalnum()), cut)
            name, second, tone = name[:cut], name[cut:].strip(), colours.ink
        first = shorten(name, room / points / EM)
        self.pen.text(x, y + 0.075, first, colours.ink, points, bold=bold, layer=6)
        self.pen.text(x, y - 0.085, shorten(second, columns), tone, _SMALL, layer=6)

    def _card_look(self, code: str) -> tuple[str, str, float]:
        colours = self.colours
        if code == self.focus:
            return self._marked_look(code)[0] if code in self.hurt else colours.focus_tint, colours.blue, 2.2
        if code in self.hurt:
            return *self._marked_look(code), 1.6
        return colours.panel, colours.faint, 1.0

    def _second_line(self, code: str, data: Mapping[str, Any]) -> str:
        if self.hurt.get(code):
            return self.hurt[code]
        return self._kind_and_hops(code, data) if self.tell_hops else _kind_text(data)

    def _kind_and_hops(self, code: str, data: Mapping[str, Any]) -> str:
        hops = data.get("hops")
        if code == self.focus or hops is None:
            return _kind_text(data)
        return f"{_kind_text(data)} · {hops} hop{'' if hops == 1 else 's'}"

    def _badge(self, x: float, y: float, text: str, face: str, ink: str) -> None:
        width = max(0.16, width_of(text, _SMALL) + 0.09)
        left = x - width + 0.06
        self.pen.box(left, y - 0.075, width, 0.15, face, self.colours.muted, 0.8, rounding=0.07, layer=7)
        self.pen.text(left + width / 2, y - 0.004, text, ink, _SMALL, anchor="center", bold=True, layer=8)

    def _draw_dots(self) -> None:
        size = (self.half[0] * 2 * 72) ** 2
        self._draw_shapes(size, 0.5)
        rings = {edge: [c for c in sorted(self.hurt) if self._marked_look(c)[1] == edge] for edge in self._frames()}
        for codes, edge, scale in (
            *((codes, edge, 3.2) for edge, codes in rings.items()),
            ([self.focus] if self.focus else [], self.colours.blue, 5),
        ):
            if codes:
                self.pen.markers([self.at[code] for code in codes], "o", size * scale, "none", edge, 1.8, layer=6)
        self._name_dots()

    def _frames(self) -> list[str]:
        return sorted({self._marked_look(code)[1] for code in self.hurt})

    def _draw_shapes(self, size: float, line: float, shift: float = 0.0) -> None:
        for name, (shape, colour) in self._types().items():
            codes = [code for code in self.codes if str(self.graph.nodes[code].get("ci_type") or "?") == name]
            places = [(self.at[code][0] + shift, self.at[code][1]) for code in codes]
            self.pen.markers(places, shape, size, colour, self.colours.ink, line)

    def _name_dots(self) -> None:
        """Name as many as find room, the focus and the hurt first, then the critical and the well connected.

        Names of the first two may lie on dots, but no name lies on another.
        """
        half, tall = self.half
        dots = np.array([(x - half, y - tall, x + half, y + tall) for x, y in self.at.values()])
        names: list[Box] = []
        for code in sorted(self.codes, key=self._importance)[:120]:
            key = code == self.focus or code in self.hurt
            text = (f"{self._sign(code)} " if code in self.hurt else "") + shorten(visible(code), 24)
            if code in self.hidden:
                text += f" +{self.hidden[code]}"
            points = 7.5 if key else 6.5
            size = (width_of(text, points) + 0.03, points / 72 * 1.25)
            taken = np.array(names).reshape(-1, 4)
            place = self._free(self.at[code], size, np.vstack([dots, taken]), key)
            if place is None and key:
                place = self._free(self.at[code], size, taken, key)
            if place is None:
                continue
            names.append(place)
            x0, y0, x1, y1 = place
            tone = self._word_tone() if code in self.hurt else self.colours.ink
            self.pen.text(
                (x0 + x1) / 2, (y0 + y1) / 2, text, tone, points, anchor="center", bold=key,
                backing=self.colours.surface, layer=8,
            )  # fmt: skip
        told = f"{len(names)} of {len(self.codes)} items are named"
        self.legend.notes[-1] = f"{told}: the most important that found room."

    def _importance(self, code: str) -> tuple[Any, ...]:
        rank = self.graph.nodes[code].get("criticality")
        return code != self.focus, code not in self.hurt, -(rank or 0), -self.graph.degree(code), code

    def _free(self, at: Place, size: tuple[float, float], taken: Any, key: bool) -> Box | None:
        """Room beside a dot where nothing of *taken* is."""
        (x, y), (wide, high) = at, size
        gap = self.half[0] + (0.07 if key else 0.02)
        corners = (
            (x + gap, y - high / 2),
            (x - gap - wide, y - high / 2),
            (x - wide / 2, y + gap),
            (x - wide / 2, y - gap - high),
        )
        for left, low in corners:
            if left <= 0.05 or left + wide >= self.width - 0.05:
                continue
            hit = (taken[:, 0] < left + wide) & (taken[:, 2] > left) & (taken[:, 1] < low + high) & (taken[:, 3] > low)
            if not hit.any():
                return left, low, left + wide, low + high
        return None


def _kind_text(data: Mapping[str, Any]) -> str:
    return visible(data.get("ci_subtype") or data.get("ci_type") or "")


def _hops_text(level: int, room: float, beside: bool) -> str:
    """The heading of a column, as long as there is room for; *beside*: others stand in it too."""
    way = "upstream" if level < 0 else "downstream"
    hops = f"{abs(level)} hop{'' if abs(level) == 1 else 's'}"
    texts = [f"{hops} {way}", f"{abs(level)} {way}", f"{abs(level)} {way.removesuffix('stream')}", f"{level:+d}"]
    texts = texts if level else ["focus"]
    if beside:
        texts = [
            f"{texts[0]}, and others beside",
            *(f"{text} and others" for text in texts[:2]),
            *(f"{text}, …" for text in texts),
        ]
    return next((text for text in texts if width_of(text, 7.5) < room), texts[-1])


def _arrow_head(end: Place, way: Place, size: float) -> list[Place]:
    (x, y), dx = end, way[0]
    return [(x, y), (x - dx * size, y + size * 0.5), (x - dx * size, y - size * 0.5)]


# --- two topologies -------------------------------------------------------------------------------------------------

_STATES = {"new": "green", "gone": "alarm", "changed": "purple"}
_UNCOMPARED = {"hops", "ci_id"}  # the same item is as far from the focus as its relations are, which are compared
_RELATION_STATES = {  # role, dashes and whether it stands out
    "relation unchanged": ("muted", 0, False),
    "relation added": ("green", 0, True),
    "relation removed": ("alarm", 1, True),
}


@styled
def topology_diff(
    before: nx.MultiDiGraph[str], after: nx.MultiDiGraph[str], *, focus: str | None = None, theme: str = "light"
) -> Figure:
    """Draw what differs between two graphs, such as ``graph_expand`` of two moments: items and relations that came,
    went, or changed a field.

    Args:
        before: The graph of the earlier moment.
        after: The graph of the later moment. It gives the focus and the "+n" badges.
        focus: The item to stand out; by default the one root of the graph.
        theme: ``"light"`` or ``"dark"``.

    Raises:
        ItemNotFound: *focus* is in neither graph.
        BadParameter: no such theme.
    """
    return on_sheet(_compared(before, after, focus, theme))


def _compared(before: nx.MultiDiGraph[str], after: nx.MultiDiGraph[str], focus: str | None, theme: str) -> Drawing:
    colours = palette(theme)
    both, states = _united(before, after)
    if not len(both):
        return Nothing(EMPTY["topology"], colours)
    return _Difference(both, focus_of(both, focus), states, colours)


def _united(
    before: nx.MultiDiGraph[str], after: nx.MultiDiGraph[str]
) -> tuple[nx.MultiDiGraph[str], dict[str, tuple[str, str]]]:
    """Both graphs in one, and the state of each item that differs with what to say of it."""
    import networkx as nx

    both: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for graph in (before, after):
        both.graph.update(graph.graph or {})
    states: dict[str, tuple[str, str]] = {}
    for code in sorted({*before, *after}):
        old, new = (graph.nodes[code] if code in graph else None for graph in (before, after))
        both.add_node(code, **(new or old or {}))
        if old is None or new is None:
            states[code] = ("new" if old is None else "gone", "")
        elif changes := _changes(old, new):
            states[code] = ("changed", changes)
    old_edges, new_edges = ({(a, b, _type_of(d)): d for a, b, d in g.edges(data=True)} for g in (before, after))
    for key in sorted({*old_edges, *new_edges}):
        state = "unchanged" if key in old_edges and key in new_edges else "added" if key in new_edges else "removed"
        impact = impact_of(key[2], new_edges.get(key) or old_edges[key])
        both.add_edge(key[0], key[1], key=key[2], relation_type=f"relation {state}", impact=impact)
    return both, states


def _type_of(data: Mapping[str, Any]) -> str:
    return str(data.get("relation_type") or "related")


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """``status active → retired``, for each field that differs."""
    fields = sorted(({*old, *new}) - _UNCOMPARED)
    differing = [name for name in fields if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {_known(old.get(name))} → {_known(new.get(name))}" for name in differing)


def _known(value: Any) -> str:
    return "–" if value is None else str(value)


class _Difference(_Topology):
    """One picture of two graphs in one."""

    def __init__(
        self, graph: nx.MultiDiGraph[str], focus: str | None, states: dict[str, tuple[str, str]], colours: Palette
    ) -> None:
        self.states = {code: state for code, (state, _) in states.items()}
        super().__init__(graph, focus, {code: visible(said) for code, (_, said) in states.items()}, colours)

    def _add_marked(self) -> None:
        for state, role in _STATES.items():
            if count := sum(found == state for found in self.states.values()):
                self.legend.add(
                    f"{state} ({count})", marker_sample("o", self.colours.panel, getattr(self.colours, role), 70)
                )
        if not self.states and all(d["relation_type"] == "relation unchanged" for *_, d in self._edges()):
            self.legend.notes.append("Nothing differs.")

    def _sign(self, code: str) -> str:
        return self.states[code]

    def _marked_look(self, code: str) -> tuple[str, str]:
        face = self.colours.alarm_tint if self.states[code] == "gone" else self.colours.panel
        return face, getattr(self.colours, _STATES[self.states[code]])

    def _badge_look(self, code: str) -> tuple[str, str]:
        return self.colours.panel, self.colours.ink

    def _word_tone(self) -> str:
        return self.colours.ink  # the hues are too pale for small text

    def _relations(self) -> dict[str, tuple[str, Any, bool]]:
        return {
            name: (getattr(self.colours, role), DASHES[dashes], True)
            for name, (role, dashes, _) in _RELATION_STATES.items()
            if any(data["relation_type"] == name for *_, data in self._edges())
        }

    def _stands_out(self, source: str, target: str, data: Mapping[str, Any]) -> bool:
        return _RELATION_STATES[data["relation_type"]][2]
