"""Codes PK190–PK199: vaults, and transforms that put marks into texts."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK190",
        "the package for encryption is not installed",
        "A vault encrypts what it keeps with the package `cryptography`, an extra of policykit. Without it nothing is "
        "kept and nothing is masked reversibly: the text is blocked.",
        "pip install policykit && vault.tokenise(...)",
    ),
    CodeEntry(
        "PK191",
        "a master key cannot be used",
        "A vault's master key is 32 bytes, as they are, in hexadecimal or in base64, in a file or in an environment "
        "variable that the configuration names. It never stands in a policy.",
        "POLICYKIT_VAULT_KEY=secret",
    ),
    CodeEntry(
        "PK192",
        "the file is no vault",
        "The file is not an SQLite database, belongs to another program, or was written by a newer version. It is left "
        "as it is.",
        "Vault.open('customers.db', key, clock=clock)",
    ),
    CodeEntry(
        "PK193",
        "the vault is damaged",
        "The database is malformed, or a value in it is not the one that was sealed under its token. Nothing of it is "
        "released.",
    ),
    CodeEntry(
        "PK194",
        "the vault cannot be reached",
        "Another process holds the vault's lock for too long, the disk is full, or the file cannot be opened or "
        "written. What needed the vault fails, and the text is blocked.",
    ),
    CodeEntry(
        "PK195",
        "the vault has another key",
        "The master key is not the one that the vault was made with. Another key would read nonsense, so it is "
        "refused before anything is read.",
    ),
    CodeEntry(
        "PK196",
        "the purpose is not granted",
        "Values are only revealed for a purpose that the configuration grants to the actor, the tenant and the kind of "
        "value. The attempt is on the audit log.",
        "vault.reveal(token, 'acme', 'marketing', 'm1')",
    ),
    CodeEntry(
        "PK197",
        "the token is not known",
        "The vault has given out no such token for the tenant. Tokens of other vaults and other tenants are unknown.",
        "vault.reveal('[IBAN_1]', 'acme', 'refund', 'm1')",
    ),
    CodeEntry(
        "PK198",
        "the audit log was changed",
        "Every line of the log seals the one before it with a key that is derived from the master key. A line that was "
        "changed, added, moved or taken out breaks the seal.",
    ),
    CodeEntry(
        "PK199",
        "a transform cannot do its work",
        "What the transform asks for cannot be done, or cannot be undone where it must be: a mark that cannot be found "
        "again, text after or before JSON, a limit without room, or a key or vault that the configuration lacks.",
        "transform: {mask: {with: 'IBAN {n}', reversible: true}}",
    ),
)
