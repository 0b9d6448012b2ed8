"""`policykit adapter`: add LoRA adapters up exactly, and hold what they were trained under against a plan."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from policykit.cli.command import Command, add_format
from policykit.cli.engine import needing
from policykit.cli.exits import Exit
from policykit.cli.render import print_diagnostics
from policykit.cli.reports.plain import to_json
from policykit.cli.sources import add_plan_arguments, plan_from
from policykit.cli.streams import Streams
from policykit.diagnostics import PolicyError
from policykit.plan.pins import FILE, Pins, pin_diagnostics, read_pins


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"`{text}` is not a number") from None


def _configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    compose = actions.add_parser("compose", help="one adapter that does what several do together")
    compose.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="adapters of one base model")
    compose.add_argument("--weights", nargs="+", type=_weight, metavar="W", help="of each adapter (default: 1)")
    compose.add_argument("--method", default="cat", metavar="NAME", help="`cat`, the only one that is the sum")
    compose.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where it goes")
    check = actions.add_parser("check", help="what an adapter was trained under, held against a plan")
    check.add_argument("folder", type=Path, metavar="FOLDER", help="the adapter")
    add_plan_arguments(check)
    add_format(check, "json")


def _compose(args: Namespace, streams: Streams) -> Exit:
    with needing("composing adapters", "train"):
        from policykit.adapters.compose import compose
    if args.output.exists() and (not args.output.is_dir() or any(args.output.iterdir())):
        raise PolicyError.of("PK550", f"`{args.output}` exists and is not empty", help="name another folder")
    made = compose(args.folders, args.output, weights=args.weights, method=args.method)
    streams.write(f"wrote {made.folder}: rank {made.rank}, for `vllm serve --max-lora-rank {made.max_lora_rank}`\n")
    if made.pins is None:
        streams.err.print(f"not every part has a `{FILE}`: nothing is known about what the sum was trained under")
    return Exit.FINE


def _check(args: Namespace, streams: Streams) -> Exit:
    if not args.folder.is_dir():
        raise PolicyError.of("PK550", f"there is no folder `{args.folder}`", help="check the path")
    plan, pins = plan_from(args), read_pins(args.folder)
    found = pin_diagnostics(pins, plan, args.folder)
    if args.format == "json":
        streams.write(to_json({"fits": not found, "bundle_digest": plan.bundle_digest, "pins": pins}))
    else:
        print_diagnostics(streams.err, found)
        if pins is not None:
            _print(pins, streams)
    return Exit.FAILED if found else Exit.FINE


def _print(pins: Pins, streams: Streams) -> None:
    streams.write(f"trained under the bundle {pins.bundle_digest}\n")
    for title, lines in (
        ("policy", pins.policies),
        ("stage", pins.stages),
        ("data", [f"{one.name} {one.digest}" for one in pins.data]),
        ("evaluation", [f"{name}: {value}" for name, value in pins.evaluation.items()]),
    ):
        for line in lines:
            streams.write(f"  {title}: {line}\n")


def _run(args: Namespace, streams: Streams) -> Exit:
    return _compose(args, streams) if args.action == "compose" else _check(args, streams)


COMMAND = Command("adapter", "add LoRA adapters up, and hold them against a plan", _configure, _run)
