"""Text that cannot deceive, colours by role in two themes, and figures as small, accessible SVG.

A figure is drawn in the colours of one theme. ``to_svg`` keeps them; ``themed`` turns each into a CSS variable of its
role, so that one picture in a page follows the reader's light or dark setting.
"""

from __future__ import annotations

import functools
import io
import re
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from ciops_nb.errors import BadParameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "EM", "THEMES", "Palette", "Theme", "css_variables", "palette", "short", "shorten", "styled", "svg_element",
    "themed", "to_svg", "visible", "width_of",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")

Theme = Literal["light", "dark"]


@dataclass(frozen=True)
class Palette:
    """Colours by role. The six hues are those of Okabe and Ito, "Color Universal Design" (2008).

    Within one theme no two roles share a value: ``themed`` recognises a role by its colour.
    """

    ink: str
    muted: str
    faint: str
    surface: str
    panel: str
    blue: str
    vermillion: str
    green: str
    purple: str
    orange: str
    sky: str
    alarm: str
    alarm_tint: str
    focus_tint: str

    def hues(self) -> tuple[str, ...]:
        """For things told apart by colour, the clearest first."""
        return self.blue, self.vermillion, self.green, self.purple, self.orange, self.sky


THEMES: dict[Theme, Palette] = {
    "light": Palette(
        ink="#1b1f24", muted="#57606a", faint="#d0d7de", surface="#ffffff", panel="#f4f6f8", blue="#0072b2",
        vermillion="#d55e00", green="#009e73", purple="#cc79a7", orange="#e69f00", sky="#56b4e9", alarm="#a83f00",
        alarm_tint="#fdeee4", focus_tint="#e3f0f8",
    ),
    "dark": Palette(
        ink="#e6e8eb", muted="#a0a8b2", faint="#3c444e", surface="#14171b", panel="#1d2228", blue="#56b4e9",
        vermillion="#d55e00", green="#009e73", purple="#cc79a7", orange="#e69f00", sky="#f0e442", alarm="#ff9c63",
        alarm_tint="#3a2417", focus_tint="#15303f",
    ),
}  # fmt: skip


def palette(theme: str) -> Palette:
    """The colours of *theme*.

    Raises:
        BadParameter: there is no such theme.
    """
    for name, colours in THEMES.items():
        if name == theme:
            return colours
    raise BadParameter("theme", theme, "there is no such theme", "Choose light or dark")


def css_variables(theme: Theme) -> str:
    """The colours of *theme* as CSS declarations, ``--ink: #1b1f24; …``."""
    return " ".join(f"--{_css_name(role)}: {colour};" for role, colour in asdict(THEMES[theme]).items())


def _css_name(role: str) -> str:
    return role.replace("_", "-")


# --- text -----------------------------------------------------------------------------------------------------------

# Controls, marks that turn or hide text, and code points XML forbids. The joiners U+200C and U+200D stay: Persian,
# Indic scripts and emoji are written with them.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(value: Any, *, keep: str = "") -> str:
    """*value* as text in which nothing is hidden: control and bidirectional characters are written as ⟨U+202E⟩.

    Args:
        value: Anything; ``str()`` of it is taken.
        keep: Characters to leave alone, such as a line break where it is shown as one.
    """
    return _UNSEEN.sub(lambda m: m[0] if m[0] in keep else f"⟨U+{ord(m[0]):04X}⟩", str(value))


def shorten(text: str, width: float) -> str:
    """*text* in at most *width* columns, its middle left out: names of a kind differ at their ends."""
    if text_columns(text) <= width:
        return text
    tail = _fitting(text[::-1], (width - 1) * 0.45)[::-1]
    head = _fitting(text, width - 1 - text_columns(tail))
    return f"{head}…{tail}"


def _fitting(text: str, width: float) -> str:
    """As much of the beginning of *text* as *width* columns hold."""
    for end, used in enumerate(accumulate(map(text_columns, text))):
        if used > width:
            return text[:end]
    return text


def text_columns(text: str) -> float:
    """How wide *text* is in average characters: capitals take more, wide East Asian characters nearly two."""
    return sum(
        1.7 if unicodedata.east_asian_width(c) in "WF" else 1.16 if c.isupper() or c in "mw%@" else 1 for c in text
    )


EM = 0.0086  # inches: width of a column of text at 1 pt in DejaVu Sans, with a little air


def width_of(text: str, points: float) -> float:
    """About how many inches wide *text* is."""
    return text_columns(text) * points * EM


# --- style ----------------------------------------------------------------------------------------------------------

# DejaVu comes with matplotlib, so every machine measures alike; Verdana, drawn from the same design, is about as wide.
FONTS = ["DejaVu Sans", "Verdana", "Segoe UI", "Helvetica", "Arial", "sans-serif"]
_RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": FONTS,
    "font.size": 8,
    "text.parse_math": False,  # a $ in a name is a $
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "ciops",
    "path.simplify": True,
}
_lock = threading.RLock()  # matplotlib keeps its style in one global place


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import style

    with _lock, style.context(["default", _RC]), warnings.catch_warnings():
        # A character that DejaVu lacks is drawn by the reader's own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Draw in the style of this package, whatever style the session has set, and leave that as it was."""

    @functools.wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> R:
        with _style():
            return function(*args, **kwargs)

    return draw


