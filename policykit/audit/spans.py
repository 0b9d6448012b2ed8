"""What of a verdict and its text goes into the log, and in which form."""

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from policykit.audit.errors import KeyUnusable
from policykit.audit.record import Asked, Escalated, Excused, Judgement, LoggedSpan, Result, RuleVerdict, SpanForm
from policykit.ir.verdict import Verdict, Violation
from policykit.vault import KeyUnusable as VaultKeyUnusable, key_from_file

MAX_SPANS = 100
"""Spans that are kept of one rule on one text; the count tells how many there were."""
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a deployment keeps of texts. ``replay`` keeps texts, tokens and the reasons of errors, in clear.

    ``key`` makes hashes that can be compared within all logs of the deployment; a random one, the default, only within
    the life of the process. Raises KeyUnusable (PK669): the key is shorter than 32 bytes.
    """

    spans: SpanForm = SpanForm.HASHED
    key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)
    replay: bool = False

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            message = f"the key that spans are hashed with has {len(self.key)} bytes"
            raise KeyUnusable.because(message, f"give at least {KEY_BYTES} random bytes")
        if self.spans is SpanForm.CLEAR and not self.replay:
            raise KeyUnusable.because("spans are to be kept in clear without `replay`", "ask for `replay`, too")

    def hashed(self, text: str) -> str:
        """HMAC-SHA-256 of the text's UTF-8, in hexadecimal."""
        return hmac.digest(self.key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()

    def span(self, text: str | None, start: int | None, end: int | None) -> LoggedSpan:
        """The span of a judged text; where the text is not known any more its place alone is kept."""
        if text is None or start is None or end is None:
            return LoggedSpan(start, end)
        found = text[start:end]
        match self.spans:
            case SpanForm.OMITTED:
                return LoggedSpan(start, end)
            case SpanForm.HASHED:
                return LoggedSpan(start, end, self.spans, self.hashed(found))
            case SpanForm.MASKED:
                return LoggedSpan(start, end, self.spans, masked(found))
            case SpanForm.CLEAR:
                return LoggedSpan(start, end, self.spans, whole(found))

    def judgement(
        self,
        verdict: Verdict,
        *,
        channel: str,
        choice: int | None = None,
        attempt: int = 0,
        counts: bool = True,
        text: str | None = None,
        rules: Iterable[str] = (),
    ) -> Judgement:
        """A verdict for the log. ``rules`` are all that were asked: those about which it says nothing have passed."""
        return Judgement(
            channel=channel,
            choice=choice,
            attempt=attempt,
            counts=counts,
            decision=verdict.decision,
            plan_digest=verdict.digest,
            rules=self._rules(verdict, text, rules),
            cost=verdict.cost,
            n_characters=None if text is None else len(text),
            text_hash=None if text is None or self.spans is SpanForm.OMITTED else self.hashed(text),
            text=whole(text) if self.replay and text is not None else None,
            escalations=tuple(Escalated(e.rule, e.queue, e.binding, e.ttl) for e in verdict.escalations),
            exceptions=tuple(
                Excused(e.rule, e.exception, e.approved_by, e.reason, e.count) for e in verdict.exceptions
            ),
            decisions=tuple(Asked(d.rule, d.exception, d.reference, d.value, d.decision_id) for d in verdict.decisions),
        )

    def _rules(self, verdict: Verdict, text: str | None, asked: Iterable[str]) -> tuple[RuleVerdict, ...]:
        found = [
            *self._fired(verdict.violations, Result.FIRED, text),
            *self._fired(verdict.shadow, Result.SHADOW, text),
            *(
                RuleVerdict(error.rule, Result.ERRORED, 1, why=whole(error.message) if self.replay else None)
                for error in verdict.errors
            ),
            *(RuleVerdict(n.rule, Result.NOT_APPLICABLE, why=n.why) for n in verdict.not_applicable),
        ]
        known = {rule.rule for rule in found}
        return (*found, *(RuleVerdict(rule, Result.PASSED) for rule in dict.fromkeys(asked) if rule not in known))

    def _fired(self, violations: Iterable[Violation], result: Result, text: str | None) -> list[RuleVerdict]:
        of: dict[str, list[Violation]] = {}
        for violation in violations:
            of.setdefault(violation.rule, []).append(violation)
        return [
            RuleVerdict(
                rule,
                result,
                len(all_of),
                sum(violation.cost for violation in all_of),
                tuple(self.span(text, v.start, v.end) for v in all_of[:MAX_SPANS]),
            )
            for rule, all_of in of.items()
        ]


def key_of_spans(path: Path) -> bytes:
    """The key of a file: 32 bytes as they are, or in hexadecimal or base64. Raises KeyUnusable (PK669)."""
    try:
        return key_from_file(path)
    except VaultKeyUnusable as error:
        raise KeyUnusable.because(error.diagnostics[0].message, "make one with `openssl rand -hex 32`") from error


def masked(text: str) -> str:
    """The shape of a text: `A` for a capital, `a` for another letter or mark, `9` for a digit or other number, and
    `x` for what is neither ASCII nor white space; the rest as it is."""
    return "".join(_masked(character) for character in text)


def _masked(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Lu", "Lt"):
        return "A"
    if category[0] in "LM":
        return "a"
    if category[0] == "N":
        return "9"
    return character if character.isascii() or character.isspace() else "x"


def whole(text: str) -> str:
    """A text that JSON can spell: halves of surrogate pairs are replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
