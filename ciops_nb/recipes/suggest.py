"""From a question in English to the recipes and tools that answer it, with their parameters filled in.

No model: a small table of intents and the words that show them, times, metrics, and mentions of CIs, which are looked
up in the estate. The same question on the same data gives the same answer, and every suggestion says why it is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import polars as pl

from ciops_nb.errors import BadParameter
from ciops_nb.estate.times import format_time
from ciops_nb.recipes.evidence import as_polars, listed

if TYPE_CHECKING:
    from ciops_nb.session import Ops

__all__ = ["SCHEMA", "Times", "read_times", "suggest"]

SCHEMA: dict[str, Any] = {
    "rank": pl.Int64(), "call": pl.String(), "kind": pl.String(), "name": pl.String(), "params": pl.String(),
    "score": pl.Float64(), "reason": pl.String(),
}  # fmt: skip


@dataclass(frozen=True)
class _Intent:
    """What may be wanted: shown by *words* (each once); *takes* names the parameters that are filled in."""

    name: str
    kind: str
    words: frozenset[str]
    takes: tuple[str, ...]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _intent(name: str, kind: str, takes: str, words: str) -> _Intent:
    return _Intent(name, kind, _words(words), tuple(takes.split()))


# What they take is required but for what has a question mark. Of equals the first stands first.
_INTENTS = (
    _intent(
        "triage", "recipe", "ci at",
        """why slow slowly down broken wrong failing failed cause causes caused outage triage errors latency degraded
        unavailable hurting investigate problem""",
    ),
    _intent(
        "what_changed", "recipe", "ci at?",
        """changed change changes changing deployed deployment deployments released release rollout modified patched
        patch different""",
    ),
    _intent(
        "blast_radius", "recipe", "ci at?",
        """impact impacted affected affect affects blast radius fails fail dies breaks hit hurt hurts consequences
        downstream""",
    ),
    _intent(
        "path", "recipe", "source target at?",
        "path paths between connected connect connects link linked links route related way hang",
    ),
    _intent("inventory", "recipe", "", "inventory many count overview summary without"),
    _intent("lookup", "recipe", "text", "which who whose find lookup called means named owner owns"),
    _intent(
        "history_recent", "tool", "ci? time_range?",
        "events event alerts alert history happened maintenance incidents incident log records",
    ),
    _intent(
        "rule_review", "recipe", "rule time_range? ci?",
        "would fired fire rule rules threshold thresholds noisy noise page paged pages alert alerts alerting",
    ),
    _intent("metric_series_table", "tool", "metric ci time_range?", "plot graph chart series values points trend show"),
    _intent(
        "metric_aggregate", "tool", "metric agg ci? time_range?",
        "average mean maximum max minimum min p95 p99 percentile highest lowest",
    ),
    _intent(
        "graph_expand", "tool", "ci view",
        "needs need depends depend dependencies dependency upstream neighbours neighbors around topology",
    ),
    _intent("metric_list", "tool", "ci?", "metrics measured"),
    _intent("ci_search", "tool", "keywords", "search list all"),
    _intent("estate", "tool", "", "estate tables rows"),
)  # fmt: skip
_AGGREGATES = {
    "average": "mean", "mean": "mean", "maximum": "max", "max": "max", "highest": "max", "minimum": "min", "min": "min",
    "lowest": "min", "p95": "p95", "p99": "p99", "percentile": "p95",
}  # fmt: skip
_NO_MENTION = _words(
    """a an the of in on at to from for and or is are was were be been do does did it its this that there with by near
    around before after since until between last past hour hours minute minutes day days week weeks today yesterday now
    when what which who why how where much me show please can could would you i we my our any some about happens happen
    if ci cis system"""
)
_MONTH_NAMES = (
    "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
    "september sep sept", "october oct", "november nov", "december dec",
)  # fmt: skip
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names.split()}
_WORD = re.compile(r"[\w][\w.\-]*")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?")
_CLOCK = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)\b")
_LAST = re.compile(r"\b(?:last|past)\s+(?:(\d+)\s*)?(minute|hour|day|week)s?\b")
_MONTH, _OF_MONTH = f"({'|'.join(_MONTHS)})", r"(\d{1,2})(?:st|nd|rd|th)?"
_DAY = re.compile(rf"\b(?:{_OF_MONTH}\s+(?:of\s+)?{_MONTH}|{_MONTH}\s+{_OF_MONTH})\b(?:,?\s+(\d{{4}}))?")
_ALWAYS = ("at", "keywords", "rule", "text", "view")  # what any question fills in says nothing for an intent
_LIMIT = re.compile(r"(above|over|below|under|exceeds?|than|[<>]=?)\s*(-?\d+(?:\.\d+)?)\b")
_BELOW = ("below", "under")
_HOLD = re.compile(r"\bfor\s+(\d+)\s*(second|minute|hour|s|m|h)s?\b")
_SOME_RULE = "rules.yaml"
_UNITS = {"minute": "m", "hour": "h", "day": "d", "week": "w"}


@dataclass(frozen=True)
class Times:
    """What a question says of time: a moment, a range, and the words that said it."""

    at: datetime | None = None
    time_range: str | None = None
    said: tuple[str, ...] = ()


def read_times(question: str, *, now: datetime, tz: tzinfo) -> Times:
    """The times in *question*; a time of day is of the day that is named, else the latest that has come."""
    text, said = question.lower(), []
    local = now.astimezone(tz)
    if iso := _ISO.search(question):
        raw = iso.group(0)
        said.append(raw)
        moment = datetime.fromisoformat(raw.replace(" ", "T"))
        if len(raw) > 10:
            return Times(moment if moment.tzinfo else moment.replace(tzinfo=tz), None, tuple(said))
        day: date | None = moment.date()
    else:
        day = _named_day(text, local, said)
    if last := _LAST.search(text):
        said.append(last.group(0))
        return Times(None, f"last_{int(last.group(1) or 1)}{_UNITS[last.group(2)]}", tuple(said))
    if clock := _CLOCK.search(text):
        said.append(clock.group(0))
        of_day = time(int(clock.group(1)), int(clock.group(2)))
        moment = datetime.combine(day or local.date(), of_day, tzinfo=tz)
        if day is None and moment > local:
            moment -= timedelta(days=1)
        return Times(moment, None, tuple(said))
    if day is not None:
        return Times(None, day.isoformat(), tuple(said))
    return Times(said=tuple(said))


def _named_day(text: str, local: datetime, said: list[str]) -> date | None:
    for word, back in (("yesterday", 1), ("today", 0)):
        if re.search(rf"\b{word}\b", text):
            said.append(word)
            return (local - timedelta(days=back)).date()
    for found in _DAY.finditer(text):
        first, month, month_too, second, year = found.groups()
        try:
            day = date(int(year or local.year), _MONTHS[month or month_too], int(first or second))
        except ValueError:
            continue
        said.append(found.group(0))
        return day if year or day <= local.date() else day.replace(year=day.year - 1)
    return None


@dataclass(frozen=True)
class _Known:
    """What the question gives to fill parameters with, each with how it was found."""

    values: Mapping[str, Any]
    reasons: Mapping[str, str]
    doubt: Mapping[str, float] = field(default_factory=dict)


async def suggest(ops: Ops, question: str, *, limit: int = 5) -> pl.DataFrame:
    """The recipes and tools that may answer *question*, the best first."""
    if not isinstance(question, str) or not question.strip():
        raise BadParameter("question", question, "asks nothing", 'Such as "what changed near erp db before 10:00?"')
    now = await ops.now()
    times = read_times(question, now=now, tz=ops.tz)
    rest = question
    for said in times.said:
        rest = re.sub(re.escape(said), " ", rest, flags=re.IGNORECASE)
    words = [word.rstrip(".-").lower() for word in _WORD.findall(rest)]
    known = await _known(ops, words, times, now)
    known = _with_rule(known, rest)
    rows = [row for intent in _INTENTS if (row := _row(intent, words, known)) is not None]
    rows.sort(key=lambda row: (-row[4], [intent.name for intent in _INTENTS].index(row[2])))
    if not rows:
        return pl.DataFrame([(1, None, None, None, None, 0.0, _not_understood(words))], schema=SCHEMA, orient="row")
    return pl.DataFrame([(n, *row) for n, row in enumerate(rows[:limit], start=1)], schema=SCHEMA, orient="row")


def _not_understood(words: Sequence[str]) -> str:
    heard = listed([word for word in words if word not in _NO_MENTION]) or "nothing"
    return (
        f"Not understood (heard: {heard}). Ask with a verb and a CI, such as: what changed near erp db before 10:00? "
        "why is app-erp-01 slow? what fails if srv-erp-01 fails?"
    )


async def _known(ops: Ops, words: Sequence[str], times: Times, now: datetime) -> _Known:
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    doubt: dict[str, float] = {}
    metrics = as_polars(await ops.metric_list())["metric"].to_list()
    text = " ".join(words)
    for metric in sorted(metrics, key=len, reverse=True):
        if metric in words or metric.replace("_", " ") in text:
            values["metric"], reasons["metric"] = metric, f"metric {metric}"
            break
    of_metric = set((values.get("metric") or "").split("_")) | {values.get("metric")}
    shown = {word for intent in _INTENTS for word in intent.words}
    left = [word for word in words if word not in _NO_MENTION and word not in of_metric]
    mentions = [mention async for mention in _mentions(ops, left, shown)]
    for name, mention in zip(("ci", "other"), mentions, strict=False):
        code, spoken, others = mention
        values[name] = code
        reasons[name] = f"{spoken!r} is {code}" + (f" or one of {others} others that match" if others else "")
        doubt[name] = 0.2 if others else 0.0
    if len(mentions) > 1:
        values["source"], values["target"] = values["ci"], values["other"]
        reasons["source"], reasons["target"] = reasons["ci"], reasons["other"]
    free = [word for word in left if word not in shown]
    if free:
        values["text"] = values["keywords"] = " ".join(free)
    values["at"] = format_time(times.at if times.at is not None else now)
    reasons["at"] = f"time {times.said[-1]!r}" if times.at is not None else "no time said: now"
    if times.at is not None:
        values["time_range"] = f"PT6H/{format_time(times.at)}"
    elif times.time_range is not None:
        values["time_range"], reasons["time_range"] = times.time_range, f"time {times.said[-1]!r}"
    asked = next((_AGGREGATES[word] for word in words if word in _AGGREGATES), None)
    if asked:
        values["agg"] = asked
    values["view"] = "impact" if {"downstream", "hurts"} & set(words) else "dependency"
    return _Known(values, reasons, doubt)


def _with_rule(known: _Known, text: str) -> _Known:
    rule, reason = _rule(text.lower(), known.values.get("metric"))
    return replace(known, values={**known.values, "rule": rule}, reasons={**known.reasons, "rule": reason})


def _rule(text: str, metric: str | None) -> tuple[str, str]:
    """The rule that *text* tells of, and why it is thought so; a file where it tells none."""
    limit, hold = _LIMIT.search(text), _HOLD.search(text)
    if metric is None or limit is None:
        return _SOME_RULE, f"no rule said: put yours in place of {_SOME_RULE}"
    word, number = limit.groups()
    low = word in _BELOW or re.search(r"\b(less|lower|fewer) than\b", text)
    op = word if word[0] in "<>" else "<" if low else ">"
    lasts = f", for: {hold.group(1)}{hold.group(2)[0]}" if hold else ""
    return f"{{when: {{metric: {metric}, op: '{op}', value: {number}}}{lasts}}}", f"rule {metric} {op} {number}"


async def _mentions(ops: Ops, left: Sequence[str], shown: set[str]) -> AsyncIterator[tuple[str, str, int]]:
    """The CIs that are mentioned, as code, words and how many others match as well: the longest runs that find one."""
    place, found = 0, 0
    while place < len(left) and found < 2:
        for length in range(min(4, len(left) - place), 0, -1):
            run = left[place : place + length]
            if all(word in shown or word.isdigit() or len(word) < 2 for word in run):
                continue
            hits = as_polars(await ops.ci_search(" ".join(run), limit=20))
            if hits.height:
                best = hits.filter(pl.col("score") == hits["score"].max())
                yield best["ci_code"][0], " ".join(run), best.height - 1
                place, found = place + length - 1, found + 1
                break
        place += 1


def _row(intent: _Intent, words: Sequence[str], known: _Known) -> tuple[str, str, str, str, float, str] | None:
    heard = [word for word in dict.fromkeys(words) if word in intent.words]
    if not heard:
        return None
    params: dict[str, Any] = {}
    why = [f"says {listed([repr(word) for word in heard])}"]
    score = min(0.6, 0.3 + 0.15 * len(heard))
    for take in intent.takes:
        name = take.rstrip("?")
        if name in known.values:
            params[name] = known.values[name]
            if name in known.reasons:
                why.append(known.reasons[name])
            score += 0.0 if take.endswith("?") or name in _ALWAYS else 0.2 - known.doubt.get(name, 0.0) / 2
        elif not take.endswith("?"):
            return None
    call = _call(intent, params)
    return call, intent.kind, intent.name, json.dumps(params, sort_keys=True), round(min(1.0, score), 3), "; ".join(why)


def _call(intent: _Intent, params: Mapping[str, Any]) -> str:
    """Python that asks it; every value is quoted as data."""
    given = ", ".join(f"{name}={value!r}" for name, value in params.items())
    if intent.kind == "tool":
        return f"await ops.{intent.name}({given})"
    return f"await ops.run({intent.name!r}{', ' if given else ''}{given})"
