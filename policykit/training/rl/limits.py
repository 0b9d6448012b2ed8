"""Where a run stops rather than go on for nothing."""

from policykit.diagnostics import PolicyError


def check_kl(kl: float, limit: float, unit: str = "a completion") -> None:
    """Raises PolicyError (PK769) for a KL, in nat, that is above its limit or no number."""
    if not kl <= limit:
        message = f"the KL to the reference is {kl:.3g} nat {unit}, above {limit:g}"
        help = "lower the learning rate, raise the weight of the KL, or raise `max_kl`"
        raise PolicyError.of("PK769", message, help=help)


def check_finite(value: float, what: str) -> None:
    """Raises PolicyError (PK769) for a number that is none."""
    if not abs(value) < float("inf"):
        message = f"{what} is {value}"
        raise PolicyError.of("PK769", message, help="lower the learning rate, and look at the rewards of the last step")
