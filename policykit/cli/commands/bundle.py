"""`policykit bundle`: policies, grammars and profiles as one reproducible, signed archive."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from policykit.audit.shadow import Counted, read_shadow
from policykit.bundle import Bundle, PublicKey, Trust, build, check, generate, load_public, loaded, read, sign
from policykit.bundle.signatures import parse as parse_signature
from policykit.cli.command import Command, add_format
from policykit.cli.exits import Exit, status_of
from policykit.cli.render import counted
from policykit.cli.reports.bundles import as_json, size_of
from policykit.cli.reports.diagnostics import report_diagnostics
from policykit.cli.shadow_view import shadow_json, shadow_text
from policykit.cli.sources import date_flag, positive, today
from policykit.cli.streams import Streams
from policykit.cli.visible import shown
from policykit.diagnostics import Diagnostic, Place, PolicyError


def _configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _configure_build(actions.add_parser("build", help="pack folders of policies and profiles: same files, same bytes"))
    keygen = actions.add_parser("keygen", help="make a key that signs: KEY, for its owner only, and KEY.pub")
    keygen.add_argument("key", type=Path, metavar="KEY", help="the file of the private key")
    signing = actions.add_parser("sign", help="add a signature to a bundle, or write it beside")
    signing.add_argument("bundle", type=Path, metavar="BUNDLE")
    signing.add_argument("--key", type=Path, required=True, metavar="KEY", help="the private key's file")
    signing.add_argument("--detached", type=Path, metavar="FILE", help="write the signature there, leave the bundle")
    _configure_verify(actions.add_parser("verify", help="check every byte of a bundle, and who has signed it"))
    inspect = actions.add_parser("inspect", help="list what a bundle holds; says nothing of whom to trust")
    inspect.add_argument("bundle", type=Path, metavar="BUNDLE")
    add_format(inspect, "json")
    shadow = actions.add_parser("shadow-report", help="list the verdicts of a candidate that differ on live traffic")
    shadow.add_argument("store", type=Path, metavar="FILE", help="the file of `policykit serve --shadow-log`")
    shadow.add_argument("--candidate", metavar="BUNDLE", help="of this candidate alone, by revision or digest")
    shadow.add_argument("--profile", metavar="NAME", help="of this profile alone")
    add_format(shadow, "json")


def _configure_build(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="folders, or files")
    parser.add_argument("--revision", type=positive, required=True, metavar="N", help="grows with every release")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle to write")
    parser.add_argument("--expires", type=date_flag, metavar="DATE", help="not to be used from this day on (UTC)")
    parser.add_argument("--at", type=date_flag, metavar="DATE", help="put down the plans' digests of this day")


def _configure_verify(parser: ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--trusted", nargs="+", type=Path, default=[], metavar="PUB", help="public keys that count")
    parser.add_argument("--require", type=positive, default=1, metavar="N", help="how many of them must have signed")
    parser.add_argument("--signature", nargs="+", type=Path, default=[], metavar="FILE", help="detached signatures")
    parser.add_argument("--min-revision", type=positive, metavar="N", help="refuse an older revision")
    parser.add_argument("--at", type=date_flag, metavar="DATE", help="the day of use (default: today, UTC)")
    add_format(parser, "json", "sarif", "github")


def _build(args: Namespace, streams: Streams) -> Exit:
    built = build(args.paths, args.revision, expires=args.expires, at=args.at)
    _write(args.out, built.bundle.render())
    for name in built.left_out:
        streams.err.print(f"left out: {shown(name)}")
    streams.out.print(f"{shown(str(args.out))}: {size_of(built.bundle)}")
    streams.out.print(f"digest {built.bundle.manifest.digest}")
    return Exit.FINE


def _keygen(args: Namespace, streams: Streams) -> Exit:
    key = generate(args.key)
    streams.out.print(f"key {key.id}: {shown(str(args.key))} signs, {shown(str(args.key))}.pub is for those who verify")
    return Exit.FINE


def _sign(args: Namespace, streams: Streams) -> Exit:
    bundle = read(args.bundle)
    if args.detached:
        signature = sign(bundle.manifest.render(), args.key)
        _write(args.detached, signature.render())
    else:
        bundle = bundle.signed_by(args.key)
        signature = bundle.signatures[-1]
        _write(args.bundle, bundle.render())
    streams.out.print(f"signed revision {bundle.manifest.revision} with the key {signature.key.id}")
    return Exit.FINE


def _verify(args: Namespace, streams: Streams) -> Exit:
    found: tuple[Diagnostic, ...] = ()
    signers: tuple[PublicKey, ...] = ()
    bundle: Bundle | None = None
    try:
        keys = tuple(map(load_public, args.trusted))
        detached = [parse_signature(_bytes(path), str(path)) for path in args.signature]
        bundle = read(args.bundle)
        trust = Trust(keys, args.require, args.min_revision, args.at or today())
        signers = check(bundle, trust, str(args.bundle), detached)
        loaded(bundle, str(args.bundle))
    except PolicyError as error:
        found = error.diagnostics
    report_diagnostics(streams, args.format, found)
    if args.format == "text" and not found and bundle is not None:
        streams.out.print(f"{shown(str(args.bundle))}: {size_of(bundle)}")
        streams.out.print(f"signed by {', '.join(key.id for key in signers)}")
    return status_of(found, None)


def _inspect(args: Namespace, streams: Streams) -> Exit:
    bundle = read(args.bundle)
    if args.format == "json":
        streams.write(as_json(bundle))
        return Exit.FINE
    manifest = bundle.manifest
    streams.out.print(f"revision {manifest.revision}, digest {manifest.digest}")
    if manifest.expires:
        streams.out.print(f"expires {manifest.expires}")
    if manifest.policies:
        sizes = (
            counted(len(manifest.policies.documents), "policy document"),
            counted(manifest.policies.n_rules, "rule"),
        )
        streams.out.print(f"policies {manifest.policies.digest}: {', '.join(sizes)}")
    files = Table("file", "bytes", "sha256", box=None, pad_edge=False)
    files.columns[1].justify = "right"
    for entry in manifest.files:
        files.add_row(shown(entry.path), f"{entry.size}", entry.sha256.removeprefix("sha256:")[:16])
    streams.out.print(files)
    for profile in manifest.profiles:
        plan = f", plan {profile.plan} on {manifest.at}" if profile.plan else ""
        streams.out.print(f"profile {shown(profile.name)} {shown(profile.version)}: {profile.digest}{plan}")
    for signature in bundle.signatures:
        right = "signed" if signature.signs(manifest.render()) else "WRONG signature"
        streams.out.print(f"{right} by {signature.key.id}")
    if not bundle.signatures:
        streams.out.print("not signed")
    return Exit.FINE


def _write(path: Path, data: bytes) -> None:
    """Replace the file as a whole: nobody reads half a bundle."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        message = f"the file cannot be written: {(error.strerror or str(error)).lower()}"
        raise PolicyError.of("PK001", message, Place(str(path)), "check the path") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"the signature cannot be read: {(error.strerror or str(error)).lower()}"
        raise PolicyError.of("PK650", message, Place(str(path)), "check the path") from error


def _shadow_report(args: Namespace, streams: Streams) -> Exit:
    """1 where verdicts differ, 2 where none does and some request was not asked about."""
    report = read_shadow(args.store).of(args.candidate, args.profile)
    if args.format == "json":
        streams.write(shadow_json(report))
    else:
        for line in shadow_text(report):
            streams.out.print(line, soft_wrap=True)
    if report.differences:
        return Exit.FAILED
    return Exit.OVER_LIMIT if report.total(Counted.DROPPED) or report.total(Counted.FAILED) else Exit.FINE


_ACTIONS: dict[str, Callable[[Namespace, Streams], Exit]] = {
    "build": _build,
    "keygen": _keygen,
    "sign": _sign,
    "verify": _verify,
    "inspect": _inspect,
    "shadow-report": _shadow_report,
}


def _run(args: Namespace, streams: Streams) -> Exit:
    return _ACTIONS[args.action](args, streams)


COMMAND = Command("bundle", "pack, sign and verify policies and profiles as one archive", _configure, _run)
