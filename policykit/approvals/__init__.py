"""Approvals by people: bound to the digest of exactly what they approve, signed, distinct, and good for one use."""

from policykit.approvals.approval import Approval, Keys, SignedApproval, issue, parse, verify
from policykit.approvals.canonical import args_digest, canonical, text_digest
from policykit.approvals.decision import decide
from policykit.approvals.requirement import Missing, Reason, Requirement, Satisfied, Why, check, same_person
from policykit.approvals.store import Spent, SpentInFile, SpentInMemory

__all__ = [
    "Approval",
    "Keys",
    "Missing",
    "Reason",
    "Requirement",
    "Satisfied",
    "SignedApproval",
    "Spent",
    "SpentInFile",
    "SpentInMemory",
    "Why",
    "args_digest",
    "canonical",
    "check",
    "decide",
    "issue",
    "parse",
    "same_person",
    "text_digest",
    "verify",
]
