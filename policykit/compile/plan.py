"""`compile_plan`: policies, a grammar and a context become one plan, or a list of reasons why not."""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Final, assert_never

from policykit.automata import Automaton, PhraseAutomaton, run
from policykit.automata.frames import innermost
from policykit.compile.citations import check_citations, marks_of
from policykit.compile.dates import check_dates, valid_until
from policykit.compile.digest import digests
from policykit.compile.escape import (
    ESCAPES,
    MAX_STATES,
    Escape,
    TooManyStates,
    always_findable,
    best_escape,
    finds,
    shortest_matches,
    states_of,
)
from policykit.compile.product import Nothing, Safe, Trimmed, Undecided, analyse
from policykit.compile.program import Program, UnitSpec, literals, lower
from policykit.compile.resolve import resolve
from policykit.compile.rows import rule_row
from policykit.compile.spec import PlanSpec
from policykit.compile.strings import Clash, Forbidden, PolicyProduct, check_site, clashes
from policykit.compile.together import Knot, text_automaton, tie
from policykit.compile.transforms import check_transforms
from policykit.compile.ways import ANY_LENGTH, Ways
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.ir.document import PolicySet, Within
from policykit.ir.grammar import Cfg, GrammarSpec, JsonSites
from policykit.ir.later import Later
from policykit.ir.plan import (
    CompileContext,
    Enforcement,
    Level,
    Liveness,
    LivenessKind,
    ResolvedRule,
    Rows,
)

HORIZON_BYTES = 24
"""How far ahead the run-time search looks where liveness is not proved."""
MAX_WITNESSES = 500
"""Texts tried for one that a requirement asks for and no rule forbids."""
SITE_BUDGET = 50_000
"""Transitions tried per restricted string of a schema."""
SITES_BUDGET = 30 * SITE_BUDGET
"""Transitions tried for all of them: a schema may come with a request."""

_JSON = frozenset({Within.JSON_STRINGS, Within.JSON_SCALARS})

Prune = Callable[[GrammarSpec, Sequence[str]], GrammarSpec]
"""Takes fixed texts (by pointer) out of a grammar; raises PolicyError where nothing would be left."""


def compile_plan(
    policies: PolicySet, grammar: GrammarSpec | None, context: CompileContext, prune: Prune | None = None
) -> PlanSpec:
    """The plan of policies and grammar in a context.

    Raises PolicyError with every conflict: expired documents (PK301), rules that cannot be enforced in the declared
    bounds (PK303, PK304), requirements that other rules forbid (PK305), grammars that the rules empty (PK306, PK307),
    and, with rules of any kind, grammars that name tokens (PK218).
    """
    warnings = check_dates(policies, context.at)
    is_json = grammar is not None and grammar.is_json
    rules = resolve(policies, context, json_output=is_json)
    if rules:
        if grammar is not None:
            grammar.check_names_no_token("rules")
        check_transforms(rules, is_json)
        check_citations(rules, is_json)
    decode = tuple(rule for rule in rules if rule.level == Level.DECODE)
    pruned, liveness, trimmed = _masked(decode, grammar, prune) if decode else (grammar, _NO_RULE, None)
    return PlanSpec(
        policies=policies,
        grammar=pruned,
        trimmed=trimmed,
        context=context,
        rules=rules,
        rows=Later(lambda: _rows(rules, pruned)),
        liveness=liveness,
        digests=Later(lambda: digests(policies, grammar, pruned, context, rules)),
        valid_until=valid_until(policies, context.at),
        warnings=warnings,
    )


_NO_RULE: Final = Liveness(LivenessKind.ESCAPE, "no rule is in the mask; the grammar engine never traps by itself")


def _masked(
    decode: Sequence[ResolvedRule], grammar: GrammarSpec | None, prune: Prune | None
) -> tuple[GrammarSpec | None, Liveness, str | None]:
    """The grammar without what the rules of the mask forbid in it, why their masks never trap, and the grammar without
    the traps where one is needed."""
    program = lower(decode)
    automata = [spec.make() for spec in program.units]
    states = _bounded_states(program.units, automata, decode)
    _check_absences(program, automata, states, decode)
    witnesses = _witnesses(program, automata, decode, marks_of(decode))
    pruned = _without_clashes(grammar, program, automata, decode, prune)
    return pruned, *_liveness(pruned, program, automata, states, witnesses, decode)


