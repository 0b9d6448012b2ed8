"""Codes PK640–PK659: bundles."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK640",
        "not a bundle",
        "A bundle is an archive in exactly the form that `policykit bundle build` writes. One content has one form, so "
        "that a single byte that differs is seen; another archive of the same files is not read.",
        "policykit bundle verify notes.zip",
    ),
    CodeEntry(
        "PK641",
        "too large for a bundle",
        "Sizes are bounded before anything is read: 64 MiB in all, 1 MiB for one file, 10,000 files. Bundles are not "
        "compressed, so that a small file cannot become a large one.",
    ),
    CodeEntry(
        "PK642",
        "a name that leads elsewhere",
        "A file's name in a bundle is a relative path with `/` that means the same file on every system, inside the "
        "folder that the bundle is unpacked into.",
        "../../etc/passwd",
    ),
    CodeEntry(
        "PK643",
        "not a plain file",
        "A bundle holds files only. A link may lead to something else tomorrow, or on another machine.",
    ),
    CodeEntry(
        "PK644",
        "two files of one name",
        "Readers of an archive do not agree on which of two entries counts. Names that differ in case only are one "
        "name on some systems.",
        "answer.policy.yaml\nAnswer.policy.yaml",
    ),
    CodeEntry("PK645", "an altered file", "A file's bytes are not those whose SHA-256 is in the manifest."),
    CodeEntry("PK646", "a file that was not packed", "The manifest names every file; what it does not name was added."),
    CodeEntry("PK647", "a missing file", "The manifest names a file, or is the file, that is not in the bundle."),
    CodeEntry(
        "PK648",
        "a manifest that cannot be used",
        "The manifest is not what this version of policykit writes: another format, or changed by hand.",
    ),
    CodeEntry(
        "PK649",
        "not signed by enough trusted keys",
        "A bundle is used where as many of the trusted keys have signed it as are required. An unsigned one, and one "
        "that only others have signed, is refused.",
        "policykit bundle verify release.bundle --trusted security.pub legal.pub --require 2",
    ),
    CodeEntry(
        "PK650",
        "a wrong signature",
        "A signature in the bundle, or beside it, was not made with its key for this manifest. It is refused even "
        "where enough others are right: somebody has changed something.",
    ),
    CodeEntry(
        "PK651",
        "an older revision",
        "Going back to an older bundle brings back its mistakes, and its signature is still right. Revisions grow.",
        "policykit bundle verify release.bundle --trusted security.pub --min-revision 42",
    ),
    CodeEntry("PK652", "an expired bundle", "Whoever built the bundle has said until when it is to be used."),
    CodeEntry(
        "PK653",
        "other content than the manifest says",
        "The files are right, but this version of policykit reads policies, profiles or plans from them whose digests "
        "are not those in the manifest: it gives them another meaning than the version that built the bundle.",
    ),
    CodeEntry(
        "PK654",
        "a key that cannot be used",
        "Keys are Ed25519 keys in PEM, as `policykit bundle keygen` writes them. A private key must be readable by its "
        "owner only, and a file that exists is never written over.",
        "policykit bundle sign release.bundle --key security.pub",
    ),
    CodeEntry(
        "PK655",
        "a file outside the bundle",
        "A policy or profile names a file that is not packed with it, so that the bundle could not be opened.",
        "policykit bundle build policies/profiles --revision 1 --out release.bundle",
    ),
    CodeEntry("PK656", "nothing to pack", "Among the files are neither policies nor profiles."),
    CodeEntry(
        "PK657",
        "signatures cannot be made or checked",
        "Signatures need the package `cryptography`, an extra of policykit. Without it no signed bundle is used.",
        "pip install policykit[bundle]",
    ),
)
