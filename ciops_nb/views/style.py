"""The style of our pictures for those that analysts draw beside them.

``matplotlib.style.use("ciops_nb.views.ciops-light")`` or ``"ciops_nb.views.ciops-dark"``. The two files are written
from the palettes in ``svg`` by ``python -m ciops_nb.views.style``. Our own pictures do not use them: their texts and
axes are set one by one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ciops_nb.views.sheet import WIDTH
from ciops_nb.views.svg import FONTS, THEMES, Theme

__all__ = ["style_file", "style_of", "style_text", "write_styles"]


def style_of(theme: Theme) -> dict[str, Any]:
    """What matplotlib is told for *theme*, by the names of its rcParams and as a style file spells it."""
    colours = THEMES[theme]
    ink, muted, faint, surface = (_quoted(c) for c in (colours.ink, colours.muted, colours.faint, colours.surface))
    return {
        "font.family": "sans-serif",
        "font.sans-serif": ", ".join(FONTS),
        "font.size": 8,
        "text.color": ink,
        "figure.figsize": f"{WIDTH:g}, 3.4",
        "figure.facecolor": surface,
        "figure.edgecolor": surface,
        "figure.titlesize": 9,
        "figure.titleweight": "bold",
        "axes.facecolor": surface,
        "axes.edgecolor": faint,
        "axes.labelcolor": muted,
        "axes.labelsize": 7.5,
        "axes.titlecolor": ink,
        "axes.titlelocation": "left",
        "axes.titlesize": 8,
        "axes.titleweight": "bold",
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.prop_cycle": f"cycler('color', [{', '.join(map(_quoted, colours.hues()))}])",
        "axes.formatter.use_mathtext": False,
        "grid.color": faint,
        "grid.linewidth": 0.5,
        "xtick.color": faint,
        "xtick.labelcolor": muted,
        "xtick.labelsize": 7,
        "ytick.color": faint,
        "ytick.labelcolor": muted,
        "ytick.labelsize": 7,
        "ytick.major.size": 0,
        "ytick.minor.size": 0,
        "lines.linewidth": 1.2,
        "lines.markeredgewidth": 0.7,
        "patch.edgecolor": ink,
        "hatch.color": ink,
        "scatter.edgecolors": ink,
        "boxplot.boxprops.color": ink,
        "boxplot.whiskerprops.color": ink,
        "boxplot.capprops.color": ink,
        "boxplot.flierprops.color": ink,
        "boxplot.flierprops.markeredgecolor": ink,
        "boxplot.medianprops.color": _quoted(colours.vermillion),
        "image.cmap": "cividis",
        "legend.frameon": False,
        "legend.labelcolor": ink,
        "legend.fontsize": 7.5,
        "savefig.facecolor": surface,
        "savefig.edgecolor": surface,
        "svg.fonttype": "none",
        "svg.hashsalt": "ciops",
    }


def _quoted(colour: str) -> str:
    return f'"{colour}"'  # in a style file a bare # begins a comment


def style_text(theme: Theme) -> str:
    """The style file of *theme*."""
    lines = [f"# ciops_nb, {theme}: written by python -m ciops_nb.views.style"]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in style_of(theme).items())]) + "\n"


def style_file(theme: Theme) -> Path:
    return Path(__file__).parent / f"ciops-{theme}.mplstyle"


def write_styles() -> None:
    for theme in THEMES:
        style_file(theme).write_text(style_text(theme), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_styles()
