"""Approvals under attack: whatever is issued, replayed, altered, forged or raced, an independent model agrees.

The model knows people, not spellings; it keeps every approval as a row and decides by enumerating subsets.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from policykit.approvals import Requirement, Satisfied, SignedApproval, SpentInMemory, args_digest, decide, issue, parse

KEYS = {"k1": b"1" * 32, "k2": b"2" * 32}
START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = {"ann": ("ann", "Ann", " ann", "ＡＮＮ"), "bob": ("bob", "BOB"), "cid": ("cid",), "dot": ("dot",)}
SPELLINGS = {spelling: person for person, spellings in PEOPLE.items() for spelling in spellings}
# The first of each is frequent, so that requirements are often satisfied and nearly satisfied.
ROLES = ("manager", "manager", "manager", "clerk")
AMOUNTS = (900, 900, 900, 901)
TENANTS = ("acme", "acme", "acme", "bolt")


@dataclass
class Row:
    """What the model knows of an approval."""

    person: str
    role: str
    amount: int
    tenant: str
    begins: int
    ends: int
    genuine: bool
    used: bool = False


def digest(amount: int, tenant: str) -> str:
    return args_digest("refund", {"amount": amount}, tenant=tenant, rule="d#two", bundle_digest="sha256:0")


class Approvals(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.store = SpentInMemory()
        self.rows: list[Row] = []
        self.signed: list[SignedApproval] = []
        self.granted = 0

    @property
    def at(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def keep(self, row: Row, signed: SignedApproval) -> None:
        self.rows.append(row)
        self.signed.append(signed)

    @rule(
        users=st.lists(st.sampled_from(sorted(SPELLINGS)), min_size=1, max_size=4), role=st.sampled_from(ROLES),
        amount=st.sampled_from(AMOUNTS), tenant=st.sampled_from(TENANTS), ttl=st.sampled_from((60, 60, 5)),
        key=st.sampled_from(sorted(KEYS)),
    )  # fmt: skip
    def approve(self, users: list[str], role: str, amount: int, tenant: str, ttl: int, key: str) -> None:
        for user in users:
            made = issue(
                KEYS, key, user=user, role=role, digest=digest(amount, tenant), at=self.at, ttl_s=ttl,
                nonce=str(len(self.rows)),
            )  # fmt: skip
            row = Row(SPELLINGS[user], role, amount, tenant, self.now, self.now + ttl, genuine=True)
            self.keep(row, parse(made.render()))

    @precondition(lambda self: self.rows)
    @rule(
        data=st.data(),
        user=st.sampled_from(sorted(SPELLINGS)),
        what=st.sampled_from(["user", "digest", "expires_at", "role", "nonce"]),
    )
    def alter(self, data: st.DataObject, user: str, what: str) -> None:
        """Change a signed approval and keep its signature."""
        at = data.draw(st.integers(0, len(self.rows) - 1))
        old, row = self.signed[at], self.rows[at]
        new = {
            "user": user, "digest": digest(900, "acme"), "expires_at": START + timedelta(days=1),
            "role": "manager", "nonce": f"fresh {len(self.rows)}",
        }[what]  # fmt: skip
        changed = replace(old.approval, **{what: new})
        if changed != old.approval:
            self.keep(replace(row, genuine=False, used=False), replace(old, approval=changed))

    @rule(user=st.sampled_from(sorted(SPELLINGS)), amount=st.sampled_from(AMOUNTS))
    def forge(self, user: str, amount: int) -> None:
        """Sign with another key under a known key's name."""
        made = issue(
            {"k1": b"!" * 32}, "k1", user=user, role="manager", digest=digest(amount, "acme"), at=self.at, ttl_s=60
        )
        self.keep(Row(SPELLINGS[user], "manager", amount, "acme", self.now, self.now + 60, genuine=False), made)

    @rule(seconds=st.sampled_from((1, 5, 20)))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.rows)
    @rule(
        data=st.data(), count=st.sampled_from((2, 2, 1, 3)), requester=st.sampled_from(("dot", "Ann")),
        free=st.booleans(), amount=st.sampled_from(AMOUNTS), tenant=st.sampled_from(TENANTS),
        ttl=st.sampled_from((60, 60, 20)), racing=st.booleans(),
    )  # fmt: skip
    def ask(
        self, data: st.DataObject, count: int, requester: str, free: bool, amount: int, tenant: str, ttl: int,
        racing: bool,
    ) -> None:  # fmt: skip
        everything = list(range(len(self.rows)))
        chosen = data.draw(st.just(everything) | st.lists(st.sampled_from(everything), max_size=6))
        requirement = Requirement("manager", count, not_requester=not free, ttl_s=ttl)
        store = Rival(self, data.draw(st.sampled_from(chosen))) if racing and chosen else self.store
        expected_before = self.possible(requirement, chosen, requester, amount, tenant)
        found = decide(requirement, [self.signed[i] for i in chosen], requester, digest(amount, tenant), self.at,
                       keys=KEYS, store=store)  # fmt: skip
        if isinstance(found, Satisfied):
            used = [int(approval.nonce) for approval in found.approvals]
            assert set(used) <= set(chosen)
            assert self.satisfies(requirement, used, requester, amount, tenant)
            assert len(used) == count
            for i in used:
                self.rows[i].used = True
            self.granted += 1
        elif racing:
            assert not self.possible(requirement, chosen, requester, amount, tenant), "what the rival left would do"
        else:
            assert not expected_before

    # -- the model

    def possible(self, requirement: Requirement, chosen: list[int], requester: str, amount: int, tenant: str) -> bool:
        sets = combinations(sorted(set(chosen)), requirement.count)
        return any(self.satisfies(requirement, list(some), requester, amount, tenant) for some in sets)

    def satisfies(self, requirement: Requirement, some: list[int], requester: str, amount: int, tenant: str) -> bool:
        rows = [self.rows[i] for i in some]
        people = {row.person for row in rows}
        lifetime = requirement.ttl_s or 0
        return (
            all(row.genuine and not row.used for row in rows)
            and all(row.role == "manager" and (row.amount, row.tenant) == (amount, tenant) for row in rows)
            and all(row.begins <= self.now < min(row.ends, row.begins + lifetime) for row in rows)
            and len(people) == len(rows) >= requirement.count
            and not (requirement.not_requester and SPELLINGS[requester] in people)
        )

    @invariant()
    def only_genuine_approvals_are_used(self) -> None:
        assert all(row.genuine for row in self.rows if row.used)
        used = self.store.among([signed.approval.nonce for signed in self.signed])
        genuine = {s.approval.nonce for s, row in zip(self.signed, self.rows, strict=True) if row.used}
        assert used == genuine


class Rival:
    """A store in which somebody else uses one approval between the look and the use."""

    def __init__(self, machine: Approvals, index: int) -> None:
        self.machine, self.index = machine, index

    def among(self, nonces) -> frozenset[str]:
        return self.machine.store.among(nonces)

    def spend(self, approvals, at) -> bool:
        row, signed = self.machine.rows[self.index], self.machine.signed[self.index]
        if row.genuine and not row.used and self.machine.store.spend([signed.approval], at):
            row.used = True
        return self.machine.store.spend(approvals, at)


Approvals.TestCase.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
TestApprovals = Approvals.TestCase
