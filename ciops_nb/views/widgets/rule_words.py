"""A rule that is turned: what its text means, what comes of other numbers, and how that is said.

Plain functions of what was read once (``tools.rule_ground``); ``rule_lab`` shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ciops_nb.cep import load, to_prometheus
from ciops_nb.cep.editing import number, turned_text
from ciops_nb.cep.fields import spelled
from ciops_nb.cep.sweep import only_alerting, threshold_of, turned_to
from ciops_nb.errors import BadParameter, BadRule, CiopsError
from ciops_nb.estate.times import format_time
from ciops_nb.recipes.evidence import counted
from ciops_nb.tools.rule_ground import Ground
from ciops_nb.views.sheet import amount, length_text, rows_of
from ciops_nb.views.svg import visible

if TYPE_CHECKING:
    from ciops_nb.cep import Rule
    from ciops_nb.cep.sweep import Levels

__all__ = [
    "Judged", "Text", "alert_lines", "code_of", "judge", "kept_text", "near_misses", "prometheus_of", "ranked",
    "read_text", "reading_of", "slider_of", "words_of",
]  # fmt: skip


@dataclass(frozen=True)
class Text:
    """Rules as they were written: *place* is that of the one whose threshold can be turned, *why* says why none can."""

    text: str
    rules: tuple[Rule, ...]
    place: int | None = None
    threshold: float | None = None
    hold: timedelta = timedelta(0)
    why: str = ""

    @property
    def name(self) -> str:
        alerting = [str(rule.id) for rule in self.rules if rule.record is None]
        return ", ".join(alerting or [str(rule.id) for rule in self.rules])

    def turned(self, threshold: float | None, hold: timedelta) -> list[Rule]:
        """The rules with other numbers.

        Raises:
            BadRule: the rule cannot have them, as a threshold beyond its ``clear``.
        """
        rules = list(self.rules)
        if self.place is not None and threshold is not None:
            rules[self.place] = load([turned_to(rules[self.place], threshold, hold).plain()])[0]
        return rules


def read_text(text: str) -> Text:
    """What *text* means.

    Raises:
        BadRule: it cannot be read; it says on which line.
    """
    rules = load(text if "\n" in text else text + "\n")  # what is typed is never the name of a file
    try:
        one = only_alerting(rules)
        threshold, place = threshold_of(one), rules.index(one)
        if not np.isfinite(threshold):
            raise BadRule(f"rule {one.id!r}", "has a threshold that is not finite", "Give a number")
        one.check_plain("a threshold that is turned")
    except (BadRule, BadParameter) as error:
        return Text(text, tuple(rules), why=str(error))
    return Text(text, tuple(rules), place, threshold, one.for_)


def reading_of(text: Text) -> str:
    """The same for rules that read the same: a threshold and a duration change nothing in what is read."""
    return "\n".join(map(str, text.turned(0.0, timedelta(0)) if _turns_free(text) else text.rules))


def _turns_free(text: Text) -> bool:
    """Whether the threshold may be anything: one with ``clear`` must not pass it."""
    try:
        text.turned(0.0, timedelta(0))
    except BadRule:
        return False
    return text.place is not None


@dataclass(frozen=True)
class Judged:
    """What comes of a rule with these numbers."""

    text: Text
    ground: Ground
    threshold: float | None
    hold: timedelta
    alerts: pl.DataFrame
    worth: dict[str, Any] | None = None
    no_worth: str = ""


def judge(text: Text, ground: Ground, threshold: float | None, hold: timedelta) -> Judged:
    """Replay the rules of *text* with other numbers on what was read, as ``cep_simulate`` would."""
    rules = text.turned(threshold, hold)
    turned = text.place is not None and threshold is not None
    alerts, worth = ground.answer(rules, worth=turned)
    if not turned:
        return Judged(text, ground, None, hold, alerts, no_worth=text.why)
    return Judged(text, ground, threshold, hold, alerts, worth)


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def words_of(judged: Judged) -> list[str]:
    """What a rule does to those who are called, in sentences."""
    counts = {status: judged.alerts.filter(pl.col("status") == status).height for status in _STATUSES}
    cis = judged.alerts.filter(pl.col("status") == "fired")["ci_code"].n_unique()
    fired = f"{counted(counts['fired'], 'alert')} fired"
    where = f" on {counted(cis, 'CI')}" if counts["fired"] else ""
    said = [
        f"{fired}{where}, {counts['suppressed']} {'was' if counts['suppressed'] == 1 else 'were'} suppressed in "
        f"maintenance, and {counts['pending_only']} did not last long enough to fire."
    ]
    worth = judged.worth
    if worth is None:
        return [*said, *([f"What it is worth cannot be told: {judged.no_worth}"] if judged.no_worth else [])]
    if worth["pages_per_week"] is not None:
        said.append(f"That is {amount(worth['pages_per_week'], digits=2)} pages a week.")
    known = worth["caught"] + worth["missed"]
    if not known:
        return [*said, "No incident is known of this time, so nothing was there to be caught."]
    lead = worth["lead_time_s"]
    when = "" if lead is None else f" ({_lead(lead)}, the median)"
    said.append(
        f"Of {counted(known, 'incident')} it catches {worth['caught']}{when} and misses {worth['missed']}; "
        f"{counted(worth['needless'], 'alert')} {'is' if worth['needless'] == 1 else 'are'} needless."
    )
    return said


_STATUSES = ("fired", "suppressed", "pending_only")


def _lead(seconds: float) -> str:
    if not seconds:
        return "as it opens"
    return f"{length_text(abs(seconds))} {'before' if seconds > 0 else 'after'} it opens"


def alert_lines(alerts: pl.DataFrame, most: int = 40) -> list[str]:
    """Each alert that fired in a line, the first ones; the rest are counted."""
    fired = alerts.filter(pl.col("status") != "pending_only").sort("fired_at", "ci_code", "rule", "labels")
    lines = []
    for row in fired.head(most).iter_rows(named=True):
        end = "still on" if row["ended_at"] is None else f"until {format_time(row['ended_at'])}"
        lines.append(f"{row['status']} {format_time(row['fired_at'])} {end}: {visible(row['ci_code'] or 'no CI')}")
    if fired.height > most:
        lines.append(f"and {fired.height - most} more")
    return lines


def ranked(levels: Levels, alerts: pl.DataFrame, op: str, threshold: float) -> list[str | None]:
    """The CIs that a rule looks at: those with the most alerts first, then those that came closest to the threshold."""
    fired = alerts.filter(pl.col("status") != "pending_only").group_by("ci_code").len()
    counts = dict(fired.iter_rows())
    best: dict[str | None, float] = {}
    for code, low, high in zip(levels.ci, levels.low, levels.high, strict=True):
        ends = np.concatenate([low, high])
        ends = ends[np.isfinite(ends)]
        if not len(ends):
            margin = -np.inf
        elif op in ("<", "<="):
            margin = threshold - float(ends.min())
        elif op in ("==", "!="):
            margin = -float(np.abs(ends - threshold).min())
        else:
            margin = float(ends.max()) - threshold
        best[code] = max(margin, best.get(code, -np.inf))
    return sorted(best, key=lambda code: (-counts.get(code, 0), -best[code], code or ""))


def slider_of(levels: Levels, threshold: float) -> tuple[float, float, float]:
    """From where to where a slider goes, and its step: what the values reach, in round numbers."""
    ends = np.concatenate([levels.low.ravel(), levels.high.ravel(), [threshold]])
    low, high = float(np.nanmin(ends[np.isfinite(ends)])), float(np.nanmax(ends[np.isfinite(ends)]))
    span = high - low or abs(high) or 1.0
    step = float(10.0 ** np.floor(np.log10(span / 300)))
    low, high = np.floor(low / step) * step, np.ceil((high + span / 20) / step) * step
    digits = max(0, -round(np.log10(step)))
    return round(float(low), digits), round(float(high), digits), round(step, digits)


# ── to take along ───────────────────────────────────────────────────────────────────────────────────────────────────


def kept_text(text: Text, threshold: float | None, hold: timedelta) -> str:
    """*text* with these numbers, and else as it was written.

    Raises:
        BadRule: the rule cannot have them, or they stand where other rules read them too.
    """
    if text.place is None or threshold is None or (threshold, hold) == (text.threshold, text.hold):
        return text.text
    text.turned(threshold, hold)
    return turned_text(text.text, text.place, value=threshold, hold=hold)


def prometheus_of(text: str) -> str:
    """The rule file of Prometheus, or why there is none."""
    try:
        return to_prometheus(text)
    except CiopsError as error:
        return f"# Prometheus has no words for this: {visible(error)}\n"


def code_of(text: str, span: Any) -> str:
    """The Python that asks the same."""
    if _is_plain(text):
        begin = "" if text.startswith("\n") else "\n"
        quoted = f'"""{begin}{text}"""' if text.endswith("\n") else f'"""{begin}{text}\n"""'
    else:
        quoted = repr(text if "\n" in text else text + "\n")
    return f"rule = {quoted}\nalerts = ops.cep_simulate.sync(rule, time_range={str(span)!r})"


def _is_plain(text: str) -> bool:
    """Whether Python reads *text* between three quotes as it is, and a reader sees all of it."""
    return "\\" not in text and '"""' not in text and not text.endswith('"') and visible(text, keep="\n") == text


