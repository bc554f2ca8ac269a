"""PromQL, evaluated over all ticks at once.

``parse`` reads an expression, ``compiled`` makes of it a part that gives values at ticks, ``names`` and ``needs`` say
what it reads. The library reads the text; what the words mean is written here, after Prometheus: left-open ranges as of
version 3 (but for subqueries, which see their oldest point as in 2.42), arithmetic as of 2.42.
"""

from ciops_nb.cep.promql.compiling import Find, Need, compiled, exact, names, needs
from ciops_nb.cep.promql.parts import Part
from ciops_nb.cep.promql.reading import parse
from ciops_nb.cep.promql.tree import Expr, Matcher

__all__ = ["Expr", "Find", "Matcher", "Need", "Part", "compiled", "exact", "names", "needs", "parse"]
