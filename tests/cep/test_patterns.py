"""Patterns as rules: what their words mean together, what an answer shows of them, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ciops_nb.cep import load, replay
from ciops_nb.errors import BadRule

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PAIR = {"steps": [{"type": "deploy"}, {"type": "error"}], "within": "10m", "by": "ci"}


def occurred(*events: tuple[int, str, str], **fields: list[Any]) -> pl.DataFrame:
    """Events (minute, ci, type), numbered as they come."""
    minutes, cis, types = zip(*events, strict=True)
    return pl.DataFrame(
        {
            "ts": [T0 + timedelta(minutes=minute) for minute in minutes],
            "seq": range(1, len(events) + 1),
            "ci": cis,
            "type": types,
            **fields,
        }
    )


def found(rule: dict[str, Any], events: pl.DataFrame, minutes: int = 60, **given: Any) -> pl.DataFrame:
    return replay({"sequence": rule}, events=events, start=T0, end=T0 + timedelta(minutes=minutes), **given)


def records(answer: pl.DataFrame) -> list[list[str | None]]:
    return [[record["record_id"] for record in evidence] for evidence in answer["evidence"].to_list()]


def test_a_match_says_when_it_began_when_it_was_known_and_on_what_it_rests() -> None:
    answer = found(PAIR, occurred((1, "a", "deploy"), (2, "b", "error"), (4, "a", "error")))

    assert answer.drop("evidence").to_dicts() == [
        {
            "rule": "rule-1",
            "match": 1,
            "ci": "a",
            "labels": '{"ci": "a"}',
            "status": "fired",
            "active_at": T0 + timedelta(minutes=1),
            "fired_at": T0 + timedelta(minutes=4),
            "ended_at": T0 + timedelta(minutes=4),
            "value": None,
            "n": 2,
        }
    ]
    first, second = answer["evidence"].to_list()[0]
    nothing = {"metric": None, "value": None, "hops": None}
    assert first == {"step": "1", "record_id": "1", "ts": T0 + timedelta(minutes=1), "ci_code": "a", **nothing}
    assert second == {"step": "2", "record_id": "3", "ts": T0 + timedelta(minutes=4), "ci_code": "a", **nothing}


def test_what_was_known_before_or_after_the_replay_is_not_in_it_but_may_have_begun_before() -> None:
    events = occurred(
        (-20, "a", "deploy"), (-15, "a", "error"), (-2, "b", "deploy"), (3, "b", "error"), (61, "c", "deploy")
    )

    assert records(found(PAIR, events)) == [["3", "4"]]


def test_without_by_all_events_are_of_one_key_and_the_ci_is_that_of_the_first() -> None:
    answer = found({**PAIR, "by": []}, occurred((1, "a", "deploy"), (2, "b", "error")))

    assert answer.select("ci", "labels").rows() == [("a", "{}")]


def test_an_event_without_a_key_takes_part_in_nothing() -> None:
    events = occurred((1, "a", "deploy"), (2, "a", "error"), user=[None, None])

    assert found({**PAIR, "by": ["ci", "user"]}, events).is_empty()


def test_silence_after_the_last_step_is_known_once_the_time_has_passed() -> None:
    rule = {"steps": [{"type": "deploy"}, {"not": {"type": "ok"}}], "within": "10m", "by": "ci"}
    events = occurred((1, "a", "deploy"), (2, "b", "deploy"), (5, "b", "ok"), (55, "c", "deploy"))
    answer = found(rule, events)

    assert records(answer) == [["1"]]
    assert answer["fired_at"].to_list() == [T0 + timedelta(minutes=11)]


def test_steps_of_an_open_number_take_what_they_can() -> None:
    rule = {
        "steps": [{"type": "error", "min": 2, "max": None}, {"type": "down"}],
        "within": "10m",
        "by": "ci",
        "start": "earliest",
    }
    events = occurred(
        *((minute, "a", "error") for minute in (1, 2, 3)), (4, "a", "down"), (5, "b", "error"), (6, "b", "down")
    )
    answer = found(rule, events)

    assert records(answer) == [["1", "2", "3", "4"]]
    assert [record["step"] for record in answer["evidence"].to_list()[0]] == ["1", "1", "1", "2"]


def test_strict_steps_let_no_other_event_of_the_key_come_between() -> None:
    rule = {**PAIR, "start": "earliest", "strict": True}
    events = occurred((1, "a", "deploy"), (2, "a", "note"), (3, "a", "error"), (4, "b", "deploy"), (5, "b", "error"))

    assert records(found(rule, events)) == [["4", "5"]]


def test_samples_are_steps_beside_events() -> None:
    rule = {
        "steps": [{"metric": "cpu", "op": ">", "value": 90, "where": {"mode": "user"}}, {"type": "error"}],
        "within": "10m",
        "by": "ci",
    }
    metrics = pl.DataFrame(
        {
            "ts": [T0 + timedelta(minutes=minute) for minute in (1, 2, 3)],
            "metric": "cpu",
            "ci": "a",
            "mode": ["user", "idle", "user"],
            "value": [95.0, 99.0, 50.0],
        }
    )
    answer = found(rule, occurred((4, "a", "error")), metrics=metrics)

    record = answer["evidence"].to_list()[0][0]
    assert (record["ts"], record["metric"], record["value"], record["record_id"]) == (
        T0 + timedelta(minutes=1),
        "cpu",
        95.0,
        None,
    )


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"steps": [{"type": "a"}]}, "has one step"),
        ({"steps": []}, "is not a list of steps"),
        ({"steps": [{"type": "a"}, {"typ": "b"}]}, r"steps\[2\].typ: there is no such field. Did you mean 'type'"),
        ({"steps": [{"type": "a"}, {"metric": "b"}]}, "needs 'op' and 'value'"),
        ({"steps": [{"type": "a"}, {"type": "b", "op": ">"}]}, "compare a sample"),
        ({"steps": [{"type": "a"}, {"type": "b", "times": 2, "max": 3}]}, "'times' beside 'min' or 'max'"),
        ({"steps": [{"not": {"type": "a"}}, {"type": "b"}]}, "before the first step"),
        ({"steps": [{"type": "a"}, {"not": {"type": "b"}}, {"not": {"type": "c"}}]}, "'not' after 'not'"),
        ({"steps": [{"type": "a"}, {"not": {"type": "b"}}]}, "needs 'within'"),
        ({**PAIR, "within": "soon"}, "within: 'soon' is not a length of time"),
        ({**PAIR, "pairs": "all", "start": "earliest"}, "Leave out 'start'"),
        ({**PAIR, "pairs": "all", "within": None}, "'pairs' needs 'within'"),
        ({**PAIR, "start": "oldest"}, "'oldest' is not a choice"),
        (5, "5 is not a mapping"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(rule: Any, said: str) -> None:
    with pytest.raises(BadRule, match=said):
        load({"sequence": rule})


def test_a_pattern_knows_no_ticks() -> None:
    with pytest.raises(BadRule, match="has 'for' beside a pattern"):
        load({"sequence": PAIR, "for": "5m"})


@pytest.mark.parametrize("change", [{"by": "hots"}, {"until": {"type": "x", "where": {"hots": 1}}}])
def test_fields_that_events_do_not_have_are_named(change: dict[str, Any]) -> None:
    events = occurred((1, "a", "deploy"), host=["h"])

    with pytest.raises(BadRule, match=r"events have no such field. Did you mean 'host'"):
        found({**PAIR, **change}, events)


def test_a_rule_with_a_sequence_is_written_back_as_it_was_read() -> None:
    (rule,) = load({"sequence": {**PAIR, "until": {"type": "ok", "where": {"v": [">", 1]}}}})

    assert load(rule.plain()) == [rule]


# ── schedules ───────────────────────────────────────────────────────────────────────────────────────────────────────


def due(cron: str, start: str, end: str, **more: Any) -> list[str]:
    answer = replay({"schedule": {"cron": cron, **more}}, start=start, end=end)
    assert answer["status"].to_list() == ["fired"] * answer.height
    return [f"{at:%m-%d %H:%M}" for at in answer["fired_at"]]


def test_a_schedule_fires_by_the_clock_of_its_zone() -> None:
    # 2026-03-29 is the Sunday on which British clocks go forward.
    cron, days = "0 9 * * *", ("2026-03-27T09:00Z", "2026-03-30T08:00Z")

    assert due(cron, *days, tz="Europe/London") == ["03-27 09:00", "03-28 09:00", "03-29 08:00", "03-30 08:00"]
    assert due(cron, *days) == ["03-27 09:00", "03-28 09:00", "03-29 09:00"]


def test_what_is_due_in_a_missing_or_doubled_hour_happens_once() -> None:
    assert due("30 1 * * *", "2026-03-28", "2026-03-30", tz="Europe/London") == ["03-28 01:30", "03-29 01:00"]
    assert due("30 1 * * *", "2026-10-25", "2026-10-25T12:00", tz="Europe/London") == ["10-25 00:30"]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"cron": "0 9 * *"}, "'0 9 \\* \\*' is no cron expression: wrong number of fields"),
        ({"cron": "99 9 * * *"}, "is no cron expression: bad minute"),
        ({"cron": "0 9 * * *", "tz": "Mars"}, "schedule.tz: 'Mars' there is no such time zone"),
        ({"tz": "UTC"}, "schedule.cron: is missing"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(schedule: Any, said: str) -> None:
    with pytest.raises(BadRule, match=said):
        load({"schedule": schedule})


def test_a_schedule_that_never_ends_is_refused() -> None:
    with pytest.raises(BadRule, match="fires more than 100,000 times"):
        due("* * * * *", "2020-01-01", "2026-01-01")


# ── events by themselves ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_event_trigger_fires_at_each_event_that_is_meant() -> None:
    rule = {
        "event": {
            "any_of": [{"type": "down"}, {"all_of": [{"type": "error"}, {"where": {"code": [">=", 500]}}]}],
            "none_of": [{"where": {"code": 503}}],
        }
    }
    events = occurred(
        (1, "a", "down"), (2, "a", "error"), (3, "b", "error"), (4, "b", "error"), (99, "c", "down"),
        code=[None, 404, 500, 503, None],
    )  # fmt: skip
    answer = replay(rule, events=events, start=T0, end=T0 + timedelta(hours=1))

    assert records(answer) == [["1"], ["3"]]
    assert answer["labels"].to_list() == ['{"ci": "a"}', '{"ci": "b"}']
    assert answer["fired_at"].to_list() == answer["ended_at"].to_list()


def test_an_event_trigger_needs_an_event() -> None:
    with pytest.raises(BadRule, match="event: says no event"):
        load({"event": {}})
