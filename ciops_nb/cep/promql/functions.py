"""The functions that look at one value or at the clock, and the names of all that are evaluated here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ciops_nb.cep.promql.windows import WINDOWS
from ciops_nb.cep.samples import Floats, Ints

__all__ = ["DATES", "FUNCTIONS", "MATH", "clamped", "greatest", "least", "rounded"]


def greatest(a: Floats, b: Floats) -> Floats:
    """Go's math.Max: infinity wins even over NaN."""
    found: Floats = np.where((a == np.inf) | (b == np.inf), np.inf, np.maximum(a, b))
    return found


def least(a: Floats, b: Floats) -> Floats:
    """Go's math.Min: infinity wins even over NaN."""
    found: Floats = np.where((a == -np.inf) | (b == -np.inf), -np.inf, np.minimum(a, b))
    return found


def clamped(value: Floats, low: Floats, high: Floats) -> Floats:
    return greatest(low, least(high, value))


def rounded(value: Floats, nearest: Floats) -> Floats:
    """To a multiple of *nearest*, halves up."""
    inverse = 1.0 / nearest
    found: Floats = np.floor(value * inverse + 0.5) / inverse
    return found


def _sign(value: Floats) -> Floats:
    found: Floats = np.where(value < 0, -1.0, np.where(value > 0, 1.0, value))
    return found


def _degrees(value: Floats) -> Floats:
    return value * 180 / np.pi


def _radians(value: Floats) -> Floats:
    return value * np.pi / 180


MATH: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sgn": _sign,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "cos": np.cos,
    "cosh": np.cosh,
    "sin": np.sin,
    "sinh": np.sinh,
    "tan": np.tan,
    "tanh": np.tanh,
    "deg": _degrees,
    "rad": _radians,
}

# ── dates ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_LAST_YEAR = 250_000_000_000 * 31_556_952  # what numpy's dates of seconds hold


def _dated(of: Callable[[Ints], Ints]) -> Callable[[Floats], Floats]:
    """*of* the whole seconds since 1970 of each value; NaN for what is no time."""

    def dated(value: Floats) -> Floats:
        timely = np.abs(value) < _LAST_YEAR  # false for NaN
        found: Floats = np.where(timely, of(np.trunc(np.where(timely, value, 0.0)).astype(np.int64)), np.nan)
        return found

    return dated


def _since(seconds: Ints, unit: str, start: str) -> Ints:
    """How many of *unit* have begun since the *start* of the month, year, ..."""
    moments = seconds.view("M8[s]")
    found: Ints = (moments.astype(f"M8[{unit}]") - moments.astype(f"M8[{start}]")).astype(np.int64)
    return found


def _year(seconds: Ints) -> Ints:
    found: Ints = seconds.view("M8[s]").astype("M8[Y]").astype(np.int64) + 1970
    return found


def _days_in_month(seconds: Ints) -> Ints:
    months = seconds.view("M8[s]").astype("M8[M]")
    found: Ints = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
    return found


DATES: dict[str, Callable[[Floats], Floats]] = {
    "minute": _dated(lambda seconds: seconds // 60 % 60),
    "hour": _dated(lambda seconds: seconds // 3600 % 24),
    "day_of_week": _dated(lambda seconds: (seconds // 86400 + 4) % 7),  # 1970 began on a Thursday; Sunday is 0
    "day_of_month": _dated(lambda seconds: _since(seconds, "D", "M") + 1),
    "day_of_year": _dated(lambda seconds: _since(seconds, "D", "Y") + 1),
    "days_in_month": _dated(_days_in_month),
    "month": _dated(lambda seconds: _since(seconds, "M", "Y") + 1),
    "year": _dated(_year),
}

FUNCTIONS = frozenset(
    (
        *WINDOWS, *MATH, *DATES, "absent", "absent_over_time", "clamp", "clamp_max", "clamp_min", "histogram_quantile",
        "label_join", "label_replace", "pi", "round", "scalar", "sort", "sort_desc", "time", "timestamp", "vector",
    )
)  # fmt: skip
