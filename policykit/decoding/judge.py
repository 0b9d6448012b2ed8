"""The judgement on a drawn text: the plan's own verifier, and checks of the caller's."""

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policykit.ir.verdict import Decision, Verdict

Check = Callable[[str], str | None]
"""Looks at a whole text and says what is wrong with it, or None. One that raises refuses the text, unproven."""

_PASSED = (Decision.ALLOW, Decision.TRANSFORM)


@dataclass(frozen=True, slots=True)
class Judgement:
    """``reasons`` is empty exactly if the text is accepted. ``is_errored``: nothing is proven against the text."""

    verdict: Verdict
    reasons: tuple[str, ...]
    is_errored: bool

    @property
    def is_accepted(self) -> bool:
        return not self.reasons


class Judge:
    """Judges each text once: what a judge that wavers said first stands for the whole sampling. Errors do not stand."""

    def __init__(self, verify: Callable[[str], Verdict], checks: Sequence[Check] = ()) -> None:
        self._verify = verify
        self._checks = tuple(checks)
        self._known: dict[str, Judgement] = {}

    def judge(self, text: str) -> Judgement:
        known = self._known.get(text)
        if known is None:
            known = self._judged(text)
            if not known.is_errored:  # an error is no opinion: it is asked again
                self._known[text] = known
        return known

    def _judged(self, text: str) -> Judgement:
        verdict = self._verify(text)
        if verdict.decision not in _PASSED:
            errored = tuple(error.rule for error in verdict.errors)
            named = verdict.rules or errored or tuple(e.rule for e in verdict.escalations) or ("default: block",)
            return Judgement(verdict, named, bool(verdict.errors))
        reasons: list[str] = []
        is_errored = False
        for check in self._checks:
            try:
                reason = check(text)
            except Exception as error:  # a check that cannot run fails closed, and proves nothing
                reason, is_errored = f"check failed: {type(error).__name__}: {error}", True
            if reason is not None:
                reasons.append(reason)
        return Judgement(verdict, tuple(reasons), is_errored)


def text_of(data: bytes, *, is_whole: bool) -> str:
    """The bytes as UTF-8; a code point that a cut left unfinished is dropped, invalid bytes are U+FFFD."""
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data, final=is_whole)
