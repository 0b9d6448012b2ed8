"""What a rule with a classifier means: an action that needs no place; and what tests say that classifiers would say."""

from collections.abc import Iterable, Iterator, Sequence

from policykit.diagnostics import Diagnostic, did_you_mean
from policykit.ir.document import AllOf, AnyOf, Matcher, Not, Rule, StatedScore
from policykit.ir.opaque import Classifier
from policykit.policy.checked import Entries, Json
from policykit.policy.transforms import is_on_spans


def check_classifiers(rule: Entries, diagnostics: list[Diagnostic]) -> None:
    """Appends transforms that would have nothing to replace."""
    action = rule.entries("action")
    transform = action.entries("transform") if action else None
    for match in _matches(rule):
        classifier = match.entries("classifier")
        if classifier and transform and is_on_spans(transform):
            message = "a classifier says that something is in the text and not where: nothing can be replaced"
            help = "use `block` or `escalate`, or find the place by another matcher in a rule of its own"
            diagnostics.append(Diagnostic("PK173", message, match.keys["classifier"], help))


def asked_in(rules: Sequence[Entries]) -> list[tuple[str, str]] | None:
    """The models and labels that rules ask for; None where one of them could not be read, which is reported already."""
    found = [match.entries("classifier") for rule in rules for match in _matches(rule) if "classifier" in match.keys]
    named = [(one.text("model"), one.text("label")) for one in found if one]
    asked = [(model, label) for model, label in named if model and label]
    return asked if len(asked) == len(found) else None


def asked_by(rules: Iterable[Rule]) -> list[tuple[str, str]]:
    """The models and labels that rules ask for."""
    return [(leaf.model, leaf.label) for rule in rules for leaf in _classifiers(rule.matcher)]


def _classifiers(matcher: Matcher | None) -> Iterator[Classifier]:
    match matcher:
        case Classifier():
            yield matcher
        case AnyOf(items) | AllOf(items):
            for item in items:
                yield from _classifiers(item)
        case Not(item):
            yield from _classifiers(item)
        case _:
            return


def check_scores(holders: Iterable[Entries], asked: Sequence[tuple[str, str]], diagnostics: list[Diagnostic]) -> None:
    """Appends scores that no rule asks for, and those that are none: a test that states one would test nothing."""
    known = [f"{model}: {label}" for model, label in asked]
    for given in (given for holder in holders if (given := holder.entries("given"))):
        for name, value in _flat(given.data("scores")):
            place = given.keys["scores"]
            if name not in known:
                help = did_you_mean(name, known) or f"rules ask for: {', '.join(known) or 'nothing'}"
                diagnostics.append(Diagnostic("PK177", f"no rule asks for the score `{name}`", place, help))
            elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                message = f"the score `{name}` is no number from 0 to 1"
                diagnostics.append(Diagnostic("PK177", message, place, "a score is a probability"))


def stated_scores(said: Json) -> tuple[StatedScore, ...]:
    """The scores that a test states. They have passed every check."""
    found = ((name.partition(": "), value) for name, value in _flat(said))
    return tuple(
        StatedScore(model, label, float(value))
        for (model, _, label), value in found
        if isinstance(value, int | float)  # anything else was refused
    )


def _flat(said: Json) -> Iterator[tuple[str, Json]]:
    """Scores by `model: label`; by the model alone where no labels are given."""
    for model, labels in said.items() if isinstance(said, dict) else ():
        if not isinstance(labels, dict) or not labels:
            yield model, None
            continue
        for label, value in labels.items():
            yield f"{model}: {label}", value


def _matches(rule: Entries) -> Iterator[Entries]:
    """Every match of a rule, in it or in what it requires, with all that stand inside them."""
    for holder in (rule, rule.entries("require")):
        match = holder.entries("match") if holder else None
        if match:
            yield from _all(match)


def _all(match: Entries) -> Iterator[Entries]:
    yield match
    inner = match.entries("not")
    for item in (*match.records("all"), *match.records("any"), *((inner,) if inner else ())):
        yield from _all(item)
