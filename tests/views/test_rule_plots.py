"""Pictures of the rule lab."""

from __future__ import annotations

from datetime import timedelta
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from matplotlib.patches import PathPatch, Rectangle

from ciops_nb.errors import BadParameter
from ciops_nb.views import plots, rule_plots
from ciops_nb.views.svg import THEMES

from . import sample
from .test_plots import HOSTILE, SHOWN, outside, overlapping, printed_under_seeds, tags, texts

LONG = "app-with-a-name-" * 12 + "1"
RTL = "שרת-הזמנות-01"


def named(frame: pl.DataFrame, *codes: str) -> pl.DataFrame:
    """*frame* with its CIs called by these names in turn."""
    return frame.with_columns(ci_code=pl.Series([codes[i % len(codes)] for i in range(frame.height)]))


def boxes(figure, colour: str, axes: int = 1) -> list[tuple[float, float]]:
    """From when to when there are boxes of *colour*, in minutes after AT, in order."""
    start = sample.AT.timestamp() / 60
    found = [one for one in figure.axes[axes].patches if isinstance(one, Rectangle)]
    return sorted(
        (round(one.get_x() * 1440 - start, 3), round((one.get_x() + one.get_width()) * 1440 - start, 3))
        for one in found
        if colour == hexed(one.get_facecolor()) and one.get_alpha() is None
    )


def hexed(rgba) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in rgba[:3])


def one_alert(status: str = "fired", hold: int = 10, lasts: int | None = 60) -> pl.DataFrame:
    fired = sample.AT + timedelta(minutes=hold)
    return pl.DataFrame(
        {
            "rule": ["slow"], "ci": ["app-00"], "status": [status], "active_at": [sample.AT],
            "fired_at": [None if status == "pending_only" else fired],
            "ended_at": [None if lasts is None else fired + timedelta(minutes=lasts)],
        },
        schema_overrides=dict.fromkeys(("fired_at", "ended_at"), sample.TIME),
    )  # fmt: skip


# --- replay


def test_an_alert_is_pending_until_it_fires_and_then_firing_until_it_ends():
    figure = plots.replay_timeline(one_alert())
    light = THEMES["light"]

    assert [(0, 10)] == boxes(figure, light.surface)
    assert [(10, 70)] == boxes(figure, light.orange)
    assert {"app-00", "10:10:00", "pending", "firing", "fired"} <= set(texts(figure))


def test_an_alert_that_did_not_last_is_hatched_and_said_to_be_so():
    figure = plots.replay_timeline(one_alert("pending_only"))
    found = texts(figure)

    assert [] == boxes(figure, THEMES["light"].orange)
    assert {"10:00:00 did not last", "pending", "did not last"} <= set(found)
    assert "firing" not in found


def test_a_suppressed_alert_looks_and_reads_otherwise_than_one_that_fired():
    figure = plots.replay_timeline(one_alert("suppressed"))
    hatches = [one.get_hatch() for one in figure.axes[1].patches if isinstance(one, Rectangle) and one.get_hatch()]

    assert ["/////", "xxxx"] == hatches
    assert "10:10:00 suppressed" in texts(figure)
    assert [] == boxes(figure, THEMES["light"].orange)


def test_an_alert_that_is_still_on_goes_to_the_end_and_says_so():
    figure = plots.replay_timeline(one_alert(lasts=None), window=(sample.AT, sample.AT + timedelta(hours=4)))

    assert [(10, 240 * 1.01)] == boxes(figure, THEMES["light"].orange)
    assert "An arrow at the end: still on when the replay ended." in texts(figure)
    assert "An arrow at the end: still on when the replay ended." not in texts(plots.replay_timeline(one_alert()))


def test_each_rule_and_ci_has_a_lane_and_the_rule_is_named_where_there_are_several():
    one, two = (plots.replay_timeline(sample.alerts(12, 3, rules)) for rules in (1, 2))

    assert {"app-00", "app-01", "app-02"} <= set(texts(one))
    assert {f"app-0{i} · slow-{j}" for i in range(3) for j in range(2)} <= set(texts(two))


