"""What a rule is: one condition and how long it has to hold, or one pattern.

A rule is data; ``reading`` makes it from YAML or dicts with errors that name the place, ``replay`` runs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import Field, model_validator

from ciops_nb.cep.active import Active
from ciops_nb.cep.conditions import AnyCondition, Condition, Near, Not, Read, RuleFires
from ciops_nb.cep.conditions.topology import Vicinity
from ciops_nb.cep.fields import Duration, Hold, LabelTexts, Moment, Name, Names, Parts, Piece
from ciops_nb.cep.patterns import CommonUpstream, NearPairs, Occurrence, Pattern, Schedule, Sequence
from ciops_nb.cep.templates import check_template, expanded
from ciops_nb.errors import BadRule

__all__ = ["Inhibitor", "Rule"]


class Inhibitor(Piece):
    """What hushes an alert while it fires: another rule, or a condition that holds near its CI.

    Attributes:
        rule: A rule of which an alert has to be on.
        equal: The labels that both alerts have to have the same; a label that neither has is the same.
        near: A condition, and where it has to hold seen from the CI of the alert.
    """

    NOUN: ClassVar[str] = "inhibition"
    SUCH_AS: ClassVar[str] = "{rule: link-down, equal: [site]}"
    PARTS: ClassVar[Parts] = {"near": Vicinity}

    rule: Name | None = None
    equal: Names = ("ci",)
    near: Vicinity | None = None

    @model_validator(mode="after")
    def _one(self) -> Inhibitor:
        if (self.rule is None) == (self.near is None):
            raise ValueError("needs 'rule' or 'near'. Name a rule, or say what holds near the CI")
        if self.near is not None and "equal" in self.model_fields_set:
            raise ValueError("has 'equal' beside 'near'. What is near is found by the CI alone")
        return self


class Rule(Piece):
    """A condition and its states: pending while it holds for less than *for_*, then firing.

    Attributes:
        id: The name of the rule; one read without gets rule-1, rule-2, ... by its position.
        when: The condition.
        sequence: Events that follow one another, instead of a condition.
        schedule: Moments by the clock, instead of a condition.
        event: Each of some events by itself, instead of a condition.
        near: Two events that are near each other, instead of a condition.
        common_upstream: What many events have in common, instead of a condition.
        for_: How long it has to hold before it fires (``for`` in YAML).
        keep_firing_for: How long it goes on firing after the condition no longer holds.
        every: How often it is evaluated; None is as often as the replay says.
        labels: Labels of its alerts, over those of the series; ``{{ $labels.NAME }}`` stands for a label of the series.
        inhibit: What hushes its alerts. They fire all the same, and their evidence says what hushed them.
        annotations: Texts for whoever reads the rule; they mean nothing here.
        record: The metric that its values are recorded as. It then makes no alerts; later rules see what it recorded at
            the same tick, earlier ones at the next.
        active: When it is to be judged at all: outside of that its condition does not hold.
        end: Up to when it is replayed, where that is before the end of the replay.
        data_as_of: The column of events or samples that says when a row came in: a tick sees what had come by then.
    """

    PARTS: ClassVar[Parts] = {
        "when": Condition,
        "sequence": Sequence,
        "schedule": Schedule,
        "event": Occurrence,
        "near": NearPairs,
        "common_upstream": CommonUpstream,
        "inhibit": [Inhibitor],
        "active": Active,
    }
    SAYS: ClassVar[tuple[str, ...]] = ("when", "event", "sequence", "schedule", "near", "common_upstream")

    id: Name | None = None
    when: AnyCondition | None = None
    sequence: Sequence | None = None
    schedule: Schedule | None = None
    event: Occurrence | None = None
    near: NearPairs | None = None
    common_upstream: CommonUpstream | None = None
    for_: Hold = Field(default=timedelta(0), alias="for")
    keep_firing_for: Hold = timedelta(0)
    every: Duration | None = None
    labels: LabelTexts = Field(default_factory=dict)
    inhibit: tuple[Inhibitor, ...] = ()
    annotations: dict[Name, str] = Field(default_factory=dict)
    record: Name | None = None
    active: Active | None = None
    end: Moment | None = None
    data_as_of: Name | None = None

    @model_validator(mode="after")
    def _holds(self) -> Rule:
        said = [kind for kind in self.SAYS if getattr(self, kind) is not None]
        if len(said) != 1:
            raise ValueError(f"says {' and '.join(said) or 'nothing'}. Write one of {', '.join(self.SAYS)}")
        if isinstance(self.when, Not):
            raise ValueError(Not.MISPLACED)
        if self.when is not None:
            self._check_windows(self.when)
        timed = sorted({"for_", "keep_firing_for", "every", "data_as_of"} & self.model_fields_set)
        if self.when is None and timed:
            name = timed[0].removesuffix("_")
            raise ValueError(f"has {name!r} beside a pattern. A pattern is found when it happens, not at ticks")
        if self.record is not None and self.inhibit:
            raise ValueError("'record' makes no alerts. Leave out 'inhibit'")
        if any(one.rule is not None and one.rule == self.id for one in self.inhibit):
            raise ValueError("inhibits itself: its alerts would hush each other. Name another rule, or use 'near'")
        if self.record is not None and (self.when is None or self.for_ or self.keep_firing_for):
            raise ValueError("'record' makes no alerts. Leave out 'for', 'keep_firing_for' and patterns")
        if self.record is not None and (self.when is not None and self.when.windowed):
            raise ValueError("'record' records values at ticks. Leave out 'window'")
        for text in self.labels.values() if self.record is None else ():
            check_template(text)
        return self

    def _check_windows(self, when: Condition) -> None:
        if when.windowed and self.at_ticks:
            raise ValueError(f"says 'window' and '{self.at_ticks[0]}': windows are not judged at ticks. Leave one out")
        if any(part.windowed for condition in when.inner() for part in _every(condition)):
            raise ValueError(
                "'window' has its place directly under 'when' only. Say 'over' inside of another condition"
            )

    def as_of(self, column: str | None) -> Rule:
        """The rule with what had come in at each tick by *column*, unless it says a column itself.

        Raises:
            BadRule: something in it is not replayed in that way.
        """
        column = column if self.data_as_of is None else self.data_as_of
        if column is None:
            return self
        found = [] if self.when is None else [one for one in _every(self.when) if not one.AS_OF or one.windowed]
        if self.when is None or found:
            kind = found[0].KIND if found else next(kind for kind in self.SAYS if getattr(self, kind) is not None)
            what = "window" if found and found[0].windowed else kind
            raise BadRule(f"rule {self.id!r}, data_as_of", f"{what!r} is not replayed as it was known", "Leave it out")
        return self.model_copy(update={"data_as_of": column})

    def check_plain(self, who: str) -> None:
        """Refuse what *who* knows nothing of: hours, ends, late data, and conditions that are judged at no ticks.

        Raises:
            BadRule: the rule says something of that kind.
        """
        for word in ("active", "end", "data_as_of"):
            if getattr(self, word) is not None:
                raise BadRule(f"rule {self.id!r}, {word}", f"is nothing that {who} knows", "Leave it out")
        if self.when is not None and self.pattern is not None:
            what = f"is found at moments of its own, of which {who} knows nothing"
            raise BadRule(f"rule {self.id!r}, {self.when.KIND}", what, "Say 'every' to have it judged at ticks")

    def plain(self) -> dict[str, Any]:
        """The rule as plain JSON, which ``load`` reads back."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def __str__(self) -> str:
        return json.dumps(self.plain(), sort_keys=True, ensure_ascii=False)

    @property
    def at_ticks(self) -> tuple[str, ...]:
        """What the rule says that has a meaning at ticks only."""
        said = {
            "for": self.for_ > timedelta(0),
            "keep_firing_for": self.keep_firing_for > timedelta(0),
            "every": self.every is not None,
            "data_as_of": self.data_as_of is not None,
        }
        return tuple(name for name, there in said.items() if there)

    @property
    def pattern(self) -> Pattern | Condition | None:
        """What is found at moments of its own; None for a rule that is judged at ticks."""
        if self.when is None:
            return self.event or self.sequence or self.schedule or self.near or self.common_upstream
        return self.when if self.when.momentary and self.record is None and not self.at_ticks else None

    def labelled(self, series: dict[str, str]) -> dict[str, str]:
        """The labels of an alert of a series; a label that is empty takes that of the series away."""
        own = self.labels
        if self.record is None:
            own = {name: expanded(text, series) for name, text in own.items()}
        return {name: text for name, text in (series | own).items() if text}

    def reads(self) -> Iterator[Read]:
        """The data that it needs, in the order of writing."""
        said = self.pattern or self.when
        assert said is not None
        yield from said.reads()
        for one in self.inhibit:
            if one.near is not None:
                yield from Near(near=one.near).reads()

    def awaited(self) -> Iterator[str]:
        """The ids of the rules that have to be replayed before it."""
        yield from _fires(self.when)

    def named(self) -> Iterator[str]:
        """The ids of all rules that it names."""
        yield from self.awaited()
        for one in self.inhibit:
            if one.rule is not None:
                yield one.rule
            if one.near is not None:
                yield from _fires(one.near.of)


def _fires(condition: Condition | None) -> Iterator[str]:
    if isinstance(condition, RuleFires):
        yield condition.rule
    if condition is not None:
        for inner in condition.inner():
            yield from _fires(inner)


def _every(condition: Condition) -> Iterator[Condition]:
    yield condition
    for inner in condition.inner():
        yield from _every(inner)
