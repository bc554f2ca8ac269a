"""Scenes, and how a page is told of them: without a widget and without a page."""

from __future__ import annotations

import pytest

from ciops_nb.errors import BadParameter
from ciops_nb.views import scenes
from ciops_nb.views.origins import GraphAtHand
from ciops_nb.views.scene_rows import change, numbering, parts_of, whole
from ciops_nb.views.scene_twin import twin_text
from ciops_nb.views.scenes import marks_at_first

from . import sample


def opened(most: int = 20) -> scenes.Scene:
    return GraphAtHand(sample.estate(120), "sys-000", most).opened()


def test_what_is_shown_and_hidden_again_leaves_the_scene_as_it_was() -> None:
    scene = opened()
    code = next(code for code in scene.hidden if code not in scene.shown.values())

    grown = scene.expanded({other: code for other in scene.near[code] if other not in scene.shown}, code)

    assert code not in grown.hidden
    assert scene.shown == grown.collapsed(code).shown
    assert scene.places == {one: grown.places[one] for one in scene.places}


def test_more_than_a_page_draws_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "MOST", 21)
    scene = opened()

    with pytest.raises(BadParameter, match="with its 2 neighbours more than 21 would be on screen"):
        scene.expanded({"app-000": "sys-000", "app-004": "sys-000"}, "sys-000")


def test_where_nothing_came_on_screen_through_an_item_it_cannot_be_collapsed() -> None:
    scene = opened(most=1)

    with pytest.raises(BadParameter, match="nothing came on screen through it"):
        scene.collapsed("sys-000")


def test_a_highlight_that_the_graph_does_not_hold_is_named() -> None:
    marks = marks_at_first(opened(), {"sys-000": "late", "nobody": ""})

    assert marks is not None
    assert {"sys-000": ("hurt", "late")} == marks.nodes
    assert "1 CI marked; not in this graph: nobody" == marks.title
    assert marks_at_first(opened()) is None


def test_a_page_that_heard_the_changes_knows_what_one_that_opens_now_is_told() -> None:
    numbers, scene = numbering(), opened(most=40)
    fewer = scene.showing(dict(list(scene.shown.items())[:10]))
    before, after = parts_of(fewer, None, numbers), parts_of(scene, None, numbers)

    told = change(before, after, 1)

    nodes = {**before["nodes"], **dict(told["nodes"]["put"])}
    assert after["nodes"] == nodes
    assert {"told"} == told["rest"].keys()
    assert [[key, row] for key, row in nodes.items()] == whole(after)["nodes"]
    assert {"kind": "change", "version": 2, "rest": {}} == change(after, parts_of(scene, None, numbers), 2)


def test_moments_can_be_asked_for_where_their_time_is_told() -> None:
    scene, time = opened(), {"at": "now", "since": "now", "zone": "UTC"}

    alone, asked = (parts_of(scene, None, numbering(), told) for told in (None, time))

    assert (None, False, time, True) == (alone["time"], alone["asks"], asked["time"], asked["asks"])


def test_the_words_of_a_twin_tell_what_is_marked() -> None:
    scene = opened()

    text = twin_text(scene, marks_at_first(scene, ["sys-000"]), "sys-000")

    assert "TopologyExplorer of sys-000: view impact, as of now" == text.splitlines()[0]
    assert ["selected: sys-000", "marked: 1 CI marked"] == text.splitlines()[4:]