def test_with_values_each_ci_has_a_panel_with_the_threshold():
    figure = plots.replay_timeline(sample.alerts(), series=sample.values(4), threshold=600)
    found = texts(figure)

    assert [f"app-0{i} · response_time" for i in range(4)] == [text for text in found if "response_time" in text]
    assert "threshold 600" in found
    drawn = [line for axes in figure.axes for line in axes.lines if set(line.get_ydata()) == {600.0}]
    assert 4 == len(drawn)


def test_each_rule_has_its_own_threshold_where_they_are_told_by_name():
    alerts = sample.alerts(4, 1, rules=2)
    figure = plots.replay_timeline(alerts, series=sample.values(1), threshold={"slow-0": 300, "slow-1": 500})
    drawn = [
        set(line.get_ydata()) for axes in figure.axes[1:] for line in axes.lines if len(set(line.get_ydata())) == 1
    ]

    assert [{300.0}, {500.0}] == drawn
    assert "threshold" in texts(figure)


def test_values_without_alerts_are_drawn_and_it_is_said_that_none_fired():
    found = texts(plots.replay_timeline(sample.alerts().head(0), series=sample.values(1), threshold=600))

    assert {"app-00 · response_time", "threshold 600", "No alerts in this range."} <= set(found)


def test_incidents_and_maintenance_of_the_item_are_bands_and_incidents_of_others_lines():
    figure = plots.replay_timeline(sample.alerts(), history=sample.lab_history())
    bands = [one for one in figure.axes[1].patches if isinstance(one, Rectangle) and one.get_alpha() == 0.18]
    found = texts(figure)

    assert [False, True] == [bool(one.get_hatch()) for one in bands]  # by lane: the incident of app-00, then app-01's
    assert {"incident", "maintenance"} <= set(found)
    assert "maintenance" not in texts(plots.replay_timeline(one_alert(), history=sample.lab_history()))


def test_alerts_outside_the_window_are_counted():
    window = (sample.AT, sample.AT + timedelta(minutes=30))
    alerts = pl.concat([one_alert(), one_alert().with_columns(pl.selectors.datetime() + timedelta(days=1))])

    assert "1 more alerts lie outside this window." in texts(plots.replay_timeline(alerts, window=window))


@pytest.mark.parametrize("ends", [5, 12, 75])
@pytest.mark.parametrize("starts", [-600, 2, 40])
def test_an_alert_that_goes_beyond_the_window_is_cut_and_its_words_are_within(starts, ends):
    if starts >= ends:
        ends = starts + 1
    window = tuple(sample.AT + timedelta(minutes=minutes) for minutes in (starts, ends))

    assert [] == outside(plots.replay_timeline(one_alert(), window=window))
    assert [] == outside(plots.comparison(sample.compared(), window=window))


@pytest.mark.parametrize(("series", "most"), [(False, 40), (True, 24)])
def test_more_lanes_than_a_page_holds_are_counted(series, most):
    alerts = sample.alerts(60, 60)
    figure = plots.replay_timeline(alerts, series=sample.values(60, 100) if series else None)

    assert f"{most} of 60 lanes are drawn: those with the most to show." in texts(figure)


def test_words_that_find_no_room_are_counted_and_alerts_that_share_a_row_too():
    many = pl.concat([one_alert().with_columns(rule=pl.lit("slow")) for _ in range(12)])
    found = texts(plots.replay_timeline(many))

    assert "12 of 12 alerts are drawn without their words, for want of room." in found
    assert "6 of 12 alerts share a row, and lie on each other." in found


@pytest.mark.parametrize("wrong", [True, "600", float("nan"), {"slow": None}])
def test_a_threshold_that_is_no_number_is_refused(wrong):
    with pytest.raises(BadParameter, match="finite number"):
        plots.replay_timeline(one_alert(), threshold=wrong)


def test_a_status_that_no_alert_has_is_refused():
    with pytest.raises(BadParameter, match="no status"):
        plots.replay_timeline(one_alert().with_columns(status=pl.lit("maybe")))


