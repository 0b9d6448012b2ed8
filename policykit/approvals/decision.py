"""The whole way of signed approvals: verified, checked and used, once."""

from collections.abc import Iterable
from datetime import datetime

from policykit.approvals.approval import Approval, Keys, SignedApproval, verify
from policykit.approvals.requirement import Missing, Reason, Requirement, Satisfied, Why, check
from policykit.approvals.store import Spent
from policykit.diagnostics import PolicyError


def decide(
    requirement: Requirement,
    signed: Iterable[SignedApproval],
    requester: str | None,
    digest: str,
    at: datetime,
    *,
    keys: Keys,
    store: Spent,
) -> Satisfied | Missing:
    """Whether approvals satisfy a requirement; those that count are used up by it. One that is forged, or signed
    with an unknown key, counts for nothing.

    Where somebody else uses one of them at the same time, the rest is tried without it. Raises PolicyError where a
    key is too short (PK083) or the store cannot be used (PK084).
    """
    genuine: list[Approval] = []
    forged: list[Reason] = []
    for one in signed:
        if one.key_name not in keys:
            forged.append(Reason(Why.UNKNOWN_KEY, one.approval.user))
            continue
        try:
            genuine.append(verify(one, keys))
        except PolicyError as error:
            if error.diagnostics[0].code != "PK081":
                raise
            forged.append(Reason(Why.FORGED, one.approval.user))
    nonces = [approval.nonce for approval in genuine]
    for _ in range(len(genuine) + 1):  # every lost race takes at least one approval away
        found = check(requirement, genuine, requester, digest, at, store.among(nonces))
        if isinstance(found, Missing):
            return Missing((*forged, *found.reasons))
        if store.spend(found.approvals, at):
            return found
    raise PolicyError.of("PK084", "the store of spent approvals contradicts itself", help="use a store that is whole")
