"""Says which OPA answered, and makes the certificates that the tests trust and distrust."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.opa.server import BINARY, Server, speaking


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    engine = f"`{BINARY}`" if BINARY else "a server that speaks its REST API (no `opa` binary was found)"
    terminalreporter.write_line(f"OPA: questions were answered by {engine}")


@pytest.fixture
def server() -> Iterator[Server]:
    with speaking() as found:
        yield found


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, and a certificate with key for `localhost` that it has signed."""

    ca_file: Path
    certificate: tuple[Path, Path]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def authority(folder: Path, name: str) -> Authority:
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def building(subject: str, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(name))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )

    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = building(name, ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), True)
    signed_ca = ca.add_extension(usage, True).sign(ca_key, hashes.SHA256())
    leaf = building("localhost", key.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.DNSName("localhost")]), False
    )
    paths = [folder / f"{name}.{kind}.pem" for kind in ("ca", "certificate", "key")]
    pem = serialization.Encoding.PEM
    paths[0].write_bytes(signed_ca.public_bytes(pem))
    paths[1].write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    paths[2].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return Authority(paths[0], (paths[1], paths[2]))
