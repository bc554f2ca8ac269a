"""The patterns of the rule language: what is found at moments of its own."""

from ciops_nb.cep.patterns.base import Pattern
from ciops_nb.cep.patterns.occurrence import Occurrence
from ciops_nb.cep.patterns.schedule import Schedule
from ciops_nb.cep.patterns.sequence import Sequence, Step
from ciops_nb.cep.patterns.topology import CommonUpstream, NearPairs

__all__ = ["CommonUpstream", "NearPairs", "Occurrence", "Pattern", "Schedule", "Sequence", "Step"]
