from __future__ import annotations

from dataclasses import asdict

import matplotlib as mpl
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ciops_nb.views.style import style_file, style_of, style_text
from ciops_nb.views.svg import THEMES, palette


@pytest.mark.parametrize("theme", THEMES)
def test_the_shipped_file_says_what_the_palette_says(theme):
    assert style_text(theme) == style_file(theme).read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", THEMES)
def test_the_style_is_used_by_its_dotted_name_and_draws_in_the_hues_of_our_pictures(theme):
    colours = palette(theme)
    with style.context(["default", f"ciops_nb.views.ciops-{theme}"]):
        figure = Figure()
        axes = figure.add_subplot()
        lines = [axes.plot([0, 1], [0, i])[0].get_color() for i in range(6)]
        axes.set_title("A title", loc="left")
        FigureCanvasAgg(figure).draw()

        assert list(colours.hues()) == lines
        assert [colours.surface] * 2 == [to_hex(face) for face in (figure.get_facecolor(), axes.get_facecolor())]
        assert colours.ink == to_hex(axes.title.get_color())
        assert colours.muted == to_hex(axes.get_xticklabels()[0].get_color())


@pytest.mark.parametrize("theme", THEMES)
def test_every_colour_of_the_style_is_one_of_the_palette(theme):
    with style.context(["default", f"ciops_nb.views.ciops-{theme}"]):
        said = {
            name: to_hex(mpl.rcParams[name])
            for name in style_of(theme)
            if name.endswith(("color", "colors")) and name != "legend.labelcolor"
        }

    assert len(said) >= 20
    assert {} == {name: colour for name, colour in said.items() if colour not in asdict(palette(theme)).values()}