@pytest.mark.parametrize("minutes", [7, 90, 700, 3000, 4100, 6000, 20_160, 90_000])
def test_panels_of_any_length_have_an_axis_of_time(minutes):
    end = sample.AT + timedelta(minutes=minutes)
    values = sample.values(5, 30).with_columns(
        ts=pl.when(pl.col("ts") == pl.col("ts").max()).then(end).otherwise(sample.AT).cast(sample.TIME)
    )
    figure = plots.replay_timeline(one_alert(hold=0, lasts=minutes), series=values, window=(sample.AT, end))

    assert [] == outside(figure)
    assert len(figure.axes[-1].get_xticks()) >= 2


# --- sweep


def test_each_cell_tells_its_number():
    frame = sample.swept()
    figure = plots.sweep_map(frame, measure="fired")
    cells = [text.get_text() for text in figure.axes[0].texts[:20]]

    assert [str(number) for number in frame.sort("for_s", "value")["fired"]] == cells
    said = {"100", "500", "0m", "15m", "threshold", "for", "alerts that fired: 0", "1000"}
    assert said <= set(texts(figure))


def test_the_more_the_deeper():
    figure = plots.sweep_map(sample.swept(5, 1), measure="caught")
    depths = {
        round(float(one.get_path().vertices[0][0]), 3): one.get_alpha()
        for one in figure.axes[0].patches
        if isinstance(one, PathPatch) and one.get_alpha() is not None
    }

    assert [0.55, 0.41, 0.28, 0.14] == [depth for _, depth in sorted(depths.items())]


def test_the_front_and_the_rule_as_it_is_are_marked_by_a_line_and_a_sign():
    plain = plots.sweep_map(sample.swept().with_columns(on_front=False))
    marked = plots.sweep_map(sample.swept(), at=(300, "5m"))
    lines = [one.get_linestyle() for one in marked.axes[0].patches if isinstance(one, PathPatch)]
    added = [len(one.axes[0].collections) - len(plain.axes[0].collections) for one in (plain, marked)]

    assert [0, 4 + 1 + 2] == added  # a sign in each cell of the front, one at the rule, and two in the legend
    assert 1 == sum(line != "-" and line != "solid" for line in lines)
    said = {"on the front: none catches as much with fewer needless alerts", "the rule as it is"}
    assert said <= set(texts(marked))
    assert said.isdisjoint(texts(plain))


def test_the_mark_of_the_rule_stands_around_its_own_number():
    frame = sample.swept(5, 4)
    figure = plots.sweep_map(frame, measure="fired", at=(400, "5m"))
    wanted = frame.filter(pl.col("value") == 400, pl.col("for") == "5m")["fired"].item()
    number = next(text for text in figure.axes[0].texts if text.get_text() == str(wanted))
    around = [
        one
        for one in figure.axes[0].patches
        if isinstance(one, PathPatch) and one.get_linestyle() not in ("-", "solid")
    ]

    assert [True] == [one.get_path().contains_point(number.get_position()) for one in around]


@pytest.mark.parametrize("at", [(300, "5m"), (300.0, 300), (300, timedelta(minutes=5)), [np.int64(300), 300.0]])
def test_the_cell_of_the_rule_is_named_in_any_way(at):
    wanted, found = plots.sweep_map(sample.swept(), at=(300, "5m")), plots.sweep_map(sample.swept(), at=at)

    assert plots.to_svg(wanted, "x") == plots.to_svg(found, "x")
    assert "the rule as it is" in texts(plots.sweep_map(sample.swept(), at=(100, "0s")))


@pytest.mark.parametrize(("at", "says"), [((250, "5m"), "no cell"), (300, "not a value"), ((300, None), "no cell")])
def test_a_rule_that_is_no_cell_is_refused(at, says):
    with pytest.raises(BadParameter, match=says):
        plots.sweep_map(sample.swept(), at=at)


def test_a_cell_without_a_number_is_hatched_with_a_dash():
    figure = plots.sweep_map(sample.swept(), measure="precision")
    found = texts(figure)

    assert 4 == found.count("–")
    assert "no precision to tell" in found
    assert {"0.4%", "precision: 0%"} <= set(found)


def test_lead_times_are_told_as_people_say_them():
    found = texts(plots.sweep_map(sample.swept(), measure="lead_time_s"))

    assert {"1m 30s", "30s", "-30s", "-1m 30s", "lead time (median): -1m 30s"} <= set(found)


