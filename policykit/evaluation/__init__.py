"""Evaluation of models and of texts: how often rules are broken, how well the task is done, and what training changed.

Statistics, judging and reports are functions of values and need no torch; writing answers and scoring them does.
"""

from policykit.evaluation.citing import citations_by
from policykit.evaluation.examples import Data, Pair, read_answers, read_pairs, read_prompts
from policykit.evaluation.limits import limits_exceeded, share_of
from policykit.evaluation.measure import Job, Measured, measure
from policykit.evaluation.results import Made, Results, Row, Saved, read, save
from policykit.evaluation.writing import Progress, Settings

__all__ = [
    "Data",
    "Job",
    "Made",
    "Measured",
    "Pair",
    "Progress",
    "Results",
    "Row",
    "Saved",
    "Settings",
    "citations_by",
    "limits_exceeded",
    "measure",
    "read",
    "read_answers",
    "read_pairs",
    "read_prompts",
    "save",
    "share_of",
]
