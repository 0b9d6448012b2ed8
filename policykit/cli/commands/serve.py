"""`policykit serve`: a model under profiles, on vLLM, on transformers, or behind any OpenAI-compatible server."""

import os
from argparse import REMAINDER, ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path

from policykit.audit import SpanForm
from policykit.cli.command import Command
from policykit.cli.engine import NotInstalled
from policykit.cli.exits import Exit
from policykit.cli.sources import above_zero, not_negative, positive
from policykit.cli.streams import Streams
from policykit.diagnostics import Diagnostic, PolicyError

EMBEDDED = "embedded"
DEFAULT_MB = 256
DEFAULTS = {"--head-timeout": 10.0, "--body-timeout": 30.0, "--read-timeout": 60.0}
_NEEDED = ("starlette", "uvicorn", "aiohttp", "prometheus_client", "opentelemetry.sdk")


def _configure(parser: ArgumentParser) -> None:
    served = parser.add_mutually_exclusive_group(required=True)
    served.add_argument("--profiles", nargs="+", default=[], type=Path, metavar="PATH", help="profiles, or folders")
    served.add_argument("--bundle", type=Path, metavar="BUNDLE", help="a bundle with the profiles; a new one is served")
    parser.add_argument("--trusted", nargs="+", type=Path, default=[], metavar="PUB", help="keys that sign the bundle")
    parser.add_argument(
        "--require", type=not_negative, default=1, metavar="N", help="how many of them must have signed it (default: 1)"
    )
    parser.add_argument(
        "--on-bad-bundle", choices=("keep", "refuse"), default="keep",
        help="serve the old one on where a new one is refused, or nothing (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--shadow-bundle", type=Path, metavar="BUNDLE", help="a candidate, asked beside what is served")
    parser.add_argument(
        "--shadow-log", type=Path, default=Path("shadow.sqlite"), metavar="FILE",
        help="what the candidate says, for `bundle shadow-report` (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--keys", nargs="+", required=True, type=Path, metavar="PATH", help="key files, or folders")
    parser.add_argument(
        "--log", default="decisions", metavar="LOG", help="a folder, or `postgresql://…` (default: %(default)s)"
    )
    parser.add_argument(
        "--model", metavar="MODEL", help="the model that vLLM, or `--engine`, runs; with `--upstream` its name there"
    )
    parser.add_argument(
        "--engine", choices=("vllm", "transformers"), help="what runs the model (default: vllm; one is for development)"
    )
    parser.add_argument("--upstream", metavar="URL", help="stand before this server, such as `http://127.0.0.1:8000`")
    parser.add_argument("--upstream-key-env", metavar="NAME", help="the variable with the upstream's key")
    parser.add_argument(
        "--upstream-tokenizer", type=Path, metavar="PATH",
        help="its model's `tokenizer.json`, or folder: for the strategies `exact`, `block` and `auto`",
    )  # fmt: skip
    parser.add_argument(
        "--reward", action="append", default=[], metavar="NAME=FOLDER",
        help="a reward model that profiles choose answers by; may be given several times",
    )  # fmt: skip
    parser.add_argument("--reward-device", metavar="DEVICE", help="where reward models run (default: cpu)")
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="(default: %(default)s)")
    parser.add_argument("--port", type=int, default=8400, metavar="N", help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--run", dest="run_directory", type=Path, default=Path("run"), metavar="DIR", help="shared with the engine"
    )
    parser.add_argument("--switch", type=Path, metavar="FILE", help="the incident switch")
    parser.add_argument(
        "--equipment",
        metavar="FILE.py:NAME",
        help="a `policykit.serving.Equipment`: keys, vaults, functions, facts",
    )
    parser.add_argument(
        "--log-spans", choices=[form.value for form in SpanForm],
        help="how the log keeps what rules found (default: omitted, or with `--log-key` hashed)",
    )  # fmt: skip
    parser.add_argument("--log-key", type=Path, metavar="FILE", help="what spans are hashed with (default: a new key)")
    parser.add_argument("--log-replay", action="store_true", help="keep texts and tokens, in clear, for `audit replay`")
    parser.add_argument(
        "--log-days", type=positive, metavar="N", help="retire records that are older (default: keep them)"
    )
    parser.add_argument(
        "--log-segment-mb", type=positive, default=DEFAULT_MB, metavar="N",
        help="how large a file of the log grows (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--log-sign", type=Path, metavar="PEM", help="the Ed25519 key that signs checkpoints")
    parser.add_argument("--log-checkpoints", type=Path, metavar="FILE", help="keep them here, too: on another disk")
    for name, help in (
        ("--head-timeout", "how long a request's header may take (default: %(default)s)"),
        ("--body-timeout", "how long its body may take (default: %(default)s)"),
        ("--read-timeout", "how long a client may leave an answer unread (default: %(default)s)"),
    ):
        parser.add_argument(name, type=above_zero, default=DEFAULTS[name], metavar="S", help=help)
    parser.add_argument("--vllm", nargs=REMAINDER, default=[], metavar="ARG", help="last: the rest is for `vllm serve`")