def test_a_large_grid_fits_and_says_which_numbers_have_no_room():
    large = plots.sweep_map(sample.swept(30, 30), measure="fired")
    larger = plots.sweep_map(sample.swept(100, 100), measure="fired")

    assert [] == outside(large)
    assert [] == [text for text in texts(large) if "no room" in text]
    assert [] == outside(larger)
    assert ["The numbers of 10000 of 10000 cells have no room; the scale tells."] == [
        text for text in texts(larger) if "no room" in text
    ]


def test_cells_that_the_frame_lacks_are_counted():
    found = texts(plots.sweep_map(sample.swept().filter(pl.col("on_front"))))

    assert "Where there is no cell, the frame has none: 12 of 16." in found


def test_what_is_no_sweep_of_one_rule_is_refused():
    with pytest.raises(BadParameter, match="twice"):
        plots.sweep_map(pl.concat([sample.swept(), sample.swept()]))
    with pytest.raises(BadParameter, match="wide or high"):
        plots.sweep_map(sample.swept(101, 1))
    with pytest.raises(BadParameter, match="no measure"):
        plots.sweep_map(sample.swept(), measure="luck")
    with pytest.raises(BadParameter, match="length of time"):
        plots.sweep_map(sample.swept(), at=(300, "soon"))


# --- comparison


def test_old_stands_above_new_and_it_is_said_which_comes_first():
    figure = plots.comparison(sample.compared())
    found = texts(figure)
    light = THEMES["light"]

    assert {"12m earlier", "5m later", "at the same time", "only old", "only new"} <= set(found)
    assert {"app-00", "app-01", "app-02", "only the old", "only the new", "the same alert"} <= set(found)
    assert [(0, 60), (180, 240), (360, 420), (540, 600)] == boxes(figure, light.orange)
    ends = [-12, 185, 360, 720]
    assert ends == [begin for begin, _ in boxes(figure, light.blue)]
    old, new = (
        {
            round(one.get_y() + one.get_height() / 2, 2)
            for one in figure.axes[1].patches
            if hexed(one.get_facecolor()) == c
        }
        for c in (light.orange, light.blue)
    )
    assert min(new) > min(old)  # the axis runs downwards
    assert figure.axes[1].yaxis_inverted()


def test_those_that_are_the_same_are_joined():
    figure = plots.comparison(sample.compared())
    start = sample.AT.timestamp() / 60
    joined = [[round(x * 1440 - start) for x in line.get_xdata()] for line in figure.axes[1].lines]

    assert [[0, -12], [180, 185], [360, 360]] == joined


def test_rules_that_are_compared_in_sets_have_lanes_of_their_own():
    more = sample.compared().with_columns(old_rule=pl.lit("late"), new_rule=pl.lit("late"))
    found = texts(plots.comparison(pl.concat([sample.compared().with_columns(new_rule=pl.lit("slow")), more])))

    assert {"app-00 · slow", "app-00 · late"} <= set(found)


def test_what_only_one_rule_fires_for_is_no_pair():
    found = texts(plots.comparison(sample.compared().filter(pl.col("state") == "only_new")))

    assert {"only new", "only the new"} <= set(found)
    assert {"only the old", "the same alert"}.isdisjoint(found)


def test_a_state_that_no_comparison_has_is_refused():
    with pytest.raises(BadParameter, match="no state"):
        plots.comparison(sample.compared().with_columns(state=pl.lit("odd")))


def test_many_lanes_of_a_comparison_are_counted():
    many = pl.concat([sample.compared().with_columns(ci_code=pl.lit(f"srv-{i:02}")) for i in range(50)])

    assert "40 of 50 lanes are drawn: those with the most to show." in texts(plots.comparison(many))


# --- all of them

LANES = {
    "lanes": lambda **kw: plots.replay_timeline(sample.alerts(40, 12, 2), history=sample.lab_history(), **kw),
    "panels": lambda **kw: plots.replay_timeline(
        sample.alerts(40, 12), series=sample.values(12), threshold=600, history=sample.lab_history(), **kw
    ),
    "comparison": lambda **kw: plots.comparison(sample.compared(), **kw),
}
ALL = {**LANES, "sweep": lambda **kw: plots.sweep_map(sample.swept(), at=(300, "5m"), **kw)}
FRAMES = {
    "replay_timeline": (sample.alerts, "active_at", "No alerts in this range."),
    "sweep_map": (sample.swept, "for_s", "No cells of a sweep."),
    "comparison": (sample.compared, "new_fired_at", "Neither rule fired in this range."),
}


