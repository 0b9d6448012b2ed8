"""Rewards from verdicts: the plan that serves prices what training samples.

Costs in [0, 1] by group of rules, weights λ that are fixed or controlled, one composed reward; in the contracts of
TRL, OpenRLHF and verl. No tensors, and nothing to install.
"""

from policykit.rewards.compose import HALLUCINATION, compose
from policykit.rewards.controllers import Controller, Fixed, Lagrangian, Pid
from policykit.rewards.costs import GRAMMAR, CostModel, Costs, Group, rule_names
from policykit.rewards.frameworks import openrlhf_reward, verl_compute_score, verl_compute_scores
from policykit.rewards.reward import PolicyReward, RewardRow, RolloutMode, check_digests, check_scale
from policykit.rewards.trl import async_reward_function, check_run, metrics, reward_function

__all__ = [
    "GRAMMAR",
    "HALLUCINATION",
    "Controller",
    "CostModel",
    "Costs",
    "Fixed",
    "Group",
    "Lagrangian",
    "Pid",
    "PolicyReward",
    "RewardRow",
    "RolloutMode",
    "async_reward_function",
    "check_digests",
    "check_run",
    "check_scale",
    "compose",
    "metrics",
    "openrlhf_reward",
    "reward_function",
    "rule_names",
    "verl_compute_score",
    "verl_compute_scores",
]
