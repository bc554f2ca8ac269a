"""The functions of a window: ``rate`` and its kin. Each takes ``Windows`` and gives a value for each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ciops_nb.cep.promql.selecting import Windows
from ciops_nb.cep.samples import Bools, Floats, Ints, aggregate, in_matrix, quantiles

__all__ = ["LEAST", "WINDOWS"]


def _aggregated(agg: str) -> Callable[[Windows], Floats]:
    return lambda w: aggregate(w.seen, agg, w.low, w.high, w.edge)


def _last_two(w: Windows) -> tuple[Floats, Floats, Floats]:
    """The last sample but one, the last, and the seconds between them."""
    last, before = w.high - 1, w.high - 2
    return w.value[before], w.value[last], (w.seen.ts[last] - w.seen.ts[before]) / 1e6


def _irate(w: Windows) -> Floats:
    before, last, seconds = _last_two(w)
    grown: Floats = np.where(last < before, last, last - before)  # a counter starts again from nothing
    return grown / seconds


def _idelta(w: Windows) -> Floats:
    before, last, _ = _last_two(w)
    return last - before


def _steps(w: Windows, happened: Bools) -> Floats:
    """How many of the steps inside each window *happened*; a step belongs to the later of its two samples."""
    counted = np.concatenate([np.zeros(1, np.int64), np.cumsum(happened, dtype=np.int64)])
    found: Ints = counted[w.high] - counted[w.low + 1]
    return found.astype(np.float64)


def _changes(w: Windows) -> Floats:
    value = w.value
    changed = np.zeros(len(value), dtype=np.bool_)
    changed[1:] = (value[1:] != value[:-1]) & ~(np.isnan(value[1:]) & np.isnan(value[:-1]))
    return _steps(w, changed)


def _resets(w: Windows) -> Floats:
    fell = np.zeros(len(w.value), dtype=np.bool_)
    fell[1:] = w.value[1:] < w.value[:-1]
    return _steps(w, fell)


def _quantile_over(w: Windows) -> Floats:
    (share,) = w.given
    inner = np.where((share >= 0) & (share <= 1), share, 0.0)
    found = in_matrix(w.value, w.low, w.high, lambda rows, held, some: quantiles(rows, held, inner[some]))
    within: Floats = np.select([np.isnan(share), share < 0, share > 1], [np.nan, -np.inf, np.inf], found)
    return within


def _ones(w: Windows) -> Floats:
    return np.ones(len(w.low))


# ── straight lines ──────────────────────────────────────────────────────────────────────────────────────────────────


def _deriv(w: Windows) -> Floats:
    return w.seen.lines.of(w.low, w.high, w.edge, w.edge)[0]


def _predict(w: Windows) -> Floats:
    # The line is that of the samples where they are; the window may have been moved.
    slope, height = w.seen.lines.of(w.low, w.high, w.edge, w.now + w.seen.offset)
    return slope * w.given[0] + height


WINDOWS: dict[str, Callable[[Windows], Floats]] = {
    "rate": _aggregated("rate"),
    "increase": _aggregated("increase"),
    "delta": _aggregated("delta"),
    "irate": _irate,
    "idelta": _idelta,
    "deriv": _deriv,
    "predict_linear": _predict,
    "changes": _changes,
    "resets": _resets,
    "avg_over_time": _aggregated("avg"),
    "min_over_time": _aggregated("min"),
    "max_over_time": _aggregated("max"),
    "sum_over_time": _aggregated("sum"),
    "count_over_time": _aggregated("count"),
    "last_over_time": _aggregated("last"),
    "present_over_time": _ones,
    "stddev_over_time": _aggregated("stddev"),
    "stdvar_over_time": _aggregated("variance"),
    "quantile_over_time": _quantile_over,
}
LEAST = dict.fromkeys(("rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear"), 2)
"""How many samples a window must have for a function to give anything."""