def _rows(rules: Sequence[ResolvedRule], grammar: GrammarSpec | None) -> Rows:
    own = grammar.rows() if grammar else Rows(())
    return Rows((*map(rule_row, rules), *own.enforcements), own.residue)


# ---- rules


def _bounded_states(
    units: Sequence[UnitSpec], automata: Sequence[Automaton], decode: Sequence[ResolvedRule]
) -> list[frozenset[int] | None]:
    """All states of every expression's automaton (None for phrases and where escapes are decoded), or the rules that
    have too many."""
    found: list[frozenset[int] | None] = []
    refused: list[Diagnostic] = []
    for spec, automaton in zip(units, automata, strict=True):
        inner = innermost(automaton) if spec.unescape else text_automaton(automaton)
        is_phrases = isinstance(inner, PhraseAutomaton)
        states = None if is_phrases else states_of(inner, inner.n_states if spec.admits else MAX_STATES)
        if isinstance(states, TooManyStates):
            rule = _rule(decode, spec.owners[0])
            text = f"rule `{rule.rule_id}` needs more than {states.limit} states: an expression is too large to enforce"
            refused.append(Diagnostic("PK303", text, spec.places[0], "shorten bounded repetitions, or split the rule"))
            states = None
        found.append(None if spec.unescape else states)
    if refused:
        raise PolicyError(dict.fromkeys(refused))
    return found


def _rule(decode: Sequence[ResolvedRule], name: str) -> ResolvedRule:
    return next(rule for rule in decode if rule.name == name)


def _check_absences(
    program: Program,
    automata: Sequence[Automaton],
    states: Sequence[frozenset[int] | None],
    decode: Sequence[ResolvedRule],
) -> None:
    """Refuse rules that punish an absence which cannot be mended later, as of a text at the very start."""
    for requirement in program.requirements:
        for literal in (x for x in literals(requirement.formula) if not x.positive):
            for unit in literal.units:
                own = states[unit]
                if own is not None and not always_findable(text_automaton(automata[unit]), own):
                    rule = _rule(decode, requirement.rule)
                    text = f"rule `{rule.rule_id}` asks for a text that can be too late to write"
                    help_text = "drop the anchor, or let the verifier find it: `onMatch: stop`"
                    raise PolicyError([Diagnostic("PK305", text, program.units[unit].places[0], help_text)])


def _witnesses(
    program: Program, automata: Sequence[Automaton], decode: Sequence[ResolvedRule], marks: Sequence[str]
) -> list[str]:
    """For every absence that a rule punishes, a text that mends it and that no rule forbids, where ``marks`` cite."""
    cited = "".join(marks)
    units = zip(program.units, automata, strict=True)
    forbidding = [(spec, text_automaton(a)) for spec, a in units if spec.forbids and not spec.admits]
    out: list[str] = []
    for requirement in program.requirements:
        for literal in (x for x in literals(requirement.formula) if not x.positive):
            plain = [u for u in literal.units if not program.units[u].unescape]
            found = (shortest_matches(text_automaton(automata[u])) for u in plain)
            texts = list(islice(chain.from_iterable(found), MAX_WITNESSES))
            good = next((t for t in texts if not any(_finds(a, f" {t} {cited}") for _, a in forbidding)), None)
            if good is not None:
                out.append(good)
                continue
            rule = _rule(decode, requirement.rule)
            blockers = {spec.owners[0] for spec, a in forbidding for t in texts if _finds(a, f" {t} {cited}")}
            others = tuple((_rule(decode, name).place, "this rule forbids it") for name in sorted(blockers))
            raise PolicyError(
                [Diagnostic("PK305", f"rule `{rule.rule_id}` asks for a text that cannot be written", rule.place,
                            "drop one of the two rules, or let the required text differ", related=others)]
            )  # fmt: skip
    return out


def _finds(automaton: Automaton, text: str) -> bool:
    after = run(automaton, automaton.start, automaton.alphabet.encode(automaton.alphabet.view.apply(text)))
    return not after or automaton.end_found(after)


# ---- the grammar's own texts


def _forbidden(
    program: Program, automata: Sequence[Automaton], decode: Sequence[ResolvedRule], within: Container[Within]
) -> list[Forbidden]:
    return [
        Forbidden(text_automaton(a), spec.owners, spec.places)
        for spec, a in zip(program.units, automata, strict=True)
        if spec.forbids and spec.within in within
    ]


