"""Deployment profiles: under which policies, grammar and limits a request is served, and which key may use which."""

from policykit.profiles.key_file import check_keys, load_keys
from policykit.profiles.keys import Admin, Grant, Keyring, Refused, digest_of_key, new_key, select
from policykit.profiles.load import load_profiles
from policykit.profiles.plans import Plans, check_profiles, plan_for
from policykit.profiles.profile import (
    Best,
    ClientTools,
    Decoding,
    Limits,
    OnRewardError,
    OutputRules,
    Profile,
    ProfileSet,
    Reasoning,
    Retrieval,
    Strategy,
    SystemPrompt,
    Task,
    Tool,
)
from policykit.profiles.reach import check_reach
from policykit.profiles.schema import keys_schema, profile_schema

__all__ = [
    "Admin",
    "Best",
    "ClientTools",
    "Decoding",
    "Grant",
    "Keyring",
    "Limits",
    "OnRewardError",
    "OutputRules",
    "Plans",
    "Profile",
    "ProfileSet",
    "Reasoning",
    "Refused",
    "Retrieval",
    "Strategy",
    "SystemPrompt",
    "Task",
    "Tool",
    "check_keys",
    "check_profiles",
    "check_reach",
    "digest_of_key",
    "keys_schema",
    "load_keys",
    "load_profiles",
    "new_key",
    "plan_for",
    "profile_schema",
    "select",
]
