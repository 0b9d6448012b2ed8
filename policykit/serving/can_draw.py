"""The strategies of profiles, and which of them an upstream can be drawn from by: told before anything is served."""

from policykit.decoding import Auto, Block, Exact, Reject, Strategy
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.profiles import Decoding, ProfileSet, Strategy as Named
from policykit.serving.drawing import Drawing
from policykit.serving.plain_drawing import TEMPERATURE
from policykit.serving.upstream import Kind

LIMITED = (Named.EXACT, Named.BLOCK, Named.AUTO)
"""Strategies that take a text up inside of it, and need the probabilities of what was drawn."""


def check_strategies(profiles: ProfileSet, drawing: Drawing | None, kind: Kind = Kind.PLAIN) -> None:
    """Raises PolicyError (PK722) with every profile whose strategy the upstream cannot draw by, and with every setting
    that would mean nothing there."""
    wrong: list[Diagnostic] = []
    for profile in profiles:
        named = profile.decoding.strategy
        if named in LIMITED and drawing is None:
            help = "use `mask` or `reject`, serve the model on vLLM or transformers, or name `--upstream-tokenizer`"
            wrong.append(Diagnostic("PK722", f"the upstream cannot draw by `{named}`", profile.place, help))
        is_hot = profile.decoding.temperature != TEMPERATURE
        if named in LIMITED and drawing is not None and drawing.is_plain and is_hot:
            message = f"the upstream can be drawn from by `{named}` at a temperature of {TEMPERATURE:g} only"
            help = "leave `temperature` at 1: what the upstream shows is the model's own distribution"
            wrong.append(Diagnostic("PK722", message, profile.place, help))
        said = profile.decoding.min_legal_mass != Decoding().min_legal_mass
        if named is Named.REJECT and kind is Kind.PLAIN and said:
            message = "`minLegalMass` means nothing where whole answers are rejected: they prove next to nothing"
            help = "leave it out, or use `exact` or `block`"
            wrong.append(Diagnostic("PK722", message, profile.place, help))
    if wrong:
        raise PolicyError(wrong)


def draws_freely(profiles: ProfileSet) -> bool:
    """Whether some profile's answers are drawn without the mask."""
    return any(profile.decoding.strategy is not Named.MASK for profile in profiles)


def strategy_of(decoding: Decoding) -> Strategy:
    """The strategy that a profile asks for, with its settings. ValueError for `mask`, which draws no attempts."""
    block = Block(decoding.n_failures, decoding.min_legal)
    match decoding.strategy:
        case Named.REJECT:
            return Reject()
        case Named.EXACT:
            return Exact()
        case Named.BLOCK:
            return block
        case Named.AUTO:
            return Auto(decoding.n_exact, block)
        case Named.MASK:
            raise ValueError("under the mask nothing is drawn freely")
