"""What a rule is: one condition and how long it has to hold, or one pattern.

A rule is data; ``reading`` makes it from YAML or dicts with errors that name the place, ``replay`` runs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import Field, model_validator

from ciops_nb.cep.conditions import AnyCondition, Condition, Not, Read
from ciops_nb.cep.fields import Duration, Hold, LabelTexts, Name, Parts, Piece
from ciops_nb.cep.patterns import Pattern, Schedule, Sequence
from ciops_nb.cep.templates import check_template, expanded

__all__ = ["Rule"]


class Rule(Piece):
    """A condition and its states: pending while it holds for less than *for_*, then firing.

    Attributes:
        id: The name of the rule; one read without gets rule-1, rule-2, ... by its position.
        when: The condition.
        sequence: Events that follow one another, instead of a condition.
        schedule: Moments by the clock, instead of a condition.
        for_: How long it has to hold before it fires (``for`` in YAML).
        keep_firing_for: How long it goes on firing after the condition no longer holds.
        every: How often it is evaluated; None is as often as the replay says.
        labels: Labels of its alerts, over those of the series; ``{{ $labels.NAME }}`` stands for a label of the series.
        annotations: Texts for whoever reads the rule; they mean nothing here.
        record: The metric that its values are recorded as. It then makes no alerts; later rules see what it recorded at
            the same tick, earlier ones at the next.
    """

    PARTS: ClassVar[Parts] = {"when": Condition, "sequence": Sequence, "schedule": Schedule}
    SAYS: ClassVar[tuple[str, ...]] = ("when", "sequence", "schedule")

    id: Name | None = None
    when: AnyCondition | None = None
    sequence: Sequence | None = None
    schedule: Schedule | None = None
    for_: Hold = Field(default=timedelta(0), alias="for")
    keep_firing_for: Hold = timedelta(0)
    every: Duration | None = None
    labels: LabelTexts = Field(default_factory=dict)
    annotations: dict[Name, str] = Field(default_factory=dict)
    record: Name | None = None

    @model_validator(mode="after")
    def _holds(self) -> Rule:
        said = [kind for kind in self.SAYS if getattr(self, kind) is not None]
        if len(said) != 1:
            raise ValueError(f"says {' and '.join(said) or 'nothing'}. Write one of {', '.join(self.SAYS)}")
        if isinstance(self.when, Not):
            raise ValueError(Not.MISPLACED)
        timed = sorted({"for_", "keep_firing_for", "every"} & self.model_fields_set)
        if self.pattern is not None and timed:
            name = timed[0].removesuffix("_")
            raise ValueError(f"has {name!r} beside a pattern. A pattern is found when it happens, not at ticks")
        if self.record is not None and (self.pattern is not None or self.for_ or self.keep_firing_for):
            raise ValueError("'record' makes no alerts. Leave out 'for', 'keep_firing_for' and patterns")
        for text in self.labels.values() if self.record is None else ():
            check_template(text)
        return self

    def plain(self) -> dict[str, Any]:
        """The rule as plain JSON, which ``load`` reads back."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def __str__(self) -> str:
        return json.dumps(self.plain(), sort_keys=True, ensure_ascii=False)

    @property
    def pattern(self) -> Pattern | None:
        """What is found at moments of its own; None for a rule that is judged at ticks."""
        return self.sequence or self.schedule

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
