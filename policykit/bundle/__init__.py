"""Bundles: policies, grammars and profiles as one reproducible, signed archive."""

from policykit.bundle.build import Built, build
from policykit.bundle.bundle import Bundle, Trust, check, parse, read
from policykit.bundle.contents import Opened, loaded, open_bundle
from policykit.bundle.manifest import FileEntry, Manifest, PolicyEntry, ProfileEntry
from policykit.bundle.signatures import PublicKey, Signature, generate, load_public, sign

__all__ = [
    "Built",
    "Bundle",
    "FileEntry",
    "Manifest",
    "Opened",
    "PolicyEntry",
    "ProfileEntry",
    "PublicKey",
    "Signature",
    "Trust",
    "build",
    "check",
    "generate",
    "load_public",
    "loaded",
    "open_bundle",
    "parse",
    "read",
    "sign",
]
