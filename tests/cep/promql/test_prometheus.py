"""Every function and operator against a Prometheus server, cell by cell.

It is 2.42, whose ranges have both ends: no sample lies on the edge of any range here, and no point of a subquery.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from ciops_nb.cep.samples import Grid, Samples
from ciops_nb.errors import BadRule
from tests.cep.promql.given import evaluated
from tests.cep.promql.server import GRID, Server, needs_prometheus

pytestmark = needs_prometheus

WINDOWS = (
    "rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets", "avg_over_time", "min_over_time",
    "max_over_time", "sum_over_time", "count_over_time", "last_over_time", "present_over_time", "stddev_over_time",
    "stdvar_over_time", "absent_over_time",
)  # fmt: skip
MATH = (
    "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "acos", "acosh", "asin", "asinh", "atan",
    "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh", "deg", "rad", "round", "sort", "sort_desc", "timestamp",
    "absent",
)  # fmt: skip
DATES = ("minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year")
REDUCERS = ("sum", "avg", "min", "max", "count", "stddev", "stdvar", "group")
COMPARED = ("==", "!=", ">", ">=", "<", "<=")
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")

EXPRESSIONS = (
    # selectors
    "g", "g{}", 'g{ci="c1"}', 'g{ci!="c1"}', 'g{ci=~"c[1-3]"}', 'g{ci!~"c[1-3]|c5"}', 'g{ci=~"c"}', 'g{none=""}',
    'g{none!=""}', 'g{zone=~"(?i)NORTH"}', r'g{ci=~"c\\d"}', r'g{ci=~"\\w+"}', 'g{ci=~"c1|"}', 'g{none=~".*"}',
    'g{none!~".+", ci="c2"}', '{__name__="g"}', '{__name__=~"g|h"}', '{__name__=~"only_.*"}', 'nothing_here',
    '{ci="c1"}', '{__name__!="g", ci="c1"}', 'g{ci="c1", ci="c2"}',
    "g offset 5m", "g offset -5m", "g offset 17s", "odd", "few",
    "g @ 1772370000", "g @ 1772370000.5 offset 3m", "g @ start()", "g @ end()", "g @ end() - g", "g offset 1m @ start()",
    "rate(c_total[5m] @ 1772370000)", "avg_over_time(g[7m] @ end() offset 2m)",
    "timestamp(g @ 1772370000)", "timestamp(g offset 5m)", "timestamp(g) - time()", "timestamp(g + 0)", "timestamp((g))",
    # names that go or stay
    "-g", "rate({__name__='g'}[5m])", "last_over_time({__name__=~'g|h'}[5m])",
    "sum by (__name__) ({__name__=~'g|h'})", "{__name__=~'g|h'} > 50", "{__name__=~'only_.*'} > bool 0",
    "{__name__=~'g|h'} + 1", "abs({__name__=~'g|h'})", "topk(2, {__name__=~'g|h'})", "sum without (ci) ({__name__=~'g|h'})",
    "count by (zone, __name__) ({__name__=~'g|h'})", "avg_over_time({__name__=~'g|h'}[5m])",
    # scalars
    "1", "-1", "1 + 2 * 3 ^ 2 ^ 0.5", "-2 ^ 2", "7 % 4", "-7 % 4", "1 / 0", "0 / 0", "1 > bool 2", "1 == bool 1", "time()",
    "time() % 3600", "pi()", "scalar(g)", "scalar(g{ci='c1'})", "scalar(g{ci='c1'}) + 1", "vector(1)", "vector(time())",
    "vector(scalar(odd{ci='c1'}))", "1e3", "0x1F", "Inf", "NaN", "-Inf", "2 atan2 3",
    "hour()", "minute()", "day_of_week()", "day_of_month()", "day_of_year()", "days_in_month()", "month()", "year()",
    # functions with parameters
    "clamp(g, 45, 55)", "clamp(odd, 45, 55)", "clamp(g, 55, 45)", "clamp(g, NaN, 45)", "clamp_min(odd, 50)",
    "clamp_max(odd, 50)", "clamp_min(odd, NaN)", "clamp_max(odd, Inf)", "round(g, 5)", "round(neg, 0.1)", "round(odd, 0.5)",
    "clamp(g, scalar(g{ci='c1'}), scalar(g{ci='c2'}))",
    "predict_linear(g[10m], 3600)", "predict_linear(odd[10m], 60)", "predict_linear(flat[10m], 60)",
    "predict_linear(g[10m] offset 5m, 60)", "predict_linear(g[10m], time() - 1772366400)",
    "quantile_over_time(0.9, g[10m])", "quantile_over_time(0.5, odd[10m])", "quantile_over_time(-1, g[10m])",
    "quantile_over_time(2, g[10m])", "quantile_over_time(NaN, g[10m])", "quantile_over_time(scalar(neg{ci='c1'}), g[9m])",
    # absence
    "absent(nothing)", 'absent(nothing{a="b", c=~"d", e="f"})', 'absent(nothing{a="b", a="c"})', "absent(only_a)",
    'absent(g{ci="c9"})', 'absent((nothing{a="b"}))', "absent(sum(nothing))", "absent(g > 1000)",
    'absent_over_time(only_a{ci="x"}[5m])', "absent_over_time(nothing[5m])", 'absent_over_time(nothing{a="b"}[5m])',
    'absent_over_time(only_a{ci="x"}[5m:1m] offset 30s)', 'absent(only_a{ci="x"} offset 5m)', 'absent(nothing{a=""})',
    # aggregations
    "topk(2, g)", "topk(3, odd)", "bottomk(2, odd)", "topk by (zone) (1, g)", "bottomk by (zone) (2, g)", "topk(0, g)",
    "topk(-1, g)", "topk(2.9, g)", "topk without (ci) (1, g)", "topk(scalar(neg{ci='c1'}) * 3, g)", "bottomk(100, g)",
    "quantile(0.9, g)", "quantile by (zone) (0.5, odd)", "quantile(-1, g)", "quantile(1.1, g)", "quantile(NaN, g)",
    "quantile(scalar(neg{ci='c1'}), g)", 'count_values("v", few)', 'count_values by (zone) ("v", few)',
    'count_values without (ci) ("v", few)', 'count_values without (ci, v) ("v", few)', 'count_values("ci", few)',
    'count_values("v", odd * 0)', 'count_values("v", few / 4)', 'count_values("v", few * 1e21)', 'count_values("v", few / 1e7)',
    "sum(sum by (zone) (g))", "sum by (none) (g)", "sum by (zone, none) (g)", "avg without (zone, ci) (g)",
    "sum(g) by (zone)", "max(nothing)", "count(g > 50)", "stddev(flat)", "stdvar(flat)", "avg(flat)", "avg(odd)",
    # labels
    'label_replace(g, "to", "$1-$2", "ci", "(c)(.*)")', 'label_replace(g, "to", "x", "ci", "c1")',
    'label_replace(g, "ci", "", "zone", "north")', 'label_replace(g, "to", "$$1", "ci", "(.*)")',
    'label_replace(g, "to", "${a}x$b", "ci", "(?P<a>c)(?P<b>.*)")', 'label_replace(g, "to", "$1x", "ci", "(.*)")',
    'label_replace(g, "to", "$", "ci", ".*")', 'label_replace(g, "to", "$0", "ci", ".*")', 'label_replace(g, "to", "$9", "ci", ".*")',
    'label_replace(g, "to", "new", "none", "")', 'label_replace(g, "to", "$1", "__name__", "(.*)")',
    'label_replace({__name__=~"g|h"}, "__name__", "new_$1", "__name__", "(.*)")',
    'label_replace(label_replace(g, "ci", "$1", "ci", "(c).*"), "ci", "x", "zone", "north")',
    'label_join(g, "to", "-", "ci", "zone")', 'label_join(g, "to", "-", "ci", "none", "zone")', 'label_join(g, "to", "-")',
    'label_join(g, "ci", "-", "zone", "ci")', 'label_join(g, "zone", "")',
    # histograms
    "histogram_quantile(0.9, b_bucket)", "histogram_quantile(0.1, b_bucket)", "histogram_quantile(0, b_bucket)",
    "histogram_quantile(1, b_bucket)", "histogram_quantile(-1, b_bucket)", "histogram_quantile(2, b_bucket)",
    "histogram_quantile(NaN, b_bucket)", "histogram_quantile(0.5, sum by (le) (b_bucket))", "histogram_quantile(0.5, g)",
    "histogram_quantile(0.7, rate(b_bucket[5m]))", "histogram_quantile(scalar(neg{ci='c1'}), b_bucket)",
    "histogram_quantile(0.5, b_bucket * (b_bucket / b_bucket))",
    # subqueries
    "max_over_time(rate(c_total[5m])[10m30s:1m])", "avg_over_time(g[10m30s:])", "sum_over_time(sum(g)[7m30s:30s] offset 15s)",
    "rate(c_total[10m30s:40s] offset 5s)", "max_over_time(max_over_time(g[5m30s:1m])[10m30s:2m] offset 15s)",
    "last_over_time(g[5m30s:1m])", "count_over_time((g > 50)[20m30s:1m])", "max_over_time(g[10m30s:1m] @ 1772370000)",
    "max_over_time(time()[5m30s:1m])", "sum_over_time(vector(time())[5m30s:1m])", "min_over_time(absent(only_a)[5m30s:1m])",
    "deriv(sum(g)[10m30s:1m])", "avg_over_time(timestamp(g)[5m30s:1m])", "max_over_time(g[10m30s:1m] offset -5m)",
    "max_over_time((g @ 1772370000)[10m30s:1m])", "stddev_over_time((g * 2)[9m30s:1m])", "last_over_time({__name__=~'g|h'}[5m30s:])",
    "quantile_over_time(0.3, (odd > 0)[9m30s:1m])", "max_over_time(hour()[3m30s:1m])",
    # set operators
    "g and h", "g or h", "g unless h", "g and on (ci) few > 1", "g and on () vector(1)", "g unless on (zone) g{zone='north'}",
    "g or on (zone) h", "g or on () h", "g and ignoring (zone) info", "g and ignoring (owner, zone) info", "only_a or only_b",
    "(g > 50) or (h > 60)", "g or vector(0)", "sum(nothing) or vector(0)", "(g > 55) or on (ci) (h) unless few > 2",
    "g and (h > 50) or few", "{__name__=~'g|h'} and on (__name__, ci) h", "vector(1) unless g", "g or g", "(few == 1) or (few == 2)",
    # matching
    "g + on (ci, zone) h", "g + on (ci) h", "g * on (ci) group_left (owner) info", "info * on (ci) group_right (owner) g",
    "g * on (ci) group_left info", "g * ignoring (zone, owner) group_left (owner) info", "info + on (owner) group_left h",
    "c_total / on (ci) group_left sum by (ci) (c_total)", "sum by (ci) (c_total) / on (ci) group_right c_total",
    "c_total / ignoring (code) group_left sum by (ci) (c_total)", "g > on (ci) h", "g > ignoring (zone) h", "g > bool on (ci) h",
    "few == few", "few != on (ci) group_left (owner) info", "few >= bool on (ci) group_left (owner) info", "g + h + few",
    "g * on (ci) group_left (zone) info", "info < on (ci) group_right few", "info < bool on (ci) group_right (owner) few",
    "c_total + c_total", "c_total > on (ci) c_total", "churn + on (ci) only_a", "churn - on (ci) group_left (pod) only_a",
    "only_a + on (ci) churn", "only_a + on (ci) group_left (pod) churn", "sum(g) + sum(h)", "sum(g) / count(g) > 50",
    "g + on (zone) h", "g + on (zone) group_left h", "info * on (owner) info", "nothing + on (zone) g", "g + on (zone) nothing",
    "g / on (zone) group_left sum by (zone) (g)", "g + on () group_left sum(h)", "g * on (ci) group_left (ci2) info",
    "g{ci='c1'} * on (none) group_left (owner) info{ci='c1'}", "{__name__=~'g|h'} + on (ci) few", "few + on (ci) {__name__=~'only_.*'}",
    'g * on (ci) group_left (__name__) info', "min(g) == min(g)", "few > on (ci) group_left (owner) info", "g == g",
    "(g > 50) + on (zone) (h > 75)", "-few + few", "- - few", "g > h > 50", "g + (h > bool 50)", "few ^ few", "odd + odd", "odd * 0 == 0",
)  # fmt: skip
SAME = tuple(
    dict.fromkeys(
        (
            *EXPRESSIONS,
            *(f"{name}({metric}[{over}])" for name in WINDOWS for metric in ("g", "odd", "c_total", "few", "flat") for over in ("1m", "7m")),
            *(f"{name}({metric})" for name in MATH for metric in ("neg", "odd")),
            *(f"{name}({metric})" for name in DATES for metric in ("seconds", "time() * vector(1)")),
            *(f"{name}{by} ({metric})" for name in REDUCERS for by in ("", " by (zone)", " without (ci)") for metric in ("g", "odd", "few")),
            *(f"{a} {op} {b}" for op in (*ARITHMETIC, *COMPARED) for a, b in (("few", "1"), ("1", "few"), ("odd", "h"), ("few", "g"))),
            *(f"{a} {op} bool {b}" for op in COMPARED for a, b in (("few", "1"), ("1", "few"), ("odd", "h"), ("few", "g"))),
            *(f"{a} {op} {b}" for op in ARITHMETIC for a in ("-3", "0", "NaN") for b in ("2", "0.5", "Inf")),
        )
    )
)  # fmt: skip


PATTERNS = (
    "a", "a.*", "a|b", "(a|b)+", "[ab]*", "[^a]", "[^a]*", r"\d", r"\d+", r"\D", r"\w+", r"\W+", r"\s", r"a\sb", r"\S+",
    r"a\b.*", r"a\B.*", "x{2}", "x{2,}", "x{,2}", "x{", "{", "}", "x}", r"x\{2\}", "[", "[]]", "[]a]", "[^]a]", "[a",
    "a]", "]", r"[\[\]]", "[a&&b]+", "[&]+", "a&&b", "[a~~b]", "[~]", "[a-]", "[-a]", "[--]+", "[a-c]+", "[a--b]",
    "[c-a]", "(?i)a", "(?i:k)", "(?i)s", "(?i)ä", "(?s).", "(?m)^a$", "(?U)a+", "(?x)a b", "(?u)a", "(?R)a", "(?-i)a",
    "(?i-s:A).*", "(?P<n>a)", "(?=a)", "(?!a).", "(?<=a)b", "(?>a)", "(?#c)a", r"(a)\1", "a**", "a+*", "a+?", "a*?b",
    "a??", "a???", "a{2}{3}", "a{1001}", "a{1000}", "a{2}?b", "*a", "+", "?", "(|a)", "()", "a||b", "^a", "a$", "^",
    "$", r"\Aa\z", r"a\Z", "^*", r"\pL+", r"\p{L}+", r"\p{Greek}", r"\PL", r"\p{Lu}", r"\p{Foo}", "[[:alpha:]]+",
    "[[:digit:]a]+", "[[:^alpha:]]", "[[:word:]]+", "[[:foo:]]", "[:alpha:]", r"[\d]+", r"[^\d]", r"[\D]", r"[^\D]+",
    r"[\w.]+", r"[\s]", r"[^\W]+", r"[\w-]+", r"[a\-b]+", r"\x41", r"\x{41}", r"\x{e4}b?", r"\u0041", r"\8", r"\t",
    r"a\tb", r"\e", r"\g", r"\y", r"\_", r"\-", r"\/", r"\ ", r"\#", r"\&", r"\~", r"\<", r"\>", r"\%", r"\@", r"\'",
    r"\`", r"\ä", r"\C", r"\X", r"\R", r"\h", r"\K", r"\G", r"\N", "ä?b", "[ä]", "[à-ü]", ".", "..", ".+", "日.", "a#.*",
    "a b", "(a", "a)", "(?i", "(?", "(?:a|b)*", "(a*)*!", "(a|a)*!", "(a+)+!", "[a-z&&[^b]]", "[a[b]]", r"[\b]",
    r"[\x41-\x43]", r"[\p{Lu}]", r"[\pL\d]+", "[^^]", "[$]", "[|]", "[(]", "[*]", "a{0}", "a{0,1}", "a{3,2}", "a{,}",
    "{1}", "a{1}*", r"\b", r"\B.", "(?i:A)B?", "a.b", r"a\.b", r"\.", "[.]+", "(?:)", "(?-)a", "(?i)(?-i)a", r"\v",
    r"\a", r"\f", r"\n",
)  # fmt: skip

# The library refuses these before we see them; Prometheus reads them.
NOT_READ = ("[[]", r"\p{^Lu}", r"\Qa.b\E", r"\041", "(?)a", "(?P<n>a)(?P<n>b)")


def escaped(pattern: str) -> str:
    return pattern.replace("\\", "\\\\").replace('"', '\\"')


# A rule is evaluated at each tick alone. A query over a range minds two series of the same labels even where they are
# never there together, and predicts from other samples than those at "@".
RULED = (
    "-{__name__=~'only_.*'}", "rate({__name__=~'only_.*'}[5m])", "abs({__name__=~'only_.*'})", "{__name__=~'g|h'} * 2",
    "predict_linear(g[7m] @ end(), 60)", "g @ start()", "g @ end() - g",
    "rate(c_total[5m] @ end())", "avg_over_time(g[7m30s:1m] @ start())", "max_over_time(g[7m30s:] @ end() offset 1m)",
    "timestamp(g @ end() offset 1m)", "sum(rate(c_total[5m])) by (ci) > 1", "absent(only_a)", "topk(1, few)", "time()",
    "churn + on (ci) only_a", "only_a + on (ci) group_left (pod) churn", 'label_replace(churn, "pod", "", "", "")',
    'count_values("v", few)', "label_replace({__name__=~'only_.*'}, 'a', '$1', '__name__', 'only_(.*)')",
)  # fmt: skip


def close(ours: float, theirs: float) -> bool:
    return (
        ours == theirs
        or (math.isnan(ours) and math.isnan(theirs))
        or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
    )


def differences(ours: dict[Any, dict[int, float]], theirs: dict[Any, dict[int, float]]) -> list[Any]:
    found = []
    for labels in sorted({*ours, *theirs}):
        a, b = ours.get(labels, {}), theirs.get(labels, {})
        for tick in sorted({*a, *b}):
            if tick not in a or tick not in b or not close(a[tick], b[tick]):
                found.append((dict(labels), tick, a.get(tick), b.get(tick)))
    return found


def ours(text: str, known: list[Samples]) -> dict[Any, dict[int, float]] | str:
    span = (GRID.start, GRID.start + (GRID.count - 1) * GRID.step)
    try:
        return evaluated(text, known, GRID, chunk=50, span=span, named=True)
    except BadRule as error:
        return str(error)


@pytest.mark.parametrize("text", SAME)
def test_values_are_those_of_prometheus(prometheus: Server, known: list[Samples], text: str) -> None:
    theirs, found = prometheus.answer(text), ours(text, known)

    if " atan2 " in text and isinstance(theirs, dict):  # 2.42 leaves the name there, which was a fault
        theirs = {tuple(pair for pair in labels if pair[0] != "__name__"): row for labels, row in theirs.items()}
    if isinstance(theirs, str) or isinstance(found, str):
        assert isinstance(theirs, str) == isinstance(found, str), (found, theirs)
    else:
        assert [] == differences(found, theirs)[:5]


@pytest.mark.parametrize("text", RULED)
@pytest.mark.parametrize("tick", [0, 33, 58, 70, 119])
def test_at_one_tick_as_a_rule(prometheus: Server, known: list[Samples], text: str, tick: int) -> None:
    theirs = prometheus.ruled(text, tick)
    grid = Grid(GRID.start + tick * GRID.step, GRID.step, 1)
    try:
        found: Any = {labels: {tick: row[0]} for labels, row in evaluated(text, known, grid, named=True).items()}
    except BadRule as error:
        found = str(error)

    if isinstance(theirs, str) or isinstance(found, str):
        assert isinstance(theirs, str) == isinstance(found, str), (found, theirs)
    else:
        assert [] == differences(found, theirs)


def test_what_a_rule_asks_of_a_moment_before_it_is_known(prometheus: Server, known: list[Samples]) -> None:
    text, tick = "predict_linear(g[7m] @ 1772370000, 60)", 119
    found = evaluated(text, known, Grid(GRID.start + tick * GRID.step, GRID.step, 1), named=True)

    assert [] == differences({labels: {tick: row[0]} for labels, row in found.items()}, prometheus.ruled(text, tick))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_are_those_of_prometheus(prometheus: Server, known: list[Samples], pattern: str) -> None:
    for text in (
        f'words{{w=~"{escaped(pattern)}"}}',
        f'words{{w!~"{escaped(pattern)}"}}',
        f'label_replace(words, "to", "<$1>", "w", "{escaped(pattern)}")',
    ):
        grid = Grid(GRID.start, GRID.step, 1)
        theirs = prometheus.answer(text, grid)
        try:
            found: Any = evaluated(text, known, grid, named=True)
        except BadRule as error:
            found = str(error)
        if isinstance(theirs, str) or isinstance(found, str):
            assert isinstance(theirs, str) == isinstance(found, str), (found, theirs)
        else:
            assert [] == differences(found, theirs)


@pytest.mark.parametrize("pattern", NOT_READ)
def test_pattern_that_the_library_does_not_read_is_refused(known: list[Samples], pattern: str) -> None:
    with pytest.raises(BadRule, match="cannot be used"):
        evaluated(f'words{{w=~"{escaped(pattern)}"}}', known, GRID)
