"""Whether approvals satisfy a requirement: pure, and every approval that does not count says why."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from policykit.approvals.approval import Approval
from policykit.diagnostics import PolicyError

USER = "user"


@dataclass(frozen=True, slots=True)
class Requirement:
    """``count`` approvals of people who hold ``role``, who are different people and differ in ``distinct_by`` too
    (`user`, or an attribute), none of them the requester where ``not_requester``, none older than ``ttl_s`` seconds.

    Raises PolicyError (PK085) where nothing could satisfy it.
    """

    role: str
    count: int = 1
    distinct_by: str = USER
    not_requester: bool = False
    ttl_s: int | None = None

    def __post_init__(self) -> None:
        if (
            not self.role.strip()
            or not self.distinct_by
            or self.count < 1
            or (self.ttl_s is not None and self.ttl_s < 1)
        ):
            message = "an approval needs a role, a count of at least 1 and a lifetime of at least a second"
            raise PolicyError.of("PK085", message, help="such as `{role: manager, count: 2}`")


class Why(StrEnum):
    """Why an approval does not count, or too few do."""

    OTHER_REQUEST = "it approves something else"
    NOT_YET = "it does not hold yet"
    EXPIRED = "it has expired"
    OTHER_ROLE = "it was given in another role"
    REQUESTER = "the requester cannot approve"
    NO_ATTRIBUTE = "it lacks what approvers must differ in"
    NOT_DISTINCT = "another approval counts in its place"
    SPENT = "it was used before"
    FORGED = "its signature is wrong"
    UNKNOWN_KEY = "the key that signed it is not known here"
    UNKNOWN_REQUESTER = "nobody is named as the requester, who must not approve"
    TOO_FEW = "too few approvals count"


@dataclass(frozen=True, slots=True)
class Reason:
    """``user`` is the approver, or None where the reason is about all of them."""

    why: Why
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Satisfied:
    """Exactly as many approvals as are required, in the order in which they were given."""

    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """What keeps the requirement from being satisfied; the last reason is that too few approvals count."""

    reasons: tuple[Reason, ...]


def check(
    requirement: Requirement,
    approvals: Iterable[Approval],
    requester: str | None,
    digest: str,
    at: datetime,
    spent: Collection[str] = (),
) -> Satisfied | Missing:
    """Whether verified approvals satisfy a requirement for what has ``digest``, at the time ``at``.

    ``spent`` are nonces that were used before. Users are compared without regard to case, width and outer spaces, so
    that one person under two spellings is one person.
    """
    if requirement.not_requester and not (requester or "").strip():
        return Missing((Reason(Why.UNKNOWN_REQUESTER), Reason(Why.TOO_FEW)))
    reasons: list[Reason] = []
    good: list[Approval] = []
    first_of_each = {approval.nonce: approval for approval in reversed(list(approvals))}
    for approval in reversed(first_of_each.values()):
        why = _rejected(requirement, approval, requester, digest, at, spent)
        if why:
            reasons.append(Reason(why, approval.user))
        else:
            good.append(approval)
    chosen = _distinct(good, requirement.distinct_by)
    if len(chosen) >= requirement.count:
        return Satisfied(tuple(good[i] for i in sorted(chosen)[: requirement.count]))
    reasons += [Reason(Why.NOT_DISTINCT, good[i].user) for i in range(len(good)) if i not in chosen]
    return Missing((*reasons, Reason(Why.TOO_FEW)))


def same_person(user: str) -> str:
    """What stands for a person, however the name is spelled: compatibility forms, case and outer spaces dropped."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", user).casefold()).strip()


def _rejected(
    requirement: Requirement,
    approval: Approval,
    requester: str | None,
    digest: str,
    at: datetime,
    spent: Collection[str],
) -> Why | None:
    age = at - approval.issued_at
    too_old = requirement.ttl_s is not None and age >= timedelta(seconds=requirement.ttl_s)
    if approval.digest != digest:
        return Why.OTHER_REQUEST
    if age < timedelta(0):
        return Why.NOT_YET
    if at >= approval.expires_at or too_old:
        return Why.EXPIRED
    if approval.role != requirement.role:
        return Why.OTHER_ROLE
    if requirement.not_requester and same_person(approval.user) == same_person(requester or ""):
        return Why.REQUESTER
    if approval.attribute(requirement.distinct_by) is None:
        return Why.NO_ATTRIBUTE
    return Why.SPENT if approval.nonce in spent else None


def _distinct(approvals: Sequence[Approval], by: str) -> list[int]:
    """The indices of as many approvals as can be chosen so that no two share a person or the attribute: a maximum
    matching of persons and attribute values, by augmenting paths (Kuhn, 1955)."""
    persons: dict[str, list[int]] = {}
    for i, approval in enumerate(approvals):
        persons.setdefault(same_person(approval.user), []).append(i)
    taken: dict[str, int] = {}

    def value(i: int) -> str:
        return same_person(approvals[i].attribute(by) or "")

    def find(person: str, tried: set[str]) -> bool:
        for i in persons[person]:
            wanted = value(i)
            if wanted in tried:
                continue
            tried.add(wanted)
            if wanted not in taken or find(same_person(approvals[taken[wanted]].user), tried):
                taken[wanted] = i
                return True
        return False

    for person in persons:
        find(person, set())
    return list(taken.values())
