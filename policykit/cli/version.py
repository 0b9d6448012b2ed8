"""The version of policykit that is installed."""

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The installed distribution's version; `0` where policykit runs from a source tree that was never installed."""
    try:
        return version("policykit")
    except PackageNotFoundError:
        return "0"
