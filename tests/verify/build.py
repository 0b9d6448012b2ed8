"""Rules in one line each, for tests of the verifier."""

from policykit.automata import parse_regex
from policykit.diagnostics import Place
from policykit.ir.document import (
    Action,
    Block,
    Context,
    Join,
    Mask,
    Matcher,
    Mode,
    OnMatch,
    Phrase,
    Phrases,
    Reading,
    Regexes,
    RegexSource,
    Replace,
    Within,
)
from policykit.ir.plan import Level, ResolvedRule

PLACE = Place("test.policy.yaml")
BLOCK = Block(None, None, OnMatch.AVOID)


def reading(views: tuple[str, ...] = ("compat",), within: Within = Within.AUTO, join: Join = Join.NONE) -> Reading:
    return Reading(views, within, join)


def context(source: str, within: int) -> Context:
    return Context(parse_regex(source, PLACE), source, within, PLACE)


def phrases(
    *texts: str,
    exact: bool = False,
    read: Reading | None = None,
    before: Context | None = None,
    after: Context | None = None,
) -> Phrases:
    return Phrases(tuple(Phrase(text, PLACE) for text in texts), exact, before, after, read or reading(), PLACE)


def regexes(
    *sources: str, read: Reading | None = None, before: Context | None = None, after: Context | None = None
) -> Regexes:
    items = tuple(RegexSource(source, parse_regex(source, PLACE), PLACE) for source in sources)
    return Regexes(items, before, after, read or reading(), PLACE)


def block(message: str | None = None) -> Block:
    return Block(message, None, OnMatch.AVOID)


def mask(template: str = "[{type}_{n}]", label: str = "ID") -> Mask:
    return Mask(template, label)


def replacement(text: str) -> Replace:
    return Replace(text)


def rule(
    rule_id: str,
    matcher: Matcher,
    action: Action = BLOCK,
    *,
    severity: str = "medium",
    cost: float = 1.0,
    mode: Mode = Mode.ENFORCE,
    document: str = "doc",
) -> ResolvedRule:
    level = Level.OBSERVE if mode is Mode.SHADOW else Level.DECODE if isinstance(action, Block) else Level.STREAM
    return ResolvedRule(f"{document}#{rule_id}", rule_id, document, severity, cost, mode, level, matcher, action, PLACE)