def _check(args: Namespace) -> None:
    """Raises PolicyError and NotInstalled for what cannot be served."""
    missing = [name for name in _NEEDED if find_spec(name.partition(".")[0]) is None]
    if missing:
        message = f"serving needs {', '.join(missing)}, which are not installed"
        raise NotInstalled(Diagnostic("PK555", message, help="pip install 'policykit[serve]'"))
    if bool(args.upstream) == bool(args.engine or args.model) and not (
        args.upstream and args.model and not args.engine
    ):
        help = "name `--model`, or `--engine transformers`, or `--upstream`"
        raise PolicyError.of("PK721", "one model is served", help=help)
    if args.upstream_tokenizer and not (args.upstream and args.model):
        help = "name `--upstream`, and with `--model` what the model is called there"
        raise PolicyError.of("PK721", "`--upstream-tokenizer` is of an upstream's model", help=help)
    if args.reward and (missing := [name for name in ("torch", "transformers") if find_spec(name) is None]):
        message = f"reward models need {', '.join(missing)}, which are not installed"
        raise NotInstalled(Diagnostic("PK555", message, help="pip install 'policykit[train]'"))
    if args.upstream_key_env and not os.environ.get(args.upstream_key_env):
        help = "set it to the upstream's key, or leave the option out"
        raise PolicyError.of("PK721", f"`{args.upstream_key_env}` is not set", help=help)


def _run(args: Namespace, streams: Streams) -> Exit:
    _check(args)
    from policykit.serving import run
    from policykit.serving.bundled import BundleFiles
    from policykit.serving.equipment import EquipmentSource, without_facts
    from policykit.serving.keeping import KeepingFiles
    from policykit.serving.lifetime import Lifetime
    from policykit.serving.reload_source import OnBad
    from policykit.serving.rewards import RewardFiles
    from policykit.serving.shadow_source import ShadowFiles
    from policykit.serving.waits import Waits

    spans = SpanForm(args.log_spans) if args.log_spans else None
    kept = KeepingFiles(spans, args.log_key, args.log_replay)
    lifetime = Lifetime(args.log_segment_mb, args.log_days, args.log_sign, args.log_checkpoints)
    bundle = None
    if args.bundle:
        bundle = BundleFiles(args.bundle, tuple(args.trusted), args.require, OnBad(args.on_bad_bundle))
    shadow = None
    if args.shadow_bundle:
        shadow = ShadowFiles(BundleFiles(args.shadow_bundle, tuple(args.trusted), args.require), args.shadow_log)
    waits = Waits(args.head_timeout, args.body_timeout, args.read_timeout)
    rewards = RewardFiles.of(args.reward, args.reward_device)
    equipment = EquipmentSource(args.equipment)
    about = (args.log, args.run_directory, args.switch, kept, bundle, shadow, lifetime, waits, rewards, equipment)
    run.check_address(args.host, args.port)
    files = run.Files(tuple(args.profiles), tuple(args.keys), *about)
    if args.upstream:
        key = os.environ[args.upstream_key_env] if args.upstream_key_env else None
        run.deployment(files, args.model)  # what is wrong with it is told before the upstream is asked
        model = run.gateway(args.upstream, key, args.model, args.upstream_tokenizer)
    elif args.engine == "transformers":
        run.deployment(files, None)  # what is wrong with it is told before a model is loaded
        model = run.on_transformers(args.model or EMBEDDED, args.run_directory)
    else:
        if find_spec("vllm") is None:
            message = "vLLM is not installed here"
            raise NotInstalled(Diagnostic("PK555", message, help="pip install vllm, or use `--engine transformers`"))
        run.on_vllm(files, args.model, args.host, args.port, args.vllm)
        return Exit.FINE
    app = run.application(files, model)
    if unknown := without_facts(app.serving.deployment.profiles, files.equipment.load()):
        streams.err.print(unknown)
    n = len(app.serving.deployment.profiles.profiles)
    run.serve(app, args.host, args.port, lambda at: streams.err.print(f"serving {n} profiles at {at}/v1"), waits)
    return Exit.FINE


COMMAND = Command("serve", "serve a model under profiles: on vLLM, on transformers, or elsewhere", _configure, _run)
