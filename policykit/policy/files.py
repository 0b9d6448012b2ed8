"""Text files as the loader reads them: bounded, strict UTF-8, complaints with a place."""

from pathlib import Path

from policykit.diagnostics import Diagnostic, Place
from policykit.policy.nodes import MAX_BYTES


def read_text_file(path: Path, diagnostics: list[Diagnostic], named_at: Place | None = None) -> str | None:
    """The file's text; None, and a diagnostic, where it has none.

    ``named_at`` is where a document names the file, None where the user has. At most 1 MiB, a byte order mark aside.
    """
    place = named_at or Place(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 4)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        diagnostics.append(Diagnostic("PK001", f"the file cannot be read: {reason}", place, "check the path"))
        return None
    if len(data) > MAX_BYTES + 3:  # a byte order mark does not count
        diagnostics.append(
            Diagnostic("PK005", f"the file has more than {MAX_BYTES} bytes", place, "split the document")
        )
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        diagnostics.append(_not_utf8(data, error.start, str(path)))
        return None


def _not_utf8(data: bytes, at: int, file: str) -> Diagnostic:
    head = data[:at].decode("utf-8")
    line = head.count("\n") + 1
    column = len(head) - (head.rfind("\n") + 1) + 1
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    message = "the file is UTF-16" if utf16 else f"the byte {data[at]:02X} is not UTF-8"
    return Diagnostic("PK004", message, Place(file, line, column, line, column + 1), "save the file as UTF-8")
