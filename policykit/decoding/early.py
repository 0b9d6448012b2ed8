"""Draws that end where a value which is complete breaks the grammar, though no mask could know."""

import codecs
from collections.abc import Sequence
from dataclasses import replace

from policykit.decoding.engine import Ask, Draw, Stop
from policykit.grammar import ClosedValues, ClosingRules
from policykit.verify.judgement import GRAMMAR


class Values:
    """The values of one text, read token by token."""

    def __init__(self, rules: ClosingRules, tokens: Sequence[bytes]) -> None:
        self._values = ClosedValues(rules)
        self._tokens = tokens
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @staticmethod
    def after(ask: Ask, tokens: Sequence[bytes]) -> "Values | None":
        """Those of the text that an ask goes on from; None where nothing is judged before the end."""
        if ask.closing is None:
            return None
        values = Values(ask.closing, tokens)
        for token in ask.prefix:
            values.breaks(token)
        return values

    def breaks(self, token: int) -> bool:
        """Whether the text up to and with this token is wrong, whatever follows."""
        return self._values.read(self._decoder.decode(self._tokens[token])) is not None


def cut(ask: Ask, draw: Draw, tokens: Sequence[bytes]) -> Draw:
    """The draw up to the first token that breaks the grammar, for engines that draw on."""
    values = Values.after(ask, tokens)
    if values is None or draw.stop is Stop.BROKEN:
        return draw
    n_read = len(draw.token_ids) - (draw.stop is Stop.REFUSED)
    for i, token in enumerate(draw.token_ids[:n_read]):
        if values.breaks(token):
            return replace(
                draw,
                token_ids=draw.token_ids[: i + 1],
                logps=draw.logps and draw.logps[: i + 1],
                log_legal=draw.log_legal and draw.log_legal[: i + 1],
                stop=Stop.BROKEN,
                refused_by=(GRAMMAR,),
            )
    return draw
