"""The plan as its users hold it: one artefact with one digest, from which masks and verdicts are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

from policykit.automata import is_anchored_at_start
from policykit.compile import PlanSpec, Program, compile_plan, lower
from policykit.constraint import Constraint, Vocabulary, machine_of
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.grammar import ClosingRules, CompiledGrammar, EmptyGrammar, lark, marked_program, marks_in, without_fixed
from policykit.ir.document import PolicySet, Within
from policykit.ir.grammar import GrammarSpec, JsonSites
from policykit.ir.later import Later
from policykit.ir.plan import CompileContext, Enforcement, Level, Liveness, Residue
from policykit.ir.verdict import Verdict
from policykit.plan.arguments import argument_verifier
from policykit.plan.render import render
from policykit.streaming import MAX_HELD_BYTES, Stream, Streaming
from policykit.verify import NONE, CheckGrammar, Resources, Subject, Verifier, check_opened, check_resources


def today() -> date:
    """The current day in UTC, which is what effective dates are written in."""
    return datetime.now(UTC).date()


@dataclass(frozen=True, eq=False)
class Plan:
    """What is enforced, where and why; made by :func:`compile` or :func:`load_plan`.

    Using a plan on or after ``valid_until`` raises PolicyError (PK310): a rule has begun or ended since.
    ``check_grammar`` judges by the grammar, where that may take too long here (:mod:`policykit.plan.elsewhere`).
    """

    spec: PlanSpec
    resources: Resources = NONE
    check_grammar: CheckGrammar | None = None

    def with_resources(self, resources: Resources) -> "Plan":
        """The same plan for a deployment: with its keys, its vaults and its tenant (the context's if none is named).

        Raises PolicyError (PK199): a rule names a key or vault that is not there, or the tenant is not the context's.
        """
        tenant = self.spec.context.tenant
        if tenant and resources.tenant and tenant != resources.tenant:
            message = f"the plan is for tenant `{tenant}`, the resources are for `{resources.tenant}`"
            raise PolicyError.of("PK199", message, help="compile the plan for the tenant, or leave it open")
        filled = replace(resources, tenant=resources.tenant or tenant)
        check_resources(self.spec.rules, filled)
        check_opened(self.spec.rules, filled)
        return replace(self, resources=filled)

    def with_grammar(self, grammar: GrammarSpec) -> "Plan":
        """The same policies, context and resources over a grammar, compiled anew: another plan, with its own digest.

        Raises PolicyError as :func:`compile` does, and PK315 for a plan that has a grammar: it is not replaced.
        """
        self.check_takes_grammar(grammar.place)
        return replace(self, spec=compile_plan(self.spec.policies, grammar, self.spec.context, prune))

    def check_takes_grammar(self, place: Place | None) -> None:
        """Raises PolicyError (PK315) for a plan that has a grammar, at the place of the other one."""
        if self.spec.grammar is not None:
            raise PolicyError.of(
                "PK315",
                "the plan has a grammar, and a text cannot follow two",
                place,
                "leave out one of the two: the plan's is not replaced",
            )

    @property
    def enforcements(self) -> tuple[Enforcement, ...]:
        """One row per rule and per grammar keyword."""
        return self.spec.enforcements

    @property
    def residue(self) -> tuple[Residue, ...]:
        """What the grammar's mask does not carry in full; the verifier checks it."""
        return self.spec.residue

    @cached_property
    def closing(self) -> ClosingRules | None:
        """By what the residue is judged in a text that is being written, where the value that it concerns is complete;
        None where only the whole text shows anything that the mask does not, or where judging may take too long."""
        return None if self.check_grammar is not None else ClosingRules.of(self.spec.grammar)

    @property
    def liveness(self) -> Liveness:
        """Why masked text never traps, or that this is only searched for."""
        return self.spec.liveness

    @property
    def digest(self) -> str:
        return self.spec.digest

    @property
    def bundle_digest(self) -> str:
        return self.spec.bundle_digest

    @property
    def valid_until(self) -> date | None:
        return self.spec.valid_until

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return (*self.spec.policies.warnings, *self.spec.warnings)

    @cached_property
    def verifier(self) -> Verifier:
        """The checks of this plan on whole texts."""
        return Verifier(
            self.spec.rules, self.spec.grammar, self.digest, resources=self.resources, context=self.spec.context,
            check_grammar=self.check_grammar,
        )  # fmt: skip

    @cached_property
    def argument_verifier(self) -> Verifier:
        """The checks of outputs that hold for a call's arguments too (:mod:`policykit.plan.arguments`)."""
        return argument_verifier(self.spec, self.resources, change=True)

    @cached_property
    def argument_guard(self) -> Verifier:
        """Those of them that stop a call and change nothing in it."""
        return argument_verifier(self.spec, self.resources, change=False)

    def verify(self, text: str | Subject, facts: Mapping[str, object] | None = None) -> Verdict:
        """The verdict on an output, or on another subject, such as :func:`policykit.tool_call` makes.

        ``facts`` are JSON values that conditions read by name; a subject brings its own. Raises PolicyError if the
        plan has expired.
        """
        self.check_date()
        if isinstance(text, Subject):
            if facts:
                raise PolicyError.of("PK314", "a subject brings its own facts", help="give them to the subject")
            return self.verifier.verify(text)
        return self.verifier.verify(Subject(text, facts=facts or {}))

    def stream(
        self, facts: Mapping[str, object] | Subject | None = None, *, max_held_bytes: int = MAX_HELD_BYTES
    ) -> Stream:
        """A text that is judged while it arrives: an output, or what a subject without text says it is.

        More than ``max_held_bytes`` that would have to be held back are a block. Raises PolicyError if the plan has
        expired.
        """
        self.check_date()
        subject = facts if isinstance(facts, Subject) else Subject("", facts=facts or {})
        return self._streaming.open(subject, max_held_bytes=max_held_bytes)

    def warm(self, facts: Mapping[str, object] | Subject | None = None) -> None:
        """Do now what the first texts and streams would wait for, so that they cost what later ones do.

        Expressions are compiled, automata worked out, numbering plans read, and what streams under such ``facts`` watch
        for reads some text. For a server at its start: about two seconds of processor time for 1,000 phrases and ten
        entities, in a thread of its own: texts that are judged meanwhile do not wait for it. Verdicts are the same
        without; nobody is asked, and nothing is used up. Raises PolicyError if the plan has expired.
        """
        self.check_date()
        self.verifier.warm()
        self._streaming.warm(facts if isinstance(facts, Subject) else Subject("", facts=facts or {}))

    @cached_property
    def _streaming(self) -> Streaming:
        return Streaming(self.verifier, self.spec.grammar, self.digest)

    def constraint(self, vocabulary: Vocabulary) -> Constraint:
        """The masks of this plan for a model's vocabulary. Raises PolicyError if the plan has expired."""
        self.check_date()
        rules = tuple(rule for rule in self.spec.rules if rule.level == Level.DECODE)
        if vocabulary.strips_start:
            _check_start(lower(rules))
        machine = machine_of(rules, vocabulary, self.liveness)
        grammar = self.spec.grammar
        marks = _marks(grammar, vocabulary)
        marked = marked_program(grammar, {name.decode(): i for i, name in marks.items()}) if grammar and marks else None
        compiled = CompiledGrammar(grammar, vocabulary.table, marked) if grammar else None
        trimmed = None
        if self.spec.trimmed is not None and grammar is not None:
            trimmed = CompiledGrammar(lark(self.spec.trimmed, grammar.place), vocabulary.table)
        apart = Later(lambda: _spells_apart(grammar))
        return Constraint(vocabulary, machine, compiled, trimmed, self.liveness, self.spec.digests, apart, marks)

    def save(self, path: str | Path) -> None:
        """Write the plan as a file that loads to the same digest and the same masks."""
        Path(path).write_text(render(self.spec), "utf-8")

    def check_date(self) -> None:
        """Raises PolicyError (PK310) if the plan has expired."""
        if self.valid_until is not None and today() >= self.valid_until:
            raise PolicyError.of(
                "PK310",
                f"the plan expired on {self.valid_until}: a rule begins or ends that day",
                help="compile it again from its policies",
            )


def _marks(grammar: GrammarSpec | None, vocabulary: Vocabulary) -> Mapping[int, bytes]:
    """The special tokens that stand for what a structural tag wants written, with their names."""
    if grammar is None or not vocabulary.shows_special:
        return {}
    ids = {name.decode("utf-8", "replace"): i for i, name in vocabulary.marks.items()}
    return {ids[name]: name.encode() for name in marks_in(grammar, ids)}


def _spells_apart(grammar: GrammarSpec | None) -> bool:
    """Whether a grammar has places that want certain characters: all but a schema with free strings and ASCII names."""
    if grammar is None:
        return False
    if not isinstance(grammar.shape, JsonSites):
        return True
    return bool(grammar.shape.strings) or not all(fixed.text.isascii() for fixed in grammar.shape.fixed)


def _check_start(program: Program) -> None:
    """Refuse rules on the start of the text where decoding drops the space that stands there."""
    anchored = [spec for spec in program.units if spec.within == Within.TEXT and is_anchored_at_start(spec.make())]
    if anchored:
        raise PolicyError(
            Diagnostic(
                "PK405",
                f"rule `{spec.owners[0]}` is anchored at the start of the text, where this tokenizer drops a space",
                spec.places[0],
                "drop the anchor, or let the verifier find it: `onMatch: stop`",
            )
            for spec in anchored
        )


def compile(
    policies: PolicySet | None,
    grammar: GrammarSpec | None = None,
    *,
    profile: str | None = None,
    tenant: str | None = None,
    locale: str | None = None,
    jurisdiction: str | None = None,
    at: date | None = None,
) -> Plan:
    """Compile policies and a grammar, either of which may be None, for a request context.

    ``at`` is the day for which effective dates are resolved (default: today, UTC). Raises PolicyError with every
    diagnostic, each with its places.
    """
    if policies is None and grammar is None:
        raise PolicyError.of("PK300", "nothing to compile", help="give policies, a grammar, or both")
    context = CompileContext(profile or None, tenant or None, locale or None, jurisdiction or None, at or today())
    return Plan(compile_plan(policies or PolicySet(()), grammar, context, prune))


def prune(grammar: GrammarSpec, pointers: Sequence[str]) -> GrammarSpec:
    """The grammar without fixed texts that a rule forbids. Raises PolicyError (PK306) if nothing is left."""
    try:
        return without_fixed(grammar, pointers)
    except EmptyGrammar as error:
        raise PolicyError.of(
            "PK306",
            f"the policies leave nothing to write at `{error.pointer}`",
            grammar.place,
            "allow one of its values, or change the rule",
        ) from error
