"""Which revision was served last: kept beside the engine's files, so that a restart takes no older bundle either."""

import json
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policykit.diagnostics import Place, PolicyError
from policykit.serving.deployment import Deployment

FILE = "bundle.json"
_LOG = logging.getLogger("policykit.serving")


@dataclass(frozen=True, slots=True)
class LastServed:
    """Remembers in the run directory. Servers of one deployment share it; other deployments have their own."""

    run: Path

    @property
    def path(self) -> Path:
        return self.run / FILE

    def check(self, found: Deployment) -> None:
        """Raises PolicyError for an older revision than was served, or the same with other content (PK651), and where
        that cannot be known (PK680)."""
        before = self._read()
        if before is not None and found.revision is not None:
            revision, digest = before
            is_other = int(found.revision) == revision and found.bundle_digest != digest
            if int(found.revision) < revision or is_other:
                message = f"the bundle is revision {found.revision}, and {revision} was served already"
                help = f"build with a higher `--revision`; who means to go back removes `{self.path}`"
                raise PolicyError.of("PK651", message, Place(str(self.path)), help)

    def admit(self, found: Deployment) -> None:
        """What is admitted is the last one from now on. Raises as ``check`` does, and PK680 where it cannot be kept."""
        self.check(found)
        try:
            self._write(found)
        except OSError as error:
            raise self._unusable("cannot be written", error) from error

    def keep(self, found: Deployment) -> None:
        """After a reload. Where it cannot be written that is logged: what is served is right all the same."""
        try:
            self._write(found)
        except OSError as error:
            _LOG.error("`%s` cannot be written: a restart would take revisions before %s", self.path, found.revision)
            _LOG.debug("%s", error)

    def _read(self) -> tuple[int, str] | None:
        try:
            data: Any = json.loads(self.path.read_bytes())
            return int(data["revision"]), str(data["digest"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise self._unusable("cannot be read", error) from error

    def _write(self, found: Deployment) -> None:
        if found.revision is None:
            return
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.run / f".{FILE}.{secrets.token_hex(4)}"
        text = json.dumps({"revision": int(found.revision), "digest": found.bundle_digest})
        with beside.open("w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    def _unusable(self, what: str, error: Exception) -> PolicyError:
        message = f"which bundle was served last {what}: {type(error).__name__}"
        help = "make the run directory writable; or remove the file, if the bundle is the right one"
        return PolicyError.of("PK680", message, Place(str(self.path)), help)
