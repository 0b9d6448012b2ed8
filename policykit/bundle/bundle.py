"""A bundle's bytes as a value, and what must hold before any of it is used."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from policykit.bundle import archive, manifest as manifests, signatures
from policykit.bundle.archive import CONTENT, MANIFEST, MAX_BYTES, SIGNATURES, Member
from policykit.bundle.manifest import FileEntry, Manifest
from policykit.bundle.signatures import PublicKey, Signature
from policykit.diagnostics import Diagnostic, Place, PolicyError


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose bytes are those that its manifest names. Says nothing of who has signed it: see `Trust`."""

    manifest: Manifest
    files: tuple[Member, ...]
    signatures: tuple[Signature, ...] = ()

    def render(self) -> bytes:
        """The archive: equal for equal content, wherever and whenever it is written."""
        signed = {f"{SIGNATURES}{s.key.id}.json": s.render() for s in self.signatures}
        return archive.render(
            (
                Member(MANIFEST, self.manifest.render()),
                *(Member(CONTENT + file.name, file.data) for file in self.files),
                *(Member(name, signed[name]) for name in sorted(signed)),
            )
        )

    def signed_by(self, private: Path) -> "Bundle":
        """With the signature of one more key, or the same one again. Raises PolicyError (PK654, PK657)."""
        new = signatures.sign(self.manifest.render(), private)
        return replace(self, signatures=(*(s for s in self.signatures if s.key != new.key), new))


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures count, and what else is asked. ``required`` 0 takes unsigned bundles, but no wrong signature."""

    keys: tuple[PublicKey, ...] = ()
    required: int = 1
    min_revision: int | None = None
    at: date | None = None
    """The day on which the bundle is to be used; None asks for no expiry."""


def read(path: Path) -> Bundle:
    """The bundle in a file, each byte of it accounted for. Raises PolicyError with everything that is wrong."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"the bundle cannot be read: {(error.strerror or str(error)).lower()}"
        raise PolicyError.of("PK640", message, Place(str(path)), "check the path") from error
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Bundle:
    """The bundle in these bytes; ``file`` is what diagnostics name.

    Raises:
        PolicyError: PK640-PK644 (the archive), PK645 (a file altered), PK646 (one too many), PK647 (one missing),
            PK648 (the manifest), PK650 (a signature that cannot be read).
    """
    members = {member.name: member.data for member in archive.parse(data, file)}
    if MANIFEST not in members:
        help = "`policykit bundle build` writes bundles"
        raise PolicyError.of("PK647", f"the bundle has no `{MANIFEST}`", Place(file), help)
    manifest = manifests.parse(members.pop(MANIFEST), file)
    signed = {name: members.pop(name) for name in tuple(members) if name.startswith(SIGNATURES)}
    files = tuple(
        Member(name.removeprefix(CONTENT), data) for name, data in members.items() if archive.is_content(name)
    )
    extra = [name for name in members if not archive.is_content(name)]
    found = list(_differences(manifest, files, extra, file))
    if found:
        raise PolicyError(found)
    bundle = Bundle(manifest, files, tuple(signatures.parse(data, file) for data in signed.values()))
    if bundle.render() != data:  # other names of signatures, another order
        message = "the archive is not in the form in which bundles are written"
        raise PolicyError.of("PK640", message, Place(file), "take the file from where it was built, or build it again")
    return bundle


def check(bundle: Bundle, trust: Trust, file: str, detached: Iterable[Signature] = ()) -> tuple[PublicKey, ...]:
    """The trusted keys that have signed the bundle, if all that ``trust`` asks for holds.

    Raises:
        PolicyError: PK649 (too few signatures that count), PK650 (a wrong signature, whosever it is), PK651 (an older
            revision), PK652 (expired).
    """
    place, manifest = Place(file), bundle.manifest
    signed = (*bundle.signatures, *detached)
    rendered = manifest.render()
    found = [
        Diagnostic("PK650", f"the signature of the key {s.key.id} is not one of this bundle", place, "sign it again")
        for s in signed
        if not s.signs(rendered)
    ]
    signers = tuple(key for key in dict.fromkeys(trust.keys) if any(s.key == key for s in signed))
    if len(signers) < trust.required:
        found.append(_unsigned(trust, signers, signed, place))
    if trust.min_revision is not None and manifest.revision < trust.min_revision:
        message = f"the bundle is revision {manifest.revision}, and {trust.min_revision} was in use already"
        found.append(Diagnostic("PK651", message, place, "build with a higher `--revision`"))
    if manifest.expires and trust.at and trust.at >= manifest.expires:
        message = f"the bundle expired on {manifest.expires}"
        found.append(Diagnostic("PK652", message, place, "build and sign a new revision"))
    if found:
        raise PolicyError(found)
    return signers


def _unsigned(trust: Trust, signers: Sequence[PublicKey], signed: Sequence[Signature], place: Place) -> Diagnostic:
    others = sorted({s.key.id for s in signed if s.key not in trust.keys})
    message = f"{len(signers)} of {trust.required} signatures that are required"
    if others:
        message += f"; not trusted: {', '.join(others)}"
    help = "sign it with `policykit bundle sign`" if not others else "name the signer's public key, if you trust it"
    return Diagnostic("PK649", message, place, help)


def _differences(manifest: Manifest, files: Sequence[Member], extra: Sequence[str], file: str) -> Iterable[Diagnostic]:
    place, help = Place(file), "take the file from where it was built, or build it again"
    named = {entry.path: entry for entry in manifest.files}
    there = {member.name: member for member in files}
    for name in (*(name for name in there if name not in named), *extra):
        yield Diagnostic("PK646", f"`{name}` is not in the manifest", place, help)
    for name, entry in named.items():
        if name not in there:
            yield Diagnostic("PK647", f"`{name}` is missing", place, help)
        elif FileEntry.of(name, there[name].data) != entry:
            yield Diagnostic("PK645", f"`{name}` is not what was packed: its SHA-256 differs", place, help)
