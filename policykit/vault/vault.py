"""Reversible tokens: values go into the vault, texts carry tokens, and a granted purpose gets the values back.

A token tells nobody its value, but whoever may have a text unmasked can put any token of the tenant into it: grants
and the audit log, not the tokens, keep values apart.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from policykit.vault import audit
from policykit.vault.audit import AuditHead, AuditLine, Outcome
from policykit.vault.ciphers import Ciphers, damaged
from policykit.vault.errors import NotGranted, UnknownToken, VaultDamaged, WrongKey
from policykit.vault.grants import Grant, is_granted
from policykit.vault.keys import KEY_BYTES
from policykit.vault.marks import DEFAULT_TEMPLATE, check_template, new_nonce, numbers_in, write
from policykit.vault.store import MEMORY, Store

BUSY_S = 5.0
"""How long a call waits for another process's transaction before it fails."""
Clock = Callable[[], datetime]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Token:
    number: int
    tenant: str
    kind: str
    text: str
    at: int
    sealed: bytes


class Vault:
    """Values under tokens, encrypted, tenant by tenant.

    The same value of the same tenant, kind and template has the same token. A vault may be shared between threads, and
    its file between processes. Every call raises a :class:`VaultError` rather than answer with less than it should.
    """

    def __init__(
        self, store: Store, key: bytes, clock: Clock, grants: Iterable[Grant] = (), audit_file: Path | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._grants = tuple(grants)
        self._audit_file = audit_file
        self._ciphers, self.nonce = _unlocked(store, key)

    @classmethod
    def open(
        cls,
        path: str | Path,
        key: bytes,
        *,
        clock: Clock,
        grants: Iterable[Grant] = (),
        audit_file: str | Path | None = None,
        create: bool = True,
        busy_s: float = BUSY_S,
    ) -> Self:
        """The vault in a file, which is made if it is not there and ``create`` is true.

        ``key`` has 32 bytes (:func:`key_from_file`, :func:`key_from_environment`); ``clock`` gives times with a zone;
        ``audit_file`` gets a copy of the audit log as JSON lines.

        Raises:
            VaultError: the key is wrong (PK195) or unusable (PK191), the file is no vault (PK192), damaged (PK193),
                locked or out of reach (PK194), or `cryptography` is not installed (PK190).
        """
        return cls(Store(path, busy_s, create), key, clock, grants, Path(audit_file) if audit_file else None)

    @classmethod
    def in_memory(
        cls,
        *,
        clock: Clock,
        key: bytes | None = None,
        grants: Iterable[Grant] = (),
        audit_file: str | Path | None = None,
    ) -> Self:
        """A vault that lives as long as this value, such as a session's. Without ``key`` it has a random one."""
        made = secrets.token_bytes(KEY_BYTES) if key is None else key
        return cls(Store(MEMORY, BUSY_S, True), made, clock, grants, Path(audit_file) if audit_file else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. A vault in memory is gone then."""
        self._store.close()

    # -- masking -------------------------------------------------------------------------------------------------

    def tokenise(self, tenant: str, kind: str, value: str, *, template: str = DEFAULT_TEMPLATE, avoid: str = "") -> str:
        """The token of a value. A new token is none that already stands in ``avoid``, the text that it is meant for."""
        check_template(template, kind)
        lookup = self._ciphers.lookup(tenant, kind, template, value)
        with self._store.reading() as connection:
            known = self._by_lookup(connection, lookup, value)
        return known or self._new(tenant, kind, value, template, avoid, lookup)

    def marks(self, text: str, tenant: str) -> tuple[Span, ...]:
        """Where the tokens of this vault and tenant stand in a text, in order and without overlaps."""
        return tuple(span for span, token in self._tokens_in(text) if token.tenant == tenant)

    # -- revealing -----------------------------------------------------------------------------------------------

    def reveal(self, token: str, tenant: str, purpose: str, actor: str) -> str:
        """The value of a token. The attempt is on the audit log before this returns or raises.

        Raises:
            UnknownToken: the tenant has no such token (PK197).
            NotGranted: no grant admits it (PK196).
        """
        found = [known for span, known in self._tokens_in(token) if span == (0, len(token)) and known.tenant == tenant]
        if not found:
            self._log(tenant, actor, purpose, [(token, Outcome.UNKNOWN)])
            help = "tokens of other vaults and tenants are unknown here"
            raise UnknownToken.because(f"the vault has given no token `{token}` to tenant `{tenant}`", help)
        return self._values(found, tenant, purpose, actor)[found[0].number]

    def unmask(self, text: str, tenant: str, purpose: str, actor: str, *, as_json: bool = False) -> str:
        """The text with the values of this tenant's tokens in their places; everything else stays as it is.

        ``as_json``: the text is JSON and its strings were masked: values are spelled as in a JSON string. Every token
        is on the audit log; tokens of other tenants stay, and are logged as unknown.

        Raises:
            NotGranted: no grant admits one of the kinds (PK196). Then no value is revealed.
        """
        found = self._tokens_in(text)
        values = self._values([token for _, token in found], tenant, purpose, actor)
        out: list[str] = []
        at = 0
        for (start, end), token in found:
            if token.number in values:
                value = values[token.number]
                out += [text[at:start], json.dumps(value, ensure_ascii=False)[1:-1] if as_json else value]
                at = end
        return "".join([*out, text[at:]])

    def audit(self) -> tuple[AuditLine, ...]:
        """The audit log, oldest line first."""
        with self._store.reading() as connection:
            return audit.lines_of(connection)

    def verify_audit(self, since: AuditHead | None = None) -> AuditHead:
        """The newest line of the audit log, after checking every seal and the JSON-lines file.

        ``since``: a head that an earlier call gave; the log must still hold that line. Raises AuditBroken (PK198).
        """
        with self._store.writing() as connection:
            return audit.verify(connection, self._ciphers.chained, self._audit_file, since)

    # -- inside --------------------------------------------------------------------------------------------------

    def _by_lookup(self, connection: sqlite3.Connection, lookup: bytes, value: str) -> str | None:
        """The token that the value has, after checking that it is this value's."""
        row = connection.execute(f"{_SELECT} WHERE lookup = ?", (lookup,)).fetchone()
        if row is None:
            return None
        token = _token(row)
        if self._unsealed(token) != value:
            raise damaged(token.text)
        return token.text

    def _new(self, tenant: str, kind: str, value: str, template: str, avoid: str, lookup: bytes) -> str:
        avoided = {number for _, number in numbers_in(avoid, self.nonce)}
        with self._store.writing() as connection:
            known = self._by_lookup(connection, lookup, value)  # another process may have been faster
            if known:
                return known
            (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM tokens").fetchone()
            number = last + 1
            while number in avoided:
                number += 1
            token = write(template, kind, self.nonce, number)
            sealed = self._ciphers.seal(tenant, kind, token.text, value)
            row = (number, tenant, kind, token.text, token.at, lookup, sealed)
            connection.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            return token.text

    def _tokens_in(self, text: str) -> list[tuple[Span, _Token]]:
        """Every token of this vault in a text, whichever tenant's."""
        places = list(numbers_in(text, self.nonce))
        if not places:
            return []
        known: dict[int, _Token] = {}
        with self._store.reading() as connection:
            for number in {number for _, number in places}:
                row = connection.execute(f"{_SELECT} WHERE number = ?", (number,)).fetchone()
                if row:
                    known[number] = _token(row)
        found: list[tuple[Span, _Token]] = []
        free = 0
        for at, number in places:
            token = known.get(number)
            start = at - token.at if token else -1
            if token and start >= free and text.startswith(token.text, start):
                free = start + len(token.text)
                found.append(((start, free), token))
        return found

    def _values(self, tokens: Iterable[_Token], tenant: str, purpose: str, actor: str) -> dict[int, str]:
        """The values of the tenant's tokens by number, all or none; every token is on the audit log first."""
        asked = {token.number: token for token in tokens}.values()
        own = [token for token in asked if token.tenant == tenant]
        refused = [t for t in own if not is_granted(self._grants, purpose, actor, tenant, t.kind)]
        values = {} if refused else {token.number: self._unsealed(token) for token in own}
        outcome = Outcome.REFUSED if refused else Outcome.REVEALED
        self._log(tenant, actor, purpose, [(t.text, outcome if t in own else Outcome.UNKNOWN) for t in asked])
        if refused:
            message = f"`{actor}` may not reveal `{refused[0].kind}` of tenant `{tenant}` for purpose `{purpose}`"
            raise NotGranted.because(message, "grant the purpose in the configuration, or ask for another one")
        return values

    def _unsealed(self, token: _Token) -> str:
        return self._ciphers.unseal(token.tenant, token.kind, token.text, token.sealed)

    def _log(self, tenant: str, actor: str, purpose: str, attempts: Iterable[tuple[str, Outcome]]) -> None:
        at = audit.now(self._clock)
        lines = [AuditLine(0, at, tenant, actor, purpose, token, outcome) for token, outcome in attempts]
        if lines:
            with self._store.writing() as connection:
                audit.append(connection, self._ciphers.chained, lines)
            if self._audit_file:
                with self._store.writing() as connection:
                    audit.copy(connection, self._audit_file)


def _token(row: tuple[object, ...]) -> _Token:
    match row:
        case (int(number), str(tenant), str(kind), str(text), int(at), bytes(sealed)):
            return _Token(number, tenant, kind, text, at, sealed)
        case _:
            raise damaged("a token")


_SELECT = "SELECT number, tenant, kind, token, at, sealed FROM tokens"


def _unlocked(store: Store, key: bytes) -> tuple[Ciphers, str]:
    """The vault's keys and nonce, if ``key`` is the one that the vault was made with; a new vault is made with it."""
    with store.writing() as connection:
        row = connection.execute("SELECT id, nonce, key_check FROM header").fetchone()
        if row is None:
            (used,) = connection.execute(
                "SELECT (SELECT count(*) FROM tokens) + (SELECT count(*) FROM audit)"
            ).fetchone()
            if used:
                raise VaultDamaged.because(f"the vault `{store.path}` has lost its header", "restore it from a copy")
            vault_id, nonce = secrets.token_bytes(16), new_nonce()
            ciphers = Ciphers(key, vault_id)
            check = ciphers.check_value(vault_id + nonce.encode("ascii"))
            connection.execute("INSERT INTO header VALUES (?, ?, ?)", (vault_id, nonce, check))
            return ciphers, nonce
        vault_id, nonce, check = bytes(row[0]), str(row[1]), bytes(row[2])
        ciphers = Ciphers(key, vault_id)
        if not secrets.compare_digest(ciphers.check_value(vault_id + nonce.encode()), check):
            raise WrongKey.because(f"the vault `{store.path}` was made with another key", "give it its own master key")
        return ciphers, nonce
