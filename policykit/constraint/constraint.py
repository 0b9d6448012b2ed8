"""A plan bound to a vocabulary: grammar matcher and policy automata over the same tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from policykit.compile import Digests
from policykit.constraint.both import Both, Matcher
from policykit.constraint.lookahead import Lookahead
from policykit.constraint.machine import PolicyMachine
from policykit.constraint.state import State
from policykit.constraint.vocabulary import Vocabulary
from policykit.constraint.watching import every
from policykit.grammar import CompiledGrammar
from policykit.ir.later import Later
from policykit.ir.plan import Liveness, LivenessKind


@dataclass(frozen=True, eq=False)
class Constraint:
    """Shared by all requests of a plan on one model; :meth:`start` makes the state of one text.

    ``spells_apart``: besides free strings the grammar has places that want certain characters beyond ASCII, so that
    grammar and rules must agree on how an unfinished one ends. ``trimmed`` is a second grammar that excludes traps,
    where the plan needed one. ``marks`` are special tokens that the grammar has in the place of text, with their names.
    """

    vocabulary: Vocabulary
    machine: PolicyMachine
    grammar: CompiledGrammar | None
    trimmed: CompiledGrammar | None
    claimed: Liveness
    digests: Later[Digests]
    spells_apart: Later[bool]
    marks: Mapping[int, bytes] = field(default_factory=dict[int, bytes])

    @property
    def liveness(self) -> Liveness:
        """The plan's liveness, as far as this vocabulary can keep it."""
        if self.vocabulary.is_complete:
            return self.claimed
        return Liveness(LivenessKind.BOUNDED, "the vocabulary cannot spell every byte", 0)

    @property
    def digest(self) -> str:
        """The plan's."""
        return self.digests().plan

    @cached_property
    def _lookahead(self) -> Lookahead:
        liveness = self.liveness
        return Lookahead(
            self.machine,
            liveness.horizon_bytes or 0,
            resets=liveness.resets,
            covered_bytes=liveness.covered_chars,  # no character has fewer bytes than one
            marks=self.marks,
        )

    def start(
        self, prefix: bytes = b"", *, prefix_in_grammar: bool = False, check: Callable[[], None] = lambda: None
    ) -> State:
        """The state at the start of the output.

        ``prefix`` is text that already stands before it (assistant prefill, the end of a completion prompt): a match
        that begins there and would end in the output is forbidden; what lies wholly inside the prefix is not judged.
        With ``prefix_in_grammar`` the prefix is also the beginning of the grammar's text; ValueError if it is not.
        ``check`` is called time and again while a prefix is read, and ends that by what it raises.
        """
        joint = self.machine.start()
        if prefix:
            joint = self.machine.primed(prefix, in_grammar=prefix_in_grammar, check=check)
        matcher: Matcher | None = self.grammar.start() if self.grammar else None
        if matcher is not None and self.trimmed is not None:
            matcher = Both(matcher, self.trimmed.start())
        if matcher is not None and prefix_in_grammar:
            self._begin(matcher, prefix, check)
        shadow = None
        if self.grammar is not None and self.liveness.kind == LivenessKind.BOUNDED:
            shadow = self.grammar.byte_matcher()
            for byte in every(prefix if prefix_in_grammar else b"", check):
                shadow.accept(byte)
        lookahead = self._lookahead if shadow else None
        # The engine writes JSON in strict UTF-8 by itself; other grammars may allow any bytes, or special tokens.
        alone = not prefix and not self.machine.program.units and self.grammar is not None and self.grammar.writes_json
        spells_apart = not alone and self.spells_apart()
        about = {"spells_apart": spells_apart, "grammar_alone": alone}
        n_before = len(prefix) if prefix_in_grammar else 0
        return State(self.machine, matcher, joint, lookahead, shadow, **about, marks=self.marks, n_before=n_before)

    def _begin(self, matcher: Matcher, prefix: bytes, check: Callable[[], None]) -> None:
        """Take a prefix into the grammar, byte by byte, and its marks as the special tokens that they are."""
        at = 0
        for _ in every(count(), check):
            if at >= len(prefix):
                return
            here = (i for i, name in self.marks.items() if prefix.startswith(name, at) and matcher.accept(i))
            mark = next(here, None)
            if mark is None and not matcher.accept(self.vocabulary.byte_tokens.get(prefix[at], -1)):
                raise ValueError(f"the prefix does not begin a text of the grammar: {prefix!r}")
            at += 1 if mark is None else len(self.marks[mark])
