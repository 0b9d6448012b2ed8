"""`policykit fmt`: policy files and files of tests in the one layout, their comments kept."""

import difflib
import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from policykit.cli.command import Command
from policykit.cli.exits import Exit
from policykit.cli.render import counted
from policykit.cli.streams import Streams
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.policy import format_text
from policykit.policy.files import read_text_file

_SUFFIXES = (".policy.yaml", ".tests.yaml")


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    before: str
    after: str

    @property
    def changes(self) -> bool:
        return self.before != self.after


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, or folders; `-` formats standard input")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file would change")
    parser.add_argument("--diff", action="store_true", help="write nothing; show what would change")


def _paths(given: list[str], diagnostics: list[Diagnostic]) -> Iterator[Path]:
    """Every file once; those of a folder sorted, by their endings."""
    seen: set[Path] = set()
    for name in given:
        path = Path(name)
        found = [path]
        if path.is_dir():
            found = sorted(file for suffix in _SUFFIXES for file in path.rglob(f"*{suffix}") if file.is_file())
            if not found:
                message = f"there is no `*{_SUFFIXES[0]}` and no `*{_SUFFIXES[1]}` in the directory"
                diagnostics.append(Diagnostic("PK002", message, Place(name), "check the path"))
        for file in found:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _formatted(path: Path, diagnostics: list[Diagnostic]) -> _File | None:
    text = read_text_file(path, diagnostics)
    if text is None:
        return None
    try:
        # What is compared is the file's bytes: a byte order mark and CR LF are changes too.
        return _File(path, text, format_text(text, str(path)))
    except PolicyError as error:
        diagnostics.extend(error.diagnostics)
        return None


def _write(file: _File) -> None:
    """The whole file or nothing: the new text replaces the old one in one step, with the same permissions."""
    target = file.path.resolve()  # a link stays a link
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(handle, "w", encoding="utf-8", newline="") as out:
            out.write(file.after)
        os.chmod(name, target.stat().st_mode & 0o7777)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _from_stdin(args: Namespace, streams: Streams) -> Exit:
    if args.paths != ["-"]:
        raise PolicyError.of("PK550", "`-` stands beside other paths", help="format standard input on its own")
    try:
        text = streams.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError.of("PK554", f"standard input is not UTF-8: byte {error.start}") from None
    file = _File(Path("<stdin>"), text, format_text(text, "<stdin>"))
    if args.diff:
        _show(file, streams)
    elif not args.check:
        streams.write(file.after)
    return Exit.FAILED if args.check and file.changes else Exit.FINE


def _show(file: _File, streams: Streams) -> None:
    before, after = file.before.splitlines(), file.after.splitlines()
    lines = difflib.unified_diff(before, after, str(file.path), f"{file.path} (formatted)", lineterm="")
    for line in lines:
        streams.out.print(line)


def _run(args: Namespace, streams: Streams) -> Exit:
    if "-" in args.paths:
        return _from_stdin(args, streams)
    diagnostics: list[Diagnostic] = []
    files = [file for path in _paths(args.paths, diagnostics) if (file := _formatted(path, diagnostics))]
    if diagnostics:
        raise PolicyError(diagnostics)  # nothing is written where anything is wrong
    changed = [file for file in files if file.changes]
    for file in changed:
        if args.diff:
            _show(file, streams)
        elif not args.check:
            _write(file)
        if not args.diff:
            streams.out.print(f"{'would format' if args.check else 'formatted'} {file.path}")
    would = "would change" if args.check or args.diff else "changed"
    streams.err.print(f"{would}: {len(changed)} of {counted(len(files), 'file')}")
    return Exit.FAILED if args.check and changed else Exit.FINE


COMMAND = Command("fmt", "lay out policy files and files of tests, and keep their comments", _configure, _run)