def near_misses(explained: Any, most: int = 20) -> tuple[list[list[str]], int]:
    """Rows for a table of what did not fire, the nearest first, and how many there are."""
    columns = ("rule", "ci_code", "state", "best", "threshold", "margin", "best_at", "held_s", "needed_s", "part")
    rows = rows_of(explained, dict.fromkeys(columns, True), "explained")
    near = rows.filter(pl.col("part") == "", pl.col("state") != "fired").sort(
        "margin", "ci_code", "rule", descending=[True, False, False], nulls_last=True
    )
    return [_miss(row) for row in near.head(most).iter_rows(named=True)], near.height


NEAR_HEADS = [
    ("CI", "words short"), ("how far", "words short"), ("best value", "number"), ("missing", "number"),
    ("when", "time"), ("held", "words short"), ("has to hold", "words short"),
]  # fmt: skip
_STATES = {"too_short": "held too briefly", "never": "never held", "no_data": "no values"}


def _miss(row: dict[str, Any]) -> list[str]:
    def told(value: float | None, say: Any = amount) -> str:
        return "–" if value is None else say(value)

    margin = row["margin"]
    return [
        row["ci_code"] or "no CI",
        _STATES.get(row["state"], row["state"]),
        told(row["best"]),
        "nothing" if margin is not None and margin >= 0 else told(None if margin is None else -margin),
        "–" if row["best_at"] is None else format_time(row["best_at"]),
        told(row["held_s"], length_text),
        told(row["needed_s"], length_text),
    ]


def numbers_of(threshold: float | None, hold: timedelta) -> str:
    """The numbers of a rule in words."""
    return "as it is" if threshold is None else f"threshold {number(threshold)}, for {spelled(hold)}"


def at_most(lines: Sequence[str], most: int) -> list[str]:
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]