def _without_clashes(
    grammar: GrammarSpec | None,
    program: Program,
    automata: Sequence[Automaton],
    decode: Sequence[ResolvedRule],
    prune: Prune | None,
) -> GrammarSpec | None:
    """The grammar without the members that a rule forbids; a row for each of them names the rule."""
    forbidden = _forbidden(program, automata, decode, _JSON)
    if grammar is None or not forbidden or not isinstance(grammar.shape, JsonSites):
        return grammar
    found = clashes(grammar.shape, forbidden)
    if not found:
        return grammar
    required = [c for c in found if c.fixed.required]
    if required or prune is None:
        raise PolicyError(_conflict(c, decode, grammar.place) for c in required or found)
    try:
        pruned = prune(grammar, [c.fixed.pointer for c in found])
    except PolicyError as error:
        raise PolicyError([*error.diagnostics, *(_conflict(c, decode, grammar.place) for c in found)]) from error
    rows = [
        Enforcement("grammar", c.fixed.pointer, Level.DECODE,
                    f"{c.fixed.role} `{c.fixed.text}` removed: `{c.rule}` forbids it", c.place)
        for c in found
    ]  # fmt: skip
    named = {row.name for row in rows}
    others = [row for row in pruned.enforcements if row.name not in named or row in grammar.enforcements]
    return replace(pruned, rows=Later.of(Rows((*others, *rows), pruned.residue)))


def _conflict(clash: Clash, decode: Sequence[ResolvedRule], grammar: Place) -> Diagnostic:
    rule = _rule(decode, clash.rule)
    fixed = clash.fixed
    text = f"the grammar's {fixed.role} `{fixed.text}` at `{fixed.pointer}` is forbidden by `{rule.rule_id}`"
    return Diagnostic("PK306", text, grammar, "change one of the two", related=((clash.place, "the rule"),))


# ---- liveness


def _liveness(
    grammar: GrammarSpec | None,
    program: Program,
    automata: Sequence[Automaton],
    states: Sequence[frozenset[int] | None],
    witnesses: Sequence[str],
    decode: Sequence[ResolvedRule],
) -> tuple[Liveness, str | None]:
    if not program.units:
        return _NO_RULE, None
    if any(spec.admits for spec in program.units) and grammar is None:
        return _admitted_liveness(program), None
    escape = _escape(program, automata, states, witnesses, marks_of(decode))
    knot = tie(program, escape)
    missing = [x for r in program.requirements for x in literals(r.formula) if not x.positive]
    mends = all(
        any(
            finds(text_automaton(automata[u]), states[u], escape.text)
            for u in literal.units
            if not program.units[u].unescape
        )
        for literal in missing
    )
    if grammar is None and mends and (not program.requirements or not escape.fragile):
        return _escaping(LivenessKind.ESCAPE, "the text can always be ended", knot), None
    if grammar is None:
        return _bounded("a rule asks for a text, and no single text frees every rule", knot), None
    if program.requirements:
        return _bounded("a rule asks for a text, and the grammar may have no place for it", knot), None
    scopes = {spec.within for spec in program.units}
    if isinstance(grammar.shape, JsonSites) and scopes == {Within.JSON_STRINGS}:
        return _string_liveness(grammar, grammar.shape, program, automata, knot, decode), None
    if isinstance(grammar.shape, Cfg) and scopes == {Within.TEXT}:
        forbidding = [text_automaton(a) for spec, a in zip(program.units, automata, strict=True) if spec.forbids]
        return _product_liveness(grammar, grammar.shape, forbidding, decode, knot)
    if isinstance(grammar.shape, JsonSites) and scopes <= _JSON:
        return _bounded("what may stand in JSON numbers is not analysed", knot), None
    return _bounded("rules on the whole text over this kind of grammar are not analysed", knot), None


def _admitted_liveness(program: Program) -> Liveness:
    """The last of the admitting automata was trimmed together with everything else that reads the same view."""
    read = {(spec.view, spec.within, spec.unescape) for spec in program.units}
    if len(read) == 1 and not program.requirements:
        return Liveness(LivenessKind.ADMITTED, "allow rules and blocks were trimmed together to what leads to an end")
    why = "allow rules stand beside rules on other views, on JSON strings or on what must be there"
    return Liveness(LivenessKind.BOUNDED, why, 0)


