from dataclasses import dataclass
from pathlib import Path

import pytest

from policykit.bundle import Bundle, PublicKey, build, generate
from tests.bundle.making import write


@dataclass(frozen=True)
class Signed:
    """A bundle that ``key`` has signed; ``other`` is a key that has not."""

    folder: Path
    bundle: Bundle
    data: bytes
    private: Path
    key: PublicKey
    other_private: Path
    other: PublicKey

    def file(self, data: bytes | None = None) -> Path:
        path = self.folder / "a.bundle"
        path.write_bytes(self.data if data is None else data)
        return path


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    source = write(tmp_path / "source")
    key, other = generate(tmp_path / "key"), generate(tmp_path / "other")
    bundle = build([source], 7).bundle.signed_by(tmp_path / "key")
    return Signed(tmp_path, bundle, bundle.render(), tmp_path / "key", key, tmp_path / "other", other)
