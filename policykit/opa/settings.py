"""Where OPA is and how long it is waited for: the configuration of a deployment, never a part of a policy."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Never
from urllib.parse import SplitResult, urlsplit

from policykit.diagnostics import PolicyError

_SCHEMES = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class OpaSettings:
    """``url`` is scheme, host and port. ``ca_file`` holds the certificates (PEM) that are trusted instead of the
    system's. A decision takes at most ``deadline_s`` seconds with all its ``attempts``, each of which takes at most
    ``attempt_s``; attempts are ``backoff_s`` apart, doubled each time. After ``open_after`` decisions in a row that
    failed because OPA is down, it is not asked for ``open_s`` seconds; then one question finds out. An answer has at
    most ``max_bytes``.

    Raises PolicyError (PK162) for settings that cannot be meant.
    """

    url: str = "http://localhost:8181"
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    deadline_s: float = 1.0
    attempt_s: float = 0.5
    attempts: int = 3
    backoff_s: float = 0.05
    open_after: int = 5
    open_s: float = 10.0
    max_bytes: int = 1 << 16

    def __post_init__(self) -> None:
        parts = self._parts()
        if self.ca_file is not None and parts.scheme != "https":
            _refuse("certificates have no effect on `http`", "write `https`, or leave `ca_file` out")
        if self.token is not None:
            if not self.token or not all("!" <= char <= "~" for char in self.token):
                _refuse("the token is not one line of printable ASCII without spaces", "is a line break at its end?")
            if parts.scheme != "https" and not _is_here(self.host):
                _refuse("the token would be sent in clear to another machine", "use `https`")
        for name in ("deadline_s", "attempt_s", "open_s", "attempts", "open_after", "max_bytes"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                _refuse(f"`{name}` is {value}", "give a finite number above 0")
        if not 0 <= self.backoff_s < float("inf"):
            _refuse(f"`backoff_s` is {self.backoff_s}", "give a finite number of at least 0")

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            _refuse(f"`{self.url}` is no address: {error}", "such as `https://opa.example.org:8181`")
        extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
        if parts.scheme not in _SCHEMES or not parts.hostname or extra or port == 0:
            _refuse("the address of OPA is not scheme, host and port", "such as `https://opa.example.org:8181`")
        return parts

    @property
    def is_https(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or _SCHEMES[parts.scheme]


def _is_here(host: str) -> bool:
    """Whether a host name stands for this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(message: str, help: str) -> Never:
    raise PolicyError.of("PK162", message, help=help)
