"""What transforms need beside the policy: keys and vaults by the names that policies give them, and the tenant.

They come with a deployment's configuration and never from a policy; two deployments of one plan have their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Protocol

from policykit.approvals import Spent
from policykit.compile.resolve import asked_of_opa
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.ir.decision import Decider
from policykit.ir.document import Hash, Mask
from policykit.ir.plan import ResolvedRule
from policykit.predicates import TextClassifier, TextPredicate, Workers

MIN_KEY_BYTES = 16
_ADVICE = "name it in the configuration: `plan.with_resources(Resources(...))`"


class Tokeniser(Protocol):
    """What a transform needs of a vault (:class:`policykit.vault.Vault`)."""

    def tokenise(self, tenant: str, kind: str, value: str, *, template: str, avoid: str) -> str:
        """The token of a value; a new one is none that stands in ``avoid``."""
        ...

    def marks(self, text: str, tenant: str) -> tuple[tuple[int, int], ...]:
        """Where tokens that this vault has given to the tenant stand in a text."""
        ...


@dataclass(frozen=True, slots=True)
class Resources:
    """Keys (at least 16 bytes) and vaults by name, the tenant whose texts are judged, and the store of approvals that
    were used (without one, none is remembered, and approvals count for nothing), and the Open Policy Agent that is
    asked (:class:`policykit.opa.Opa`). ``predicates`` are functions and ``classifiers`` models by the names that
    rules give them, called in ``workers``; one call takes at most ``deadline_s`` seconds.

    ``preview`` is for tests of policies: hashes have a key that anybody can derive, and reversible masks are numbered
    per text, without a vault. Nothing is hidden then, and nothing can be revealed.
    """

    keys: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    vaults: Mapping[str, Tokeniser] = field(default_factory=dict[str, Tokeniser])
    tenant: str | None = None
    approvals: Spent | None = None
    opa: Decider | None = None
    predicates: Mapping[str, TextPredicate] = field(default_factory=dict[str, TextPredicate])
    classifiers: Mapping[str, TextClassifier] = field(default_factory=dict[str, TextClassifier])
    deadline_s: float = 2.0
    workers: Workers = field(default_factory=Workers, repr=False, compare=False)
    preview: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))
        object.__setattr__(self, "vaults", MappingProxyType(dict(self.vaults)))
        object.__setattr__(self, "predicates", MappingProxyType(dict(self.predicates)))
        object.__setattr__(self, "classifiers", MappingProxyType(dict(self.classifiers)))
        if not 0 < self.deadline_s < float("inf"):
            raise ValueError(f"`deadline_s` is {self.deadline_s}, not a finite number above 0")

    def key(self, name: str) -> bytes:
        """The key with a name. Raises PolicyError (PK199)."""
        if self.preview:
            return sha256(b"preview:" + name.encode()).digest()
        key = self.keys.get(name)
        if key is None:
            raise PolicyError.of("PK199", f"there is no key `{name}`", help=_ADVICE)
        if len(key) < MIN_KEY_BYTES:
            message = f"the key `{name}` has {len(key)} bytes, at least {MIN_KEY_BYTES} are needed"
            raise PolicyError.of("PK199", message, help="make one with `openssl rand -hex 32`")
        return key

    def vault(self, name: str) -> tuple[Tokeniser, str]:
        """The vault with a name, and the tenant to use it for. Raises PolicyError (PK199)."""
        vault = self.vaults.get(name)
        if vault is None:
            raise PolicyError.of("PK199", f"there is no vault `{name}`", help=_ADVICE)
        if not self.tenant:
            raise PolicyError.of(
                "PK199", f"the vault `{name}` keeps values per tenant, and none is named", help=_ADVICE
            )
        return vault, self.tenant


def check_resources(rules: Iterable[ResolvedRule], resources: Resources) -> None:
    """Raises PolicyError with every rule that needs what is not there: a key or vault (PK199), an OPA (PK163)."""
    missing: list[Diagnostic] = []
    for rule in rules:
        asked = asked_of_opa(rule)
        if asked and resources.opa is None:
            message = f"there is no OPA to ask for `{asked[0]}`"
            missing.append(Diagnostic("PK163", message, rule.place, "give one: `Resources(opa=Opa(OpaSettings(…)))`"))
        try:
            if isinstance(rule.action, Hash):
                resources.key(rule.action.key)
            elif isinstance(rule.action, Mask) and rule.action.vault and not resources.preview:
                resources.vault(rule.action.vault)
        except PolicyError as error:
            missing += [replace(found, place=rule.place) for found in error.diagnostics]
    if missing:
        raise PolicyError(missing)


NONE = Resources()
PREVIEW = Resources(preview=True)
