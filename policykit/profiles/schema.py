"""The field tables as JSON Schemas (2020-12), for editors."""

from policykit.policy.checked import Json
from policykit.policy.schema import definitions
from policykit.profiles.table import KEY_RECORDS, PROFILE_RECORDS


def profile_schema() -> dict[str, Json]:
    """The schema of a profile. It checks the form; what a profile names only loading checks."""
    return {**_head("profile", "policykit profile, version 1"), "$defs": definitions(PROFILE_RECORDS)}


def keys_schema() -> dict[str, Json]:
    """The schema of a key file."""
    return {**_head("keys", "policykit keys, version 1"), "$defs": definitions(KEY_RECORDS)}


def _head(root: str, title: str) -> dict[str, Json]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$ref": f"#/$defs/{root}",
    }
