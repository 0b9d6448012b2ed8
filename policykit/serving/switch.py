"""The incident switch: a word in a file, or a word from an operator, that stops serving within a second."""

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from policykit.serving.hooks import SwitchState

INTERVAL_S = 0.5
MAX_BYTES = 64


class FileSwitch:
    """The switch in a file that holds `open`, `fallback_only` or `refuse_all`; no file is `open`.

    The file is read at most every half second, so what is written there holds in less than one. A file that cannot be
    read, or holds another word, is `refuse_all`: whoever wrote it wanted something, and ``problem`` says what is wrong.
    Without a path, the state lives in memory.
    """

    def __init__(self, path: str | Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(path) if path is not None else None
        self._clock = clock
        self._lock = Lock()
        self._read_at = -INTERVAL_S
        self._state = SwitchState.OPEN
        self._problem: str | None = None

    @property
    def state(self) -> SwitchState:
        """What is served now."""
        if self._path is not None and self._clock() - self._read_at >= INTERVAL_S:
            self._read(self._path)
        return self._state

    @property
    def problem(self) -> str | None:
        """What is wrong with the file; None where nothing is."""
        return self._problem if self.state is SwitchState.REFUSE_ALL else None

    def set(self, state: SwitchState) -> None:
        """Have a state hold at once, in the file too. Raises OSError if that cannot be written; then nothing changes
        but that ``refuse_all`` holds where that was asked for: a full disk must not keep a deployment open."""
        with self._lock:
            if self._path is not None:
                try:
                    _write(self._path, f"{state.value}\n")
                except OSError:
                    if state is SwitchState.REFUSE_ALL:
                        self._path, self._state = None, state  # from here on in memory
                    raise
                self._read_at = self._clock()
            self._state, self._problem = state, None

    def _read(self, path: Path) -> None:
        with self._lock:
            self._read_at = self._clock()
            try:
                with path.open("rb") as file:
                    word = file.read(MAX_BYTES).decode("utf-8", "replace").strip()
            except FileNotFoundError:
                self._state, self._problem = SwitchState.OPEN, None
                return
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                self._state, self._problem = SwitchState.REFUSE_ALL, f"the switch cannot be read: {why}"
                return
            known = {state.value: state for state in SwitchState}
            self._state = known.get(word, SwitchState.REFUSE_ALL)
            words = ", ".join(f"`{word}`" for word in known)
            self._problem = None if word in known else f"the switch holds another word than {words}"


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, so that nobody reads half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
