"""`policykit audit`: whether the decision log is the one that was written, what it holds, and what was permitted."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from rich.table import Table

from policykit.audit import (
    Checkpoint,
    LogDamaged,
    PackageMissing,
    Query,
    Record,
    Rejudged,
    Replayed,
    ReplayRefused,
    Retired,
    Verification,
    open_reader,
    query_log,
    query_retired,
    read_checkpoints,
    rejudge,
    render,
    replay_masks,
    retire_log,
    verify_log,
)
from policykit.cli.command import Command, add_format
from policykit.cli.exits import Exit
from policykit.cli.render import counted
from policykit.cli.sources import positive
from policykit.cli.streams import Streams
from policykit.diagnostics import PolicyError
from policykit.ir.verdict import Decision
from policykit.plan import load_plan

_LOG = "the log: a folder, or `postgresql://…`"


def _configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser("verify", help="read the whole log and name the first record that is not as written")
    verify.add_argument("log", metavar="LOG", help=_LOG)
    _add_checkpoints(verify)
    add_format(verify, "json")
    retire = actions.add_parser("retire", help="remove the oldest records, and say so in the log")
    retire.add_argument("log", metavar="LOG", help=f"{_LOG} (as the owner of its tables)")
    retire.add_argument(
        "--older-than", required=True, type=positive, metavar="DAYS", help="what arrived earlier than this may go"
    )
    _add_checkpoints(retire)
    add_format(retire, "json")
    replay = actions.add_parser("replay", help="compute again what was permitted at each step of an answer")
    replay.add_argument("log", metavar="LOG", help=_LOG)
    replay.add_argument("--request", required=True, metavar="ID", help="the record's request")
    replay.add_argument("--plan", required=True, type=Path, metavar="FILE", help="the plan that it was decoded under")
    replay.add_argument("--tokenizer", required=True, type=Path, metavar="FILE", help="the engine's `tokenizer.json`")
    add_format(replay, "json")
    query = actions.add_parser("query", help="print records")
    query.add_argument("log", metavar="LOG", help=_LOG)
    query.add_argument("--since", metavar="TIME", help="from this time on (ISO 8601; UTC if no zone is named)")
    query.add_argument("--until", metavar="TIME", help="before this time")
    for name in ("tenant", "profile", "rule", "request"):
        query.add_argument(f"--{name}", metavar="NAME", help=f"of this {name}")
    query.add_argument("--decision", choices=[decision.value for decision in Decision], help="with this decision")
    query.add_argument(
        "--retired", action="store_true", help="what was removed from the log, and when, in place of records"
    )
    query.add_argument("--limit", type=int, metavar="N", help="no more than this many (default: all)")
    query.add_argument(
        "--format", choices=("table", "json", "jsonl"), default="table", help="what to print (default: table)"
    )


def _add_checkpoints(parser: ArgumentParser) -> None:
    parser.add_argument("--checkpoints", type=Path, metavar="FILE", help="signed checkpoints that were kept elsewhere")
    parser.add_argument("--trusted", nargs="+", type=Path, metavar="PEM", help="public keys that may sign checkpoints")


def _verify(args: Namespace, streams: Streams) -> Exit:
    checkpoints = _checkpoints(args)
    try:
        with closing(open_reader(args.log)) as reader:
            found = verify_log(reader, checkpoints, _trusted(args.trusted), _progress(streams, "verified"))
    except LogDamaged as error:  # the help of others that meet it is to verify the log
        help = "restore it from a copy: where a log's first or last file cannot be read, nothing of it is verified"
        raise LogDamaged.because(error.diagnostics[0].message, help) from error
    if args.format == "json":
        streams.write(f"{json.dumps(_verification(found))}\n")
    elif found.fault is None:
        size = counted(found.n_entries, "record")
        against = f", {counted(found.n_checkpoints, 'checkpoint')}" if args.trusted else ""
        streams.out.print(f"{size} from {found.first} to {found.head.sequence}{against}: as written")
        if found.retired:
            streams.out.print(f"records 1 to {found.first - 1} were retired by {_stated(found.retired)}")
        streams.out.print(f"head sha256:{found.head.hash.hex()}")
    else:
        fault = found.fault
        of = f" (request `{fault.request}`)" if fault.request else ""
        streams.out.print(f"record {fault.sequence}{of}: {fault.kind}: {fault.why}")
        streams.out.print(f"{counted(found.n_entries, 'record')} before it verified")
    return Exit.FINE if found.fault is None else Exit.FAILED


def _verification(found: Verification) -> dict[str, object]:
    fault = found.fault
    return {
        "first": found.first,
        "retired": found.retired and _stated(found.retired),
        "records": found.n_entries,
        "checkpoints": found.n_checkpoints,
        "head": {"sequence": found.head.sequence, "hash": f"sha256:{found.head.hash.hex()}"},
        "fault": fault
        and {"sequence": fault.sequence, "kind": fault.kind.value, "why": fault.why, "request": fault.request},
    }


def _checkpoints(args: Namespace) -> tuple[Checkpoint, ...]:
    checkpoints = read_checkpoints(args.checkpoints) if args.checkpoints else ()
    if checkpoints and not args.trusted:
        help = "name the public key with `--trusted`"
        raise PolicyError.of("PK550", "checkpoints prove nothing without a key that is trusted", help=help)
    return checkpoints


def _retire(args: Namespace, streams: Streams) -> Exit:
    now = datetime.now(UTC)
    before = now - timedelta(days=args.older_than)
    trusted, progress = _trusted(args.trusted), _progress(streams, "verified")
    done = retire_log(args.log, before, now, _checkpoints(args), trusted, progress)
    if args.format == "json":
        last = done.last and {"sequence": done.last.sequence, "hash": f"sha256:{done.last.hash.hex()}"}
        oldest = done.oldest and _stated(done.oldest)
        told = {"removed": done.removed, "last": last, "first": done.kept_from, "oldest": oldest}
        streams.write(f"{json.dumps(told)}\n")
        return Exit.FINE
    if done.last is None:
        streams.out.print(f"nothing to retire: no part of the log is wholly older than {_stated(before)}")
    else:
        size = counted(done.removed, "record")
        streams.out.print(f"{size} retired, up to {done.last.sequence} sha256:{done.last.hash.hex()}")
    if done.oldest is not None:
        streams.out.print(f"kept from {done.kept_from} on, which is of {_stated(done.oldest)}")
    return Exit.FINE


def _stated(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _trusted(paths: list[Path] | None) -> Callable[[Checkpoint], bool] | None:
    if not paths:
        return None
    try:
        from policykit.audit.ed25519 import is_signed, load_public
    except ImportError as error:
        message = "checkpoints need the package `cryptography`, which is not installed"
        raise PackageMissing.because(message, "install it with `pip install policykit[serve]`") from error
    keys = frozenset(load_public(path) for path in paths)
    return lambda point: is_signed(point, keys)


def _query(args: Namespace, streams: Streams) -> Exit:
    wanted = Query(
        since=_time("--since", args.since),
        until=_time("--until", args.until),
        tenant=args.tenant,
        profile=args.profile,
        rule=args.rule,
        decision=Decision(args.decision) if args.decision else None,
        request=args.request,
    )
    if args.retired:
        return _query_retired(args, wanted, streams)
    with closing(open_reader(args.log)) as reader:
        found = islice(query_log(reader, wanted), args.limit)
        if args.format == "table":
            _print_table(streams, found)
        else:
            _print_json(streams, found, lines=args.format == "jsonl")
    return Exit.FINE


def _query_retired(args: Namespace, wanted: Query, streams: Streams) -> Exit:
    if wanted != Query(since=wanted.since, until=wanted.until):
        help = "leave everything but `--since`, `--until` and `--limit` out"
        raise PolicyError.of("PK550", "a retirement is of no tenant, profile, rule, request or decision", help=help)
    with closing(open_reader(args.log)) as reader:
        found = islice(query_retired(reader, wanted.since, wanted.until), args.limit)
        if args.format == "table":
            for sequence, said in found:
                gone = f"records up to {said.last} (sha256:{said.hash})"
                streams.out.print(f"record {sequence}, {_stated(said.at)}: {gone} were retired", soft_wrap=True)
        else:
            _print_json(streams, found, lines=args.format == "jsonl")
    return Exit.FINE


def _replay(args: Namespace, streams: Streams) -> Exit:
    plan = load_plan(args.plan)
    with closing(open_reader(args.log)) as reader:
        records = [record for _, record in query_log(reader, Query(request=args.request))]
    if not records:
        raise ReplayRefused.because(f"the log has no record of `{args.request}`", "see `policykit audit query`")
    choices: list[Replayed] = []
    texts: list[Rejudged] = []
    for record in records:
        choices += replay_masks(record, plan, args.tokenizer, _progress(streams, "tokens replayed"))
        texts += rejudge(record, plan)
    if args.format == "json":
        found = {"choices": [_choice(one) for one in choices], "texts": [_text(one) for one in texts]}
        streams.write(f"{json.dumps(found)}\n")
    else:
        _print_replay(streams, choices, texts)
    fine = all(one.permitted and one.agrees is not False for one in choices) and all(one.agrees for one in texts)
    return Exit.FINE if fine else Exit.FAILED


def _print_replay(streams: Streams, choices: list[Replayed], texts: list[Rejudged]) -> None:
    says = {True: "as the record says", False: "not as the record says", None: "the record has no report of it"}
    for one in choices:
        streams.out.print(
            f"choice {one.choice}, attempt {one.attempt}: {counted(len(one.steps), 'token')}, {one.outcome}"
        )
        for number, step in enumerate(one.steps, 1):
            if not step.allowed:
                streams.out.print(f"  token {number} ({step.token_id}) was not permitted: {', '.join(step.blocked_by)}")
        for rule, n in sorted(one.closed.items()):
            streams.out.print(f"  {rule}: closed tokens at {counted(n, 'place')}")
        streams.out.print(f"  {'every token was permitted' if one.permitted else 'not permitted'}; {says[one.agrees]}")
    for text in texts:
        again = text.again or f"cannot be judged: {text.why}"
        streams.out.print(f"text of choice {text.judgement.choice}: {text.judgement.decision}, again {again}")


def _choice(one: Replayed) -> dict[str, object]:
    steps = [
        {"token": s.token_id, "allowed": s.allowed, "n_allowed": s.n_allowed, "closers": s.closers, "by": s.blocked_by}
        for s in one.steps
    ]
    ended = {"outcome": one.outcome.value, "permitted": one.permitted, "agrees": one.agrees}
    return {"choice": one.choice, "attempt": one.attempt, **ended, "closed": dict(one.closed), "steps": steps}


def _text(one: Rejudged) -> dict[str, object]:
    told = {"recorded": one.judgement.decision.value, "again": one.again, "why": one.why, "agrees": one.agrees}
    return {"choice": one.judgement.choice, **told}


def _print_table(streams: Streams, found: Iterator[tuple[int, Record]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("record", "at", "tenant", "profile", "decision", "outcome", "rules", "request"):
        table.add_column(name, overflow="fold")
    for sequence, record in found:
        who = (record.tenant or "", record.profile or "", record.decision.value, record.outcome.value)
        table.add_row(str(sequence), _stated(record.at), *who, ", ".join(record.rules), record.request)
    streams.out.print(table)


def _print_json(
    streams: Streams, found: Iterator[tuple[int, Record]] | Iterator[tuple[int, Retired]], *, lines: bool
) -> None:
    """Each record as it is chained, with its number beside it; written as they are read."""
    before = "" if lines else "["
    for sequence, record in found:
        streams.write(f'{before}{{"sequence":{sequence},"record":{render(record).decode("utf-8")}}}')
        before = "\n" if lines else ",\n"
    if lines:
        streams.write("\n" if before == "\n" else "")
    else:
        streams.write("[]\n" if before == "[" else "]\n")


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        help = "write `2026-03-01` or `2026-03-01T12:00:00Z`"
        raise PolicyError.of("PK550", f"{option}: `{text}` is no time", help=help) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _progress(streams: Streams, what: str) -> Callable[[int], None]:
    """Tells a person at a terminal how far a long work is."""
    if not streams.err.is_terminal:
        return lambda done: None
    return lambda done: streams.err.print(f"{done} {what}", end="\r") if done % 10_000 == 0 else None


def _run(args: Namespace, streams: Streams) -> Exit:
    does = {"verify": _verify, "query": _query, "replay": _replay, "retire": _retire}
    return does[args.action](args, streams)


COMMAND = Command("audit", "verify, search, replay and retire the decision log", _configure, _run)
