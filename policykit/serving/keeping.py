"""What of texts the decision log keeps, as a deployment says it: by options, or by the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from policykit.audit import Keeping, SpanForm, key_of_spans
from policykit.diagnostics import PolicyError

SPANS = "POLICYKIT_LOG_SPANS"
"""How texts that rules found are kept: `omitted`, `hashed`, `masked` or `clear`; the default is `omitted`, or
with a key `hashed`."""
KEY = "POLICYKIT_LOG_KEY"
"""The file of the key that spans are hashed with; without it one that lives as long as the process."""
REPLAY = "POLICYKIT_LOG_REPLAY"
"""`1` keeps texts and tokens, in clear."""


@dataclass(frozen=True, slots=True)
class KeepingFiles:
    """What is kept, before the key is read. Without a word on ``spans`` nothing of them, or with a key hashes."""

    spans: SpanForm | None = None
    key: Path | None = None
    replay: bool = False

    def load(self) -> Keeping:
        """Raises KeyUnusable (PK669): there is no such key, or spans are to be in clear without ``replay``; PolicyError
        (PK682): there is a key, and nothing is to be hashed."""
        if self.key is None:
            return Keeping(self.spans or SpanForm.OMITTED, replay=self.replay)
        if self.spans is SpanForm.OMITTED:
            help = "leave the key out, or ask for `hashed` spans"
            raise PolicyError.of("PK682", f"nothing is to be hashed with the key `{self.key}`", help=help)
        return Keeping(self.spans or SpanForm.HASHED, key_of_spans(self.key), self.replay)

    def variables(self) -> dict[str, str]:
        """The environment that says the same."""
        key = {KEY: str(self.key)} if self.key is not None else {}
        spans = {SPANS: self.spans.value} if self.spans is not None else {}
        return {**spans, **key, REPLAY: "1" if self.replay else "0"}

    @staticmethod
    def read(variables: Mapping[str, str]) -> "KeepingFiles":
        """What the environment says. Raises PolicyError (PK680) for a value that is none."""
        spans, replay = variables.get(SPANS), variables.get(REPLAY) or "0"
        forms = [form.value for form in SpanForm]
        if spans and spans not in forms:
            raise _no_value(SPANS, spans, forms)
        if replay not in ("0", "1"):
            raise _no_value(REPLAY, replay, ["0", "1"])
        key = variables.get(KEY)
        return KeepingFiles(SpanForm(spans) if spans else None, Path(key) if key else None, replay == "1")


def _no_value(name: str, value: str, values: list[str]) -> PolicyError:
    help = "give " + " or ".join(f"`{one}`" for one in values)
    return PolicyError.of("PK680", f"`{name}` is `{value}`", help=help)