def _escape(
    program: Program,
    automata: Sequence[Automaton],
    states: Sequence[frozenset[int] | None],
    witnesses: Sequence[str],
    marks: Sequence[str],
) -> Escape:
    """The best escape; ``fragile`` counts the program's units. What a requirement punishes (the positive leaves of its
    formula) must not be found by it either."""
    leaves = [literal for r in program.requirements for literal in literals(r.formula)]
    punished = {unit for literal in leaves if literal.positive for unit in literal.units}
    held = [i for i, spec in enumerate(program.units) if (spec.forbids and not spec.admits) or i in punished]
    escape = best_escape([(text_automaton(automata[i]), states[i]) for i in held], witnesses, marks)
    return Escape(escape.text, tuple(held[i] for i in escape.fragile))


def _escaping(kind: LivenessKind, what: str, knot: Knot) -> Liveness:
    escape = knot.escape
    per_step = f"; {len(escape.fragile)} expressions are examined per token" if escape.fragile else ""
    why = f"{what}: {escape.text!r} frees every rule from every state{per_step}"
    if knot.n is not None:
        why = f"{what}: there is a way from each of the {knot.n} states that expressions come to together"
    return Liveness(kind, why, escape=escape.text, fragile=escape.fragile, together=knot.units)


def _bounded(why: str, knot: Knot, *, resets: bool = False, covered_chars: int = -1) -> Liveness:
    fragile = knot.decoding  # where others hold on to the text the search looks for a way
    return Liveness(
        LivenessKind.BOUNDED, why, HORIZON_BYTES, resets, knot.escape.text, fragile, covered_chars, knot.units
    )


def _string_liveness(
    grammar: GrammarSpec,
    sites: JsonSites,
    program: Program,
    automata: Sequence[Automaton],
    knot: Knot,
    decode: Sequence[ResolvedRule],
) -> Liveness:
    if any(spec.joined for spec in program.units):
        return _bounded("joined arrays are not analysed", knot)
    forbidden = _forbidden(program, automata, decode, _JSON)
    policy = PolicyProduct([f.automaton for f in forbidden])
    ways, proofs = (Ways([f.automaton for f in forbidden], policy, knot.escape.text) for _ in range(2))  # a budget each
    is_listed = knot.escape.fragile != ()
    open_sites: list[str] = []
    left, room = SITES_BUDGET, ANY_LENGTH
    for site in sites.strings:
        if ways.may_just_begin(site):
            continue
        result = check_site(site, policy, min(SITE_BUDGET, left), ESCAPES if is_listed else ())
        left -= max(result.n_tried, SITE_BUDGET // 10)
        if not result.can_close_at_all:
            blockers = tuple((rule.place, "forbidden by this rule, alone or with others") for rule in decode)
            raise PolicyError(
                [Diagnostic("PK307", f"no string at `{site.pointer}` can satisfy both the grammar and the policies",
                            grammar.place, "widen the pattern or the rule", related=blockers)]
            )  # fmt: skip
        if result.can_always_close is None and left > 0 and proofs.always(site):
            continue
        if result.can_always_close is not True:
            open_sites.append(result.why)
            room = min(room, ways.room(site)) if room >= 0 else -1
    if open_sites:
        where = ", where a rule holds on to the text" if room >= 0 else ""
        why = f"strings that may trap{where}: {'; '.join(open_sites[:5])}"
        return _bounded(why, knot, resets=True, covered_chars=room)
    what = f"every string can be closed ({len(sites.strings)} restricted ones checked)"
    return _escaping(LivenessKind.RESETS, what, knot)


def _product_liveness(
    grammar: GrammarSpec,
    cfg: Cfg,
    automata: Sequence[Automaton],
    decode: Sequence[ResolvedRule],
    knot: Knot,
) -> tuple[Liveness, str | None]:
    result = analyse(cfg, automata)
    match result:
        case Safe(n):
            return Liveness(LivenessKind.PRODUCT, f"all {n} product states are co-accessible"), None
        case Trimmed(lark, n):
            return Liveness(LivenessKind.PRODUCT, f"trimmed to the productive part of {n} product states"), lark
        case Nothing():
            blockers = tuple((rule.place, "together with the other rules") for rule in decode)
            raise PolicyError(
                [Diagnostic("PK307", "the policies forbid every text of the grammar", grammar.place,
                            "widen the grammar or the rules", related=blockers)]
            )  # fmt: skip
        case Undecided(why):
            return _bounded(why, knot), None
        case _:
            assert_never(result)
