"""Contract tests for authors of plugins: each function raises AssertionError where a component breaks a rule.

    from pruneframe.testing import check_scorer
    def test_my_scorer():
        check_scorer(MyScorer())

They run on a tiny random network within seconds. `pruneframe plugins check` tells what becomes of every rule.
"""

from .encoding import check_encoding
from .method import check_method
from .objective import check_objective
from .problem import check_problem
from .report import check_report
from .rule import Rule, Verdict
from .scorer import check_scorer
from .small import small_study
from .target import check_target
from .tiny import CLASSES, TinyAttention, TinyNetwork, loaded, make_task, tiny_attention, tiny_problem
from .units import check_units
from .variation import check_variation
from .verdicts import verdicts

__all__ = [
    "CLASSES",
    "Rule",
    "TinyAttention",
    "TinyNetwork",
    "Verdict",
    "check_encoding",
    "check_method",
    "check_objective",
    "check_problem",
    "check_report",
    "check_scorer",
    "check_target",
    "check_units",
    "check_variation",
    "loaded",
    "make_task",
    "small_study",
    "tiny_attention",
    "tiny_problem",
    "verdicts",
]
