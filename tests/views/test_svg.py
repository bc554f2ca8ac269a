from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciops_nb.errors import BadParameter
from ciops_nb.views.svg import THEMES, css_variables, palette, shorten, text_columns, themed, visible


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("\x00\x1b[0m", "⟨U+0000⟩⟨U+001B⟩[0m"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("half\ud800", "half⟨U+D800⟩"),
        ("line\nbreak", "line⟨U+000A⟩break"),
        ("Käse שלום 数据库", "Käse שלום 数据库"),
    ],
)
def test_what_would_hide_or_turn_text_is_written_out(hidden, shown):
    assert shown == visible(hidden)


def test_a_line_break_stays_where_it_is_kept():
    assert "a\nb⟨U+000D⟩" == visible("a\nb\r", keep="\n")


def test_a_long_name_loses_its_middle():
    assert "srv-f…0001" == shorten("srv-frankfurt-rack-0001", 10)


@given(st.text(alphabet="ab数-", max_size=40), st.integers(1, 30))
@settings(derandomize=True, deadline=None)
def test_a_shortened_text_fits(text, width):
    assert text_columns(shorten(text, width)) <= width


@pytest.mark.parametrize("theme", THEMES)
def test_no_two_roles_of_a_theme_share_a_colour(theme):
    declared = css_variables(theme).split("; ")

    assert len(declared) == len({line.partition(": ")[2].rstrip(";") for line in declared})


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "surface"), ("ink", "panel"), ("ink", "alarm_tint"), ("ink", "focus_tint"), ("muted", "surface"),
        ("muted", "panel"), ("alarm", "surface"), ("alarm", "alarm_tint"), ("alarm", "panel"), ("blue", "surface"),
        ("blue", "panel"), ("blue", "alarm_tint"), ("muted", "alarm_tint"), ("muted", "focus_tint"),
    ],
)  # fmt: skip
def test_text_has_the_contrast_of_wcag_aa(theme, text, ground):
    light, dark = sorted((luminance(getattr(THEMES[theme], role)) for role in (text, ground)), reverse=True)

    assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """As WCAG 2.2 defines relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_an_unknown_theme_is_refused_by_name():
    with pytest.raises(BadParameter, match=r"sepia.*light or dark"):
        palette("sepia")


def test_only_colours_follow_the_theme_not_a_text_that_looks_like_one():
    svg = '<svg><text fill="#1b1f24">fill="#1b1f24"</text><path stroke="#123456"/></svg>'

    assert '<svg><text fill="var(--ink)">fill="#1b1f24"</text><path stroke="#123456"/></svg>' == themed(svg)
