"""Style sheets of widgets side by side on one page, where each comes with its own."""

from __future__ import annotations

from typing import Any

from ciops_nb.views.widgets import forms
from ciops_nb.views.widgets.markup import style_sheet

HTML = '<div class="widget-html" style="font-size: 20px"><div class="widget-html-content">it</div></div>'


def test_a_form_keeps_its_lines_whatever_is_shown_below_it(visit: Any) -> None:
    page = visit.page()
    page.set_content(
        f'<div class="ciops-view">{style_sheet()}<div class="ciops-form">{forms._STYLE}{HTML}</div>{HTML}</div>'
        f'<div class="ciops-view ciops-dense">{style_sheet()}{HTML}</div>'
    )
    found = page.locator(".widget-html-content").evaluate_all("all => all.map(one => getComputedStyle(one).lineHeight)")

    assert ["27px", "29px", "18.85px"] == found