# --- svg ------------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"-?\d+\.\d+")
_FAMILY = re.compile(r"; font-family: [^;]*|font-family: [^;]*;? ?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_TAG = re.compile(r"<[^<>]*>")  # what was written as text has neither
_COLOUR = re.compile(r'="(#[0-9a-f]{6})"')
_GEOMETRY = ("d", "x", "y", "transform", "points", "width", "height")
_XLINK = "{http://www.w3.org/1999/xlink}href"


def to_svg(figure: Figure, title: str, *, description: str = "", prefix: str = "p") -> str:
    """*figure* as one ``<svg>`` element, the same bytes for the same figure.

    Text stays text, so that it can be searched, read out and copied; the fonts named first are as wide as those it
    was measured with.

    Args:
        figure: What a function of ``plots`` returned, or any figure.
        title: What it shows, for those who hear it; becomes its ``<title>``.
        description: A longer account, becomes its ``<desc>``.
        prefix: Put before every id: must differ between two pictures of one page.
    """
    stream = io.BytesIO()
    with _style():
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(stream.getvalue())  # noqa: S314  # written by matplotlib two lines above
    _strip(root)
    _rename_ids(root, prefix)
    width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
    body = "".join(_written(child) for child in root)
    return svg_element(body, width, height, title, description=description, prefix=prefix)


def svg_element(body: str, width: float, height: float, title: str, *, description: str = "", prefix: str = "p") -> str:
    """*body*, so many points wide and high, as one ``<svg>`` element that says what it shows."""
    labels = [(f"{prefix}-title", "title", title), (f"{prefix}-desc", "desc", description)]
    labels = [label for label in labels if label[2]]
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "role": "img",
        "aria-labelledby": " ".join(key for key, _, _ in labels),
        "viewBox": f"0 0 {width:g} {height:g}",
        "width": f"{width * 4 / 3:.0f}",
        "height": f"{height * 4 / 3:.0f}",
        "font-family": ", ".join(f"'{name}'" if " " in name else name for name in FONTS),
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    head = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    said = "".join(f'<{tag} id="{key}">{escape(visible(text))}</{tag}>' for key, tag, text in labels)
    return f"<svg {head}>{said}{body}</svg>"


def short(number: float) -> str:
    """*number* without needless digits: a hundredth of a point is not seen."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def themed(svg: str) -> str:
    """*svg*, drawn in the light theme, with each colour as ``var(--role)``; see ``css_variables``."""
    roles = {colour: role for role, colour in asdict(THEMES["light"]).items()}

    def variables(tag: re.Match[str]) -> str:
        return _COLOUR.sub(lambda m: f'="var(--{_css_name(roles[m[1]])})"' if m[1] in roles else m[0], tag[0])

    return _TAG.sub(variables, svg)


def _strip(element: ET.Element) -> None:
    """Drop namespaces, metadata, styles (a sheet would style the whole page) and needless digits."""
    for child in list(element):
        if child.tag.endswith("}metadata") or child.tag.endswith("}style"):
            element.remove(child)
        else:
            _strip(child)
    element.tag = element.tag.rpartition("}")[2]
    element.tail = None
    if element.tag not in ("text", "tspan"):
        element.text = None
    if _XLINK in element.attrib:
        element.set("href", element.attrib.pop(_XLINK))
    for name in _GEOMETRY:
        if name in element.attrib:
            rounded = _NUMBER.sub(lambda m: short(float(m[0])), element.attrib[name])
            element.set(name, " ".join(rounded.split()))
    for name, value in _declarations(_FAMILY.sub("", element.attrib.pop("style", ""))):
        element.set(name, value)
    if element.tag == "text" and element.get("transform", "").startswith(("rotate(-0 ", "rotate(0 ")):
        del element.attrib["transform"]


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    """The properties of *style*: as attributes they pass a content security policy that allows no inline style."""
    for declaration in style.split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _rename_ids(root: ET.Element, prefix: str) -> None:
    """Number the ids that something refers to, and drop the others."""
    used: dict[str, str] = {}
    for element in root.iter():
        for name, value in element.attrib.items():
            targets = [value[1:]] if name == "href" else _REFERENCE.findall(value)
            for target in targets:
                used.setdefault(target, f"{prefix}{len(used)}")
    for element in root.iter():
        if element.get("id") in used:
            element.set("id", used[element.attrib["id"]])
        else:
            element.attrib.pop("id", None)
        for name, value in element.attrib.items():
            if name == "href":
                element.set(name, f"#{used[value[1:]]}")
            elif "url(#" in value:
                element.set(name, _REFERENCE.sub(lambda m: f"url(#{used[m[1]]})", value))


def _written(element: ET.Element) -> str:
    inside = escape(element.text or "") + "".join(_written(child) + escape(child.tail or "") for child in element)
    if element.tag in ("g", "defs") and not inside:
        return ""
    if element.tag == "g" and not element.attrib:
        return inside
    head = "".join(f" {name}={quoteattr(value)}" for name, value in element.attrib.items())
    return f"<{element.tag}{head}>{inside}</{element.tag}>" if inside else f"<{element.tag}{head}/>"
