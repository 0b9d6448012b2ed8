"""Who may reveal what, and for which purpose. Grants come with the configuration; there are none by default."""

from collections.abc import Iterable
from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """The actors may reveal values of these kinds and tenants for this purpose. The text `*` stands for every one;
    a purpose is always named."""

    purpose: str
    actors: tuple[str, ...]
    tenants: tuple[str, ...] = (ANY,)
    kinds: tuple[str, ...] = (ANY,)

    def admits(self, purpose: str, actor: str, tenant: str, kind: str) -> bool:
        return (
            self.purpose == purpose
            and _names(self.actors, actor)
            and _names(self.tenants, tenant)
            and _names(self.kinds, kind)
        )


def is_granted(grants: Iterable[Grant], purpose: str, actor: str, tenant: str, kind: str) -> bool:
    """Whether any grant admits the request."""
    return any(grant.admits(purpose, actor, tenant, kind) for grant in grants)


def _names(entries: tuple[str, ...], name: str) -> bool:
    return ANY in entries or name in entries
