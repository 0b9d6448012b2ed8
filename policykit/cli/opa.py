"""From flags to an Open Policy Agent that is asked."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from policykit.cli.engine import NotInstalled
from policykit.diagnostics import PolicyError
from policykit.opa import Opa, OpaSettings

TOKEN = "POLICYKIT_OPA_TOKEN"


def add_opa_arguments(parser: ArgumentParser) -> None:
    """Where OPA is. The token comes from the environment: arguments can be read by other users of a machine."""
    opa = parser.add_argument_group("Open Policy Agent", f"its bearer token, if it asks for one, is read from {TOKEN}")
    opa.add_argument("--opa", metavar="URL", help="ask the OPA at this address for the decisions that rules name")
    opa.add_argument("--opa-ca", type=Path, metavar="PEM", help="trust these certificates instead of the system's")
    opa.add_argument("--opa-deadline", type=float, metavar="S", help="seconds that a decision may take (default: 1)")


@contextmanager
def opa_from(args: Namespace) -> Generator[Opa | None]:
    """The OPA that the flags name, or None. Raises PolicyError (PK162), NotInstalled (PK161)."""
    if args.opa is None:
        if args.opa_ca is not None or args.opa_deadline is not None:
            raise PolicyError.of("PK550", "`--opa-ca` and `--opa-deadline` have no effect without `--opa`")
        yield None
        return
    deadline_s = 1.0 if args.opa_deadline is None else args.opa_deadline
    settings = OpaSettings(
        args.opa, os.environ.get(TOKEN) or None, args.opa_ca, deadline_s=deadline_s, attempt_s=deadline_s / 2
    )
    try:
        opa = Opa(settings)
    except PolicyError as error:
        if error.diagnostics[0].code != "PK161":
            raise
        raise NotInstalled(error.diagnostics[0]) from error
    with opa:
        yield opa
