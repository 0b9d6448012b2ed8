"""A grammar that takes as long to read as a test wants."""

from policykit.engines.vllm.grammars import grammar_of
from policykit.ir.grammar import GrammarSpec
from tests.plan.calls import waits_for


def reads_slowly(option: str, source: str, gate: str) -> GrammarSpec | None:
    """Waits for a file of the name ``gate``."""
    waits_for(gate)
    return grammar_of(option, source)
