"""Who may use which profiles: grants by API key. A key is known by its SHA-256 only."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from policykit.diagnostics import Place
from policykit.plan.plan import today
from policykit.policy.texts import ID, MAX_NAME
from policykit.profiles.profile import Profile, ProfileSet

PREFIX = "profile:"
KEY_PREFIX = "pk-"
REFUSED = "policykit_profile_refused"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key allows. ``default`` is one of ``profiles``."""

    key_id: str
    tenant: str
    profiles: tuple[str, ...]
    default: str
    locale: str | None = None
    jurisdiction: str | None = None
    expires: date | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Admin:
    """An operator's key."""

    key_id: str
    expires: date | None = None


class Refused(Exception):
    """A request that is not served. ``status`` is the HTTP status, ``code`` a stable name for clients.

    The message names nothing that the key does not grant.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def digest_of_key(key: str) -> str:
    """The SHA-256 of a key, in hexadecimal: what a key file holds.

    >>> digest_of_key("pk-example")[:16]
    'f98c12dff39a2ac2'
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def is_id(name: str) -> bool:
    """Whether a name can stand for a key, a tenant or a profile."""
    return len(name) <= MAX_NAME and ID.fullmatch(name) is not None


def new_key() -> str:
    """A key of 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Keyring:
    """Grants and operators' keys by SHA-256 (lower-case hexadecimal).

    A look-up goes through a keyed hash whose key is drawn when the ring is made, so the time that it takes says nothing
    about the digests that are kept, however many there are.
    """

    grants: Mapping[str, Grant]
    admins: Mapping[str, Admin] = field(default_factory=dict[str, Admin])
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False, compare=False)
    _index: Mapping[bytes, Grant | Admin] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index: dict[bytes, Grant | Admin] = {self._blind(digest): grant for digest, grant in self.grants.items()}
        index |= {self._blind(digest): admin for digest, admin in self.admins.items()}
        object.__setattr__(self, "_index", index)

    def _blind(self, digest: str) -> bytes:
        return hmac.digest(self._secret, digest.encode("ascii"), "sha256")

    def _found(self, key: str, at: date | None) -> Grant | Admin | None:
        found = self._index.get(self._blind(digest_of_key(key)))
        if found is None or (found.expires is not None and (at or today()) >= found.expires):
            return None
        return found

    def grant(self, key: str, at: date | None = None) -> Grant | None:
        """What a client's key allows; None for a key that is unknown, has expired or is an operator's."""
        found = self._found(key, at)
        return found if isinstance(found, Grant) else None

    def admin(self, key: str, at: date | None = None) -> Admin | None:
        """The operator whose key it is."""
        found = self._found(key, at)
        return found if isinstance(found, Admin) else None


def select(
    profiles: ProfileSet, grant: Grant, model: str | None = None, header: str | None = None, served: str | None = None
) -> Profile:
    """The profile that a request is served under, never one outside the grant.

    ``model`` is the request's model name: `profile:NAME`, or the model of the granted default (or of the header's
    profile), which is ``served`` where the profile names none; None, or an empty text, asks for nothing. ``header`` is
    a profile's name. Raises Refused (403) for anything else, for two that differ, and for a tenant that the profile
    does not admit.
    """
    named = model.removeprefix(PREFIX) if model and model.startswith(PREFIX) else None
    if named is not None and header and named != header:
        raise Refused(403, REFUSED, "the model and the header name different profiles")
    profile = _granted(profiles, grant, named if named is not None else header or grant.default)
    if model and named is None and model != (profile.model or served):
        raise Refused(403, REFUSED, f"the model is not available: name `{PREFIX}NAME`, or the profile's own")
    return profile


def _granted(profiles: ProfileSet, grant: Grant, name: str) -> Profile:
    profile = profiles.get(name) if name in grant.profiles else None
    if profile is None or not profile.admits(grant.tenant):
        raise Refused(403, REFUSED, "the key does not grant the profile that the request names")
    return profile
