"""The patterns of the rule language: what is found at moments of its own."""

from ciops_nb.cep.patterns.base import Pattern
from ciops_nb.cep.patterns.schedule import Schedule
from ciops_nb.cep.patterns.sequence import Sequence, Step

__all__ = ["Pattern", "Schedule", "Sequence", "Step"]
