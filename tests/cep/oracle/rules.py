"""Random rules of the neutral language on the metrics of ``data``."""

from __future__ import annotations

from random import Random
from typing import Any

__all__ = ["random_rule", "random_rule_of_turns"]

_WINDOWS = ("30s", "1m", "95s", "2m", "5m", "10m", "25m")
_OFFSETS = ("5s", "1m", "5m", "7m30s", "20m")
_AGGREGATES = (
    "count", "min", "max", "sum", "avg", "last", "stddev", "rate", "increase", "p5", "p50", "p95", "p99.9", "p0", "p100",
)  # fmt: skip
_SCALE = {"cpu": 70.0, "mem": 60.0, "errs_total": 400.0, "up": 1.0, "pods": 2.0, "queue": 2.0}
_WHOLE = ("up", "pods", "queue")
_BY = (["ci"], ["service"], ["ci", "zone"], ["job"], ["code", "ci"], [], ["nothing"])
_WHERE: tuple[dict[str, Any], ...] = (
    {"service": "shop"}, {"service": ["shop", ""]}, {"zone": "b\\c"}, {"zone": ["x.y|z", 'say "x"']}, {"ci": ["srv-0", "srv-2"]},
    {"service": ""}, {"code": ["500", "502"]}, {"zone": "größe"}, {"job": "none"},
)  # fmt: skip
_OPS = (">", ">=", "<", "<=", "==", "!=")


def random_rule(random: Random) -> dict[str, Any]:
    rule: dict[str, Any] = {"when": _condition(random, 0)}
    for name in ("for", "keep_firing_for"):
        if random.random() < 0.5:
            rule[name] = random.choice(("0s", "15s", "1m", "100s", "2m", "5m", "10m"))
    if random.random() < 0.2:
        rule["labels"] = {
            "severity": random.choice(
                ("page", "{{ $labels.ci }} of {{ $labels.zone }}", 'a {{ "{{" }}b}} "c"', "größe", "")
            )
        }
    return rule


def random_rule_of_turns(random: Random) -> dict[str, Any]:
    """A rule that takes series of pods, of which a CI has one at a time, for one alert."""
    when: dict[str, Any] = {"metric": "pods", "op": random.choice((">", "<", "!=")), "value": random.randint(0, 2)}
    if random.random() < 0.3:
        when["offset"] = random.choice(_OFFSETS)
    labels = {"pod": random.choice(("", "any"))}
    return {**random_rule(random), "when": when, "labels": labels}


def _condition(random: Random, depth: int) -> dict[str, Any]:
    kind = random.random()
    if depth < 3 and kind < 0.16:
        parts = [_condition(random, depth + 1) for _ in range(random.randint(1, 3))]
        if random.random() < 0.6:
            parts.insert(random.randint(0, len(parts)), {"not": _condition(random, depth + 1)})
        return {"all": parts}
    if depth < 3 and kind < 0.28:
        return {"any": [_condition(random, depth + 1) for _ in range(random.randint(1, 3))]}
    # Conditions within others ask for the same few metrics, so that their series meet.
    metrics = tuple(_SCALE) if depth == 0 else ("cpu", "mem", "cpu", "mem", "queue")
    if kind < 0.42:
        return _ratio(random, metrics)
    metric = random.choice(metrics)
    when = _selection(random, metric)
    return {**when, "op": _op(random, when), "value": _value(random, when)}


def _selection(random: Random, metric: str, reduced: dict[str, Any] | None = None) -> dict[str, Any]:
    """Values of *metric*, put together as *reduced* says (None: as chance has it)."""
    found: dict[str, Any] = {"metric": metric}
    if random.random() < 0.6:
        counter = metric == "errs_total" or random.random() < 0.1
        agg = random.choice(("rate", "increase")) if counter and random.random() < 0.7 else random.choice(_AGGREGATES)
        found |= {"agg": agg, "over": random.choice(_WINDOWS)}
    elif random.random() < 0.1:
        found["agg"] = "last"
    if random.random() < 0.25:
        found["offset"] = random.choice(_OFFSETS)
    if random.random() < 0.25:
        found["where"] = random.choice(_WHERE)
    if reduced is None:
        reduced = _reduced(random) if random.random() < 0.3 else {}
    return found | reduced


def _reduced(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {"reduce": random.choice(("max", "min", "sum", "avg", "count"))}
    if random.random() < 0.9:
        found["by"] = random.choice(_BY)
    return found


def _beside(random: Random, metric: str, reduced: dict[str, Any]) -> dict[str, Any]:
    """A metric whose series have the labels of *metric*'s."""
    other = metric if random.random() < 0.4 else {"cpu": "mem", "mem": "cpu", "queue": "cpu"}.get(metric, metric)
    return _selection(random, other, reduced and {**reduced, "reduce": random.choice(("max", "min", "sum", "avg"))})


def _operand(random: Random, beside: list[dict[str, Any]], reduced: dict[str, Any]) -> dict[str, Any]:
    """A metric to compare with what stands *beside* it."""
    found = _beside(random, beside[0]["metric"], reduced)
    if any(_rounded(one) for one in (*beside, found)):
        return {**found, "times": random.choice((0.500371, 1.100371, 0.930371, -1.000371))}
    if random.random() < 0.5:
        found["times"] = random.choice((0.5, 2, 1.1, 0.93, -1, 0))
    return found


def _rounded(part: dict[str, Any]) -> bool:
    """Whether its values have a last bit on which engines may differ, so that they must not be meant to be equal."""
    exact = ("count", "min", "max", "last", None)
    return part.get("agg") not in exact or part.get("reduce") not in exact


def _ratio(random: Random, metrics: tuple[str, ...]) -> dict[str, Any]:
    above = _selection(random, random.choice(metrics))
    reduced = {name: above[name] for name in ("reduce", "by") if name in above}
    parts = [above, _beside(random, above["metric"], reduced)]
    if random.random() < 0.5:
        parts[1]["times"] = random.choice((0.5, 2, 1.1, 0.93, -1, 0))
    value: Any = random.choice((0.500371, 0.900371, 1.010371, 1.300371, 2.000371))
    if random.random() < 0.2:
        value = _operand(random, [*parts, {"agg": "ratio", "metric": above["metric"]}], reduced)
    elif not any(_rounded(part) for part in parts) and random.random() < 0.5:
        value = random.choice((0, 0.5, 1, 2, -1))
    return {"ratio": parts, "op": random.choice((">", ">=", "<", "<=", "!=")), "value": value}


def _op(random: Random, when: dict[str, Any]) -> str:
    exact = when["metric"] in _WHOLE and not _rounded(when)
    return random.choice(_OPS if exact else (">", "<", ">=", "<=", ">", "<", "!="))


def _value(random: Random, when: dict[str, Any]) -> Any:
    metric, agg = when["metric"], when.get("agg", "last")
    if random.random() < 0.2:
        return _operand(random, [when], {name: when[name] for name in ("reduce", "by") if name in when})
    if random.random() < 0.02:
        return float(random.choice(("inf", "-inf")))
    if agg == "count" or when.get("reduce") == "count":
        return random.randint(0, 12)
    if metric in _WHOLE and not _rounded(when) and random.random() < 0.7:
        return random.randint(-1, 3)
    scale = {"rate": 1 / 100, "increase": 0.5, "sum": 5.0, "stddev": 0.1}.get(agg, 1.0)
    # No sum of whole numbers is exactly this: what rounding does to a last bit makes no difference.
    return round(_SCALE[metric] * scale * random.uniform(0.6, 1.3), 3) + 0.000371
