"""`policykit keys`: make a key, and check key files against the profiles that they grant."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from policykit.cli.command import Command, add_format
from policykit.cli.exits import Exit, status_of
from policykit.cli.render import counted
from policykit.cli.reports.diagnostics import report_diagnostics
from policykit.cli.streams import Streams
from policykit.diagnostics import Diagnostic, PolicyError, Severity
from policykit.profiles import check_keys, digest_of_key, load_keys, load_profiles, new_key
from policykit.profiles.keys import is_id


def _configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a key: it is printed once, with the line for the key file")
    new.add_argument("id", metavar="ID", help="the key's name in logs and metrics, such as `acme-web`")
    new.add_argument("--tenant", metavar="NAME", help="whose key it is")
    new.add_argument("--profiles", nargs="+", metavar="NAME", help="the profiles that it may use, the default first")
    new.add_argument("--admin", action="store_true", help="a key of an operator, for the admin address")
    check = actions.add_parser("check", help="report everything that is wrong with key files")
    check.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="key files, or folders of them")
    check.add_argument("--profiles", nargs="+", type=Path, metavar="PATH", help="profiles that the keys grant")
    add_format(check, "json", "sarif", "github")


def _line(args: Namespace, digest: str) -> str:
    """The entry for the key file, on one line."""
    if args.admin:
        return f"  - {{id: {args.id}, sha256: {digest}}}"
    default = f", default: {args.profiles[0]}" if len(args.profiles) > 1 else ""
    profiles = ", ".join(args.profiles)
    return f"  - {{id: {args.id}, sha256: {digest}, tenant: {args.tenant}, profiles: [{profiles}]{default}}}"


def _new(args: Namespace, streams: Streams) -> Exit:
    if args.admin == bool(args.tenant or args.profiles) or (args.tenant is None) != (args.profiles is None):
        help = "name `--tenant` and `--profiles`, or `--admin` alone"
        raise PolicyError.of("PK550", "a key is a client's or an operator's", help=help)
    wrong = next((name for name in (args.id, args.tenant, *(args.profiles or ())) if name and not is_id(name)), None)
    if wrong is not None:
        help = "use lower-case words, joined by `-`, `_` or `.`: `acme-web`"
        raise PolicyError.of("PK550", f"{json.dumps(wrong)} is no valid name", help=help)
    key = new_key()
    streams.err.print("the key, which is shown this once and kept nowhere:")
    streams.write(f"{key}\n")
    streams.err.print(f"\nits entry under `{'admins' if args.admin else 'keys'}:` of a `*.keys.yaml` file:")
    streams.write(f"{_line(args, digest_of_key(key))}\n")
    return Exit.FINE


def _check(args: Namespace, streams: Streams) -> Exit:
    found: tuple[Diagnostic, ...]
    sizes = ""
    try:
        keyring = load_keys(*args.paths)
        found = check_keys(keyring, load_profiles(*args.profiles)) if args.profiles else ()
        sizes = f"{counted(len(keyring.grants), 'key')}, {counted(len(keyring.admins), 'admin key')}"
    except PolicyError as error:
        found = error.diagnostics
    report_diagnostics(streams, args.format, found)
    if args.format == "text" and all(diagnostic.severity is Severity.WARNING for diagnostic in found):
        streams.out.print(f"{sizes}: no errors")
    return status_of(found, None)


def _run(args: Namespace, streams: Streams) -> Exit:
    return _new(args, streams) if args.action == "new" else _check(args, streams)


COMMAND = Command("keys", "make API keys, and check key files", _configure, _run)
