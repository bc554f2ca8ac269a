"""The conditions of the rule language: a module for each family, and each known by its field."""

from ciops_nb.cep.conditions.absent import Absent
from ciops_nb.cep.conditions.base import AnyCondition, Condition, Read
from ciops_nb.cep.conditions.baseline import Baseline
from ciops_nb.cep.conditions.counted import Aggregate, Count, Distinct
from ciops_nb.cep.conditions.firing import RuleFires
from ciops_nb.cep.conditions.flapping import Flapping
from ciops_nb.cep.conditions.group import AtLeast, CountOf, Share
from ciops_nb.cep.conditions.logic import AllOf, AnyOf, Not
from ciops_nb.cep.conditions.metric import Metric, Operand, Ratio
from ciops_nb.cep.conditions.promql import Promql
from ciops_nb.cep.conditions.together import Together
from ciops_nb.cep.conditions.topology import Near

__all__ = [
    "KINDS", "AllOf", "AnyCondition", "AnyOf", "AtLeast", "Baseline", "Condition", "Count", "CountOf", "Distinct",
    "Metric", "Near", "Not", "Operand", "Promql", "Ratio", "Read", "RuleFires", "Share", "Together",
]  # fmt: skip

_ALL: tuple[type[Condition], ...] = (
    Metric, Ratio, Baseline, Promql, AllOf, AnyOf, Not, AtLeast, Near, Share, CountOf, RuleFires, Count, Distinct,
    Aggregate, Together, Absent, Flapping,
)  # fmt: skip

KINDS: dict[str, type[Condition]] = {model.KIND: model for model in _ALL}
