"""How long the decision log is kept, and how it is signed, as a deployment says it: by options or environment."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from policykit.audit import Log, LogError, RetirementRefused, Signer, SqliteSettings, open_log, retire_log
from policykit.audit.errors import PackageMissing
from policykit.audit.opening import is_postgres
from policykit.audit.retire import is_due
from policykit.diagnostics import PolicyError

DAYS = "POLICYKIT_LOG_DAYS"
"""Records older than so many days are retired; without it none is."""
SEGMENT_MB = "POLICYKIT_LOG_SEGMENT_MB"
"""A file of a log in a folder is sealed when it has so many MB; the default is 256."""
SIGN = "POLICYKIT_LOG_SIGN"
"""The file of the Ed25519 key that signs a checkpoint at every 1000th record."""
CHECKPOINTS = "POLICYKIT_LOG_CHECKPOINTS"
"""The file to which signed checkpoints are appended, too: best on another disk."""
DEFAULT_MB = 256
DAY_S = 86_400
RETIRE_EVERY_S = 3600.0
_LOG = logging.getLogger("policykit.serving")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What is said, before files are read. With ``days`` a segment is sealed after a day, so that it can go when its
    records are old."""

    segment_mb: int = DEFAULT_MB
    days: int | None = None
    sign: Path | None = None
    checkpoints: Path | None = None

    def check(self, address: str | Path) -> Signer | None:
        """The signer, if there is one. Raises PolicyError (PK682) for what cannot be done with a log at an address;
        KeyUnusable (PK669), PackageMissing (PK670)."""
        if self.checkpoints is not None and self.sign is None:
            help = "name the key with `--log-sign`, or leave `--log-checkpoints` out"
            raise PolicyError.of("PK682", "checkpoints of the log are to be kept, and no key signs them", help=help)
        if self.days is not None and is_postgres(address):
            message = "servers do not retire a log in PostgreSQL: the role that they write with may not"
            help = "leave `--log-days` out, and run `policykit audit retire` as the owner of the tables"
            raise PolicyError.of("PK682", message, help=help)
        return _signer(self.sign) if self.sign else None

    def open(self, address: str | Path) -> Log:
        """The log at an address. Raises what :meth:`check` does, and LogError."""
        signer, segment_s = self.check(address), DAY_S if self.days is not None else None
        settings = SqliteSettings(segment_bytes=self.segment_mb << 20, segment_s=segment_s)
        return open_log(address, settings, signer=signer, checkpoint_file=self.checkpoints)

    def variables(self) -> dict[str, str]:
        """The environment that says the same."""
        said = {DAYS: self.days, SIGN: self.sign, CHECKPOINTS: self.checkpoints}
        return {
            SEGMENT_MB: str(self.segment_mb),
            **{name: str(value) for name, value in said.items() if value is not None},
        }

    @staticmethod
    def read(variables: Mapping[str, str]) -> "Lifetime":
        """What the environment says. Raises PolicyError (PK680) for a value that is none."""
        sign, checkpoints = variables.get(SIGN), variables.get(CHECKPOINTS)
        return Lifetime(
            _number(variables, SEGMENT_MB) or DEFAULT_MB,
            _number(variables, DAYS),
            Path(sign) if sign else None,
            Path(checkpoints) if checkpoints else None,
        )


class Retirement:
    """Retires what is old, once an hour, while a server runs. ``problem`` says why it does not."""

    def __init__(self, folder: Path, days: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder, self._age, self._now = folder, timedelta(days=days), now
        self.problem: str | None = None

    @staticmethod
    def of(lifetime: Lifetime, address: str | Path) -> "Retirement | None":
        """None where nothing is to be retired."""
        return None if lifetime.days is None else Retirement(Path(address), lifetime.days)

    async def run(self) -> None:
        while True:
            await asyncio.to_thread(self.once)
            await asyncio.sleep(RETIRE_EVERY_S)

    def once(self) -> None:
        """Retire what is old now. A log that does not verify keeps everything, and is named."""
        now = self._now()
        try:
            if is_due(self._folder, now - self._age):
                done = retire_log(self._folder, now - self._age, now)
                _LOG.info("%d records of the decision log were retired", done.removed)
            self.problem = None
        except RetirementRefused as error:
            self.problem = error.diagnostics[0].message
            _LOG.error("nothing of the decision log is retired: %s", self.problem)
        except LogError as error:
            _LOG.warning("nothing of the decision log was retired: %s", error.diagnostics[0].message)

    async def check(self) -> str | None:
        """For readiness."""
        return self.problem


def _signer(path: Path) -> Signer:
    try:
        from policykit.audit.ed25519 import load_signer
    except ImportError as error:
        message = "signing the log needs the package `cryptography`, which is not installed"
        raise PackageMissing.because(message, "install it with `pip install policykit[serve]`") from error
    return load_signer(path)


def _number(variables: Mapping[str, str], name: str) -> int | None:
    value = variables.get(name)
    if not value:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise PolicyError.of("PK680", f"`{name}` is `{value}`", help="give a whole number above 0")
    return int(value)
