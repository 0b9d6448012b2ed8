"""The one module of bundles that imports `cryptography`: Ed25519 (RFC 8032), keys as PEM (RFC 8410)."""

from typing import TYPE_CHECKING

from policykit.diagnostics import PolicyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_pair() -> tuple[bytes, bytes]:
    """A private and its public key, as PEM. Raises PolicyError (PK657), as all of these do without the package."""
    _require()
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return private, key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


def public_of(pem: bytes) -> bytes:
    """The 32 bytes of a public key. Raises ValueError where the text is no public key of this kind."""
    _require()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = form.load_pem_public_key(pem)
    except UnsupportedAlgorithm as error:
        raise ValueError("a key of another kind") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("a key of another kind")
    return key.public_bytes_raw()


def sign(private_pem: bytes, message: bytes) -> tuple[bytes, bytes]:
    """The public key, 32 bytes, and the signature, 64 bytes. Raises ValueError where the text is no private key."""
    key = _private(private_pem)
    return key.public_key().public_bytes_raw(), key.sign(message)


def is_signature(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the holder of the key has signed the message."""
    _require()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(pem: bytes) -> "Ed25519PrivateKey":
    _require()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = form.load_pem_private_key(pem, None)
    except (UnsupportedAlgorithm, TypeError) as error:
        raise ValueError("a key of another kind, or one with a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("a key of another kind")
    return key


def _require() -> None:
    try:
        import cryptography  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        message = "signatures need the package `cryptography`, which is not installed"
        raise PolicyError.of("PK657", message, None, "install it with `pip install policykit[bundle]`") from error
