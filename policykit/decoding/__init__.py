"""Sampling under a plan: how a model is made to write what the plan admits, and what that costs."""

from policykit.decoding.engine import Ask, Draw, Engine, Session, Stop
from policykit.decoding.judge import Check
from policykit.decoding.records import preference_pairs, to_line, tuning_rows
from policykit.decoding.result import Answer, Attempt, Budget, Ending, Finish, Sampled
from policykit.decoding.sample import Best, Reward, Settings, sample
from policykit.decoding.steps import Scorer, StepSession
from policykit.decoding.strategy import (
    Auto,
    Block,
    Exact,
    Mask,
    Reject,
    Strategy,
    StrategyName,
    Weighted,
    strategy,
)
from policykit.decoding.table_model import TableModel
from policykit.decoding.together import BatchEngine, BatchScorer, sample_all

__all__ = [
    "Answer",
    "Ask",
    "Attempt",
    "Auto",
    "BatchEngine",
    "BatchScorer",
    "Best",
    "Block",
    "Budget",
    "Check",
    "Draw",
    "Ending",
    "Engine",
    "Exact",
    "Finish",
    "Mask",
    "Reject",
    "Reward",
    "Sampled",
    "Scorer",
    "Session",
    "Settings",
    "StepSession",
    "Stop",
    "Strategy",
    "StrategyName",
    "TableModel",
    "Weighted",
    "preference_pairs",
    "sample",
    "sample_all",
    "strategy",
    "to_line",
    "tuning_rows",
]
