"""The samples that rules see: those that were measured, and those that rules recorded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ciops_nb.cep.samples import Labels, Samples
from ciops_nb.errors import BadRule

if TYPE_CHECKING:
    from ciops_nb.cep.promql import Matcher

__all__ = ["Reader", "Store"]

_NAME = "__name__"


class Store:
    """Samples by metric; *measured* reads those of one metric, of which *metrics* are the names."""

    def __init__(self, measured: Callable[[str], Samples], metrics: Iterable[str]) -> None:
        self._measured, self._metrics = measured, sorted(metrics)
        self._recorded: dict[str, list[tuple[int, Samples]]] = {}

    def record(self, samples: Samples, place: int) -> None:
        """Keep what the rule at *place* recorded."""
        self._recorded.setdefault(samples.metric, []).append((place, samples))

    def metrics(self) -> list[str]:
        return sorted({*self._metrics, *self._recorded})

    def of(self, metric: str, place: int) -> list[Samples]:
        """The samples of *metric* as the rule at *place* sees them: of later rules, what they recorded a tick ago."""
        found = [self._measured(metric)] if metric in self._metrics or metric not in self._recorded else []
        for recorder, samples in self._recorded.get(metric, []):
            found.append(dataclasses.replace(samples, late=True) if recorder >= place else samples)
        known: set[Labels] = set()
        for samples in found:
            twice = known.intersection(samples.labels)
            if twice:
                text = json.dumps(dict(sorted(twice)[0]), sort_keys=True)
                raise BadRule(
                    f"record {metric!r}", f"there is a series {text} already", "Give it another name or a label"
                )
            known.update(samples.labels)
        return found


class Reader:
    """The samples as the rule at *place* sees them."""

    def __init__(self, store: Store, place: int) -> None:
        self._store, self._place = store, place
        self._chosen: dict[tuple[str, str], Samples] = {}

    def find(self, metric: str, where: dict[str, tuple[str, ...]]) -> Samples:
        """Those of a metric whose labels are as *where* says."""
        key = (metric, json.dumps(where, sort_keys=True))
        if key not in self._chosen:
            whole = _one(metric, self._store.of(metric, self._place))
            self._chosen[key] = _where(whole, where) if where else whole
        return self._chosen[key]

    def matching(self, matchers: Sequence[Matcher]) -> list[Samples]:
        """Those of every metric whose name *matchers* accept."""
        named = [one for one in matchers if one.name == _NAME]
        exact = [one.value for one in named if one.op == "="]
        metrics = exact[:1] or self._store.metrics()
        fits = [metric for metric in metrics if all(one.accepts([metric])[0] for one in named)]
        return [samples for metric in fits for samples in self._store.of(metric, self._place)]


def _one(metric: str, found: list[Samples]) -> Samples:
    if len(found) == 1:
        return found[0]
    if len({samples.late for samples in found}) > 1:
        raise BadRule(
            f"metric {metric!r}", "is recorded by rules before and after one that reads it", "Put both before it"
        )
    if any(samples.known is not None for samples in found):
        raise BadRule(
            f"metric {metric!r}", "is recorded by a rule, and samples of it came in late", "Give it another name"
        )
    labels = sorted(one for samples in found for one in samples.labels)
    number = {one: place for place, one in enumerate(labels)}
    series = np.concatenate([np.array([number[one] for one in each.labels], np.int64)[each.series] for each in found])
    ts, value, stale = (np.concatenate([getattr(each, name) for each in found]) for name in ("ts", "value", "stale"))
    order = np.lexsort((ts, series))
    return Samples(metric, tuple(labels), series[order], ts[order], value[order], stale[order], found[0].late)


def _where(samples: Samples, where: dict[str, tuple[str, ...]]) -> Samples:
    return samples.of(
        [all(dict(one).get(name, "") in texts for name, texts in where.items()) for one in samples.labels]
    )
