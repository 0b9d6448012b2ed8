"""The part of a text that is kept: what was read and has not gone out."""

_MANY = 64


class Window:
    """Characters ``start..end`` of a text. Appending and taking from the front cost as much as the characters do."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.end = start
        self._text = ""
        self._offset = 0
        self._later: list[str] = []
        self.n_bytes = 0
        """Bytes of UTF-8 that the kept characters take."""

    def copy(self) -> "Window":
        made = Window(self.start)
        made.end, made._text, made._offset, made._later = self.end, self._text, self._offset, self._later.copy()
        made.n_bytes = self.n_bytes
        return made

    def append(self, text: str) -> None:
        self._later.append(text)
        self.end += len(text)
        self.n_bytes += _n_bytes(text)
        if len(self._later) > _MANY:
            self._join()

    def text(self, start: int, end: int) -> str:
        """The characters ``[start, end)``, which are kept."""
        at = start - self.start + self._offset
        if end - self.start + self._offset > len(self._text):
            self._join()
            at = start - self.start
        return self._text[at : at + end - start]

    def take(self, end: int) -> str:
        """The characters up to ``end``, which are let go."""
        taken = self.text(self.start, end)
        self._offset += end - self.start
        self.start = end
        self.n_bytes -= _n_bytes(taken)
        return taken

    def _join(self) -> None:
        self._text = "".join([self._text[self._offset :], *self._later])
        self._later.clear()
        self._offset = 0


def _n_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))