def test_they_are_among_the_pictures():
    assert set(rule_plots.__all__) <= set(plots.__all__)
    assert rule_plots.EMPTY.items() <= plots.EMPTY.items()


@pytest.mark.parametrize("name", FRAMES)
def test_an_empty_answer_gives_a_picture_that_says_so(name):
    frame, _, said = FRAMES[name]

    assert [said] == texts(getattr(plots, name)(frame().head(0)))


@pytest.mark.parametrize("name", FRAMES)
def test_a_missing_column_is_named(name):
    frame, column, _ = FRAMES[name]

    with pytest.raises(BadParameter, match=column):
        getattr(plots, name)(frame().drop(column))


@pytest.mark.parametrize("name", FRAMES)
def test_pandas_and_polars_give_the_same_picture(name):
    frame, draw = FRAMES[name][0](), getattr(plots, name)

    assert plots.to_svg(draw(frame), "x") == plots.to_svg(draw(frame.to_pandas()), "x")
    assert plots.to_svg(draw(frame.head(0)), "x") == plots.to_svg(draw(frame.head(0).to_pandas()), "x")


@pytest.mark.parametrize("name", ["replay_timeline", "comparison"])
def test_frames_of_the_core_are_drawn_as_those_of_the_tools(name):
    frame, draw = FRAMES[name][0](), getattr(plots, name)

    assert plots.to_svg(draw(frame), "x") == plots.to_svg(draw(frame.rename({"ci_code": "ci"})), "x")


@pytest.mark.parametrize("name", FRAMES)
def test_the_order_of_the_rows_does_not_show(name):
    frame, draw = FRAMES[name][0](), getattr(plots, name)

    assert plots.to_svg(draw(frame), "x") == plots.to_svg(draw(frame.reverse()), "x")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ALL)
def test_nothing_sticks_out_of_the_sheet_and_colours_are_those_of_the_theme(name, theme):
    figure = ALL[name](theme=theme)
    root = ElementTree.fromstring(plots.to_svg(figure, "x"))
    used = {node.get(part) for node in root.iter() for part in ("fill", "stroke")} - {None, "none"}

    assert [] == outside(figure)
    assert {colour for colour in used if colour.startswith("#")} <= set(vars(THEMES[theme]).values())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("name_of", [HOSTILE, LONG, RTL])
def test_hostile_names_are_text_and_stay_within_the_sheet(name, name_of):
    alerts = named(sample.alerts(8), name_of, "app-01").with_columns(rule=pl.Series([name_of, "b"] * 4))
    draw = {
        "lanes": lambda: plots.replay_timeline(alerts, history=named(sample.lab_history(), name_of)),
        "panels": lambda: plots.replay_timeline(
            alerts, series=named(sample.values(1), name_of).with_columns(metric=pl.lit(name_of), series=pl.lit(name_of))
        ),
        "comparison": lambda: plots.comparison(
            named(sample.compared(), name_of).with_columns(old_rule=pl.Series([name_of, "b", "b", "b", None]))
        ),
        "sweep": lambda: plots.sweep_map(sample.swept().with_columns(pl.col("for") + pl.lit("<b>"))),
    }[name]
    figure = draw()
    svg = plots.to_svg(figure, HOSTILE)

    assert {"script", "b"}.isdisjoint(tags(svg))
    assert not {"\u202e", "\x00"} & set(svg)
    assert SHOWN == ElementTree.fromstring(svg)[0].text
    assert [] == outside(figure)


@pytest.mark.parametrize("name", LANES)
def test_words_in_lanes_do_not_lie_on_each_other(name):
    figure = LANES[name]()
    words = {text.get_text() for axes in figure.axes[1:] for text in axes.texts}

    assert words
    assert [] == overlapping(figure, words)


def test_pyplot_is_never_loaded_and_the_bytes_do_not_hang_on_the_hash_seed():
    assert printed_under_seeds("test_rule_plots").endswith("False\n")
