"""What predicates and classifiers find: asked with a deadline, and what they answer is checked before it counts."""

import json
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import TypeAlias

from policykit.compile.resolve import opaque
from policykit.diagnostics import Diagnostic, PolicyError, did_you_mean
from policykit.ir.document import Hash, Mask, Replace
from policykit.ir.opaque import Classifier, Language, Opaque, Predicate
from policykit.ir.plan import ResolvedRule
from policykit.predicates import (
    PredicateError,
    PredicateProcess,
    Spans,
    TextClassifier,
    TextPredicate,
    TookTooLong,
    checked,
    checked_scores,
    installed,
    installed_names,
)
from policykit.predicates.language import library
from policykit.verify.resources import Resources
from policykit.verify.units import Asked, Span

_Source: TypeAlias = TextPredicate | PredicateProcess
_processes: dict[str, PredicateProcess] = {}
_processes_lock = Lock()


class Opened:
    """The predicates and classifiers of a deployment, for the rules of a plan."""

    def __init__(self, resources: Resources, context: Mapping[str, object]) -> None:
        self._resources = resources
        self._context = {name: str(value) for name, value in context.items()}

    def ask(self, leaf: Predicate | Classifier, text: str) -> Asked:
        """What a predicate or classifier finds. Raises PredicateError, or PolicyError where it is not the one that is
        meant."""
        if isinstance(leaf, Classifier):
            return self._classifier(leaf, text), False
        found = self._predicate(leaf, text)
        if isinstance(found, bool):
            return (((0, len(text)),) if found else ()), False
        return found, True

    def _predicate(self, leaf: Predicate, text: str) -> bool | Spans:
        source = source_of(leaf, self._resources)
        args, deadline_s = json.loads(leaf.args), self._resources.deadline_s
        try:
            if isinstance(source, PredicateProcess):
                return source.find(text, args, self._context, deadline_s)
            found = self._resources.workers.run(lambda: _called(source, text, args, self._context), deadline_s)
            return checked(found, len(text), source.finds_spans)
        except (PredicateError, TookTooLong) as error:
            raise PredicateError(f"predicate `{leaf.name}`: {error}") from None

    def _classifier(self, leaf: Classifier, text: str) -> tuple[Span, ...]:
        """The parts of the text in which the label reaches the threshold."""
        model = model_of(leaf, self._resources)
        try:
            found = self._resources.workers.run(lambda: model.scores(text, leaf.label), self._resources.deadline_s)
            scores = checked_scores(found, len(text))
        except Exception as error:
            told = error if isinstance(error, PredicateError | TookTooLong) else f"{type(error).__name__}: {error}"
            raise PredicateError(f"classifier `{leaf.model}`: {told}") from None
        return tuple((scored.start, scored.end) for scored in scores if scored.score >= leaf.threshold)


def model_of(leaf: Classifier, resources: Resources) -> TextClassifier:
    """The model of the deployment. Raises PolicyError: there is none (PK174), it has another content (PK175), or not
    the label (PK176)."""
    model = resources.classifiers.get(leaf.model)
    if model is None:
        help = did_you_mean(leaf.model, resources.classifiers) or "give one: `Resources(classifiers={…})`"
        raise PolicyError.of("PK174", f"there is no classifier `{leaf.model}`", leaf.place, help)
    if model.digest != leaf.digest:
        message = f"the classifier `{leaf.model}` has digest `{model.digest}`, the rule says `{leaf.digest}`"
        raise PolicyError.of("PK175", message, leaf.place, "deploy that model, or review this one and change the rule")
    if leaf.label not in model.labels:
        help = did_you_mean(leaf.label, model.labels) or f"its labels: {', '.join(model.labels)}"
        raise PolicyError.of("PK176", f"the classifier `{leaf.model}` has no label `{leaf.label}`", leaf.place, help)
    return model


def _called(source: TextPredicate, text: str, args: Mapping[str, object], context: Mapping[str, str]) -> object:
    try:
        found: object = source.find(text, args, context)
        # Spans may be made while they are read, which is the predicate's time too.
        return list(found) if source.finds_spans and isinstance(found, Iterable) else found  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    except Exception as error:
        raise PredicateError(f"{type(error).__name__}: {error}") from error


def source_of(leaf: Predicate, resources: Resources) -> _Source:
    """The function of the deployment, or else the installed one. Raises PolicyError where it is not the one that the
    plan was compiled with (PK171), or there is none (PK170)."""
    given = resources.predicates.get(leaf.name)
    if given is not None:
        if leaf.identity is not None:
            raise _other(leaf, f"the plan was compiled with the installed one, {leaf.identity}")
        if leaf.version is not None and leaf.version != given.version:
            raise _other(leaf, f"the rule asks for version {leaf.version}, it is {given.version}")
        return given
    found = installed(leaf.name)
    if found is None:
        help = did_you_mean(leaf.name, [*resources.predicates, *installed_names()])
        help = help or "install the package that has it, or give it: `Resources(predicates={…})`"
        raise PolicyError.of("PK170", f"there is no predicate `{leaf.name}`", leaf.place, help)
    if found.identity != leaf.identity:
        raise _other(leaf, f"the plan was compiled with {leaf.identity or 'none'}, installed is {found.identity}")
    with _processes_lock:
        return _processes.setdefault(found.target, PredicateProcess(found.target))


def _other(leaf: Predicate, why: str) -> PolicyError:
    help = "compile the plan anew, or use the version that it was compiled with"
    return PolicyError.of("PK171", f"`{leaf.name}` is another predicate: {why}", leaf.place, help)


def check_opened(rules: Iterable[ResolvedRule], resources: Resources) -> None:
    """Raises PolicyError with every rule whose predicate is missing (PK170), another (PK171), cannot be loaded (PK172)
    or finds no place for a transform (PK173), and whose classifier is missing (PK174), another (PK175) or without the
    label (PK176). Starts the processes of installed predicates."""
    wrong = [found for rule in rules for own in (rule, *(rule.admits or ())) for found in _wrong(own, resources)]
    if wrong:
        raise PolicyError(wrong)


def _wrong(rule: ResolvedRule, resources: Resources) -> list[Diagnostic]:
    return [found for leaf in opaque(rule.matcher) for found in _wrong_with(leaf, rule, resources)]


def _wrong_with(leaf: Opaque, rule: ResolvedRule, resources: Resources) -> list[Diagnostic]:
    if isinstance(leaf, Language):
        if library() == leaf.identity:
            return []
        message = f"the plan was compiled with {leaf.identity}, installed is {library()}"
        return [Diagnostic("PK134", message, leaf.place, "compile the plan anew, or install that version")]
    try:
        if isinstance(leaf, Classifier):
            model_of(leaf, resources)
            return []
        finds_spans = _finds_spans(leaf, source_of(leaf, resources))
    except PolicyError as error:
        return list(error.diagnostics)
    if finds_spans or not isinstance(rule.action, Mask | Replace | Hash):
        return []
    message = f"`{leaf.name}` says whether it finds something and not where: nothing can be replaced"
    return [Diagnostic("PK173", message, leaf.place, "use `block`, or a predicate with spans")]


def _finds_spans(leaf: Predicate, source: _Source) -> bool:
    try:
        return source.finds_spans
    except PredicateError as error:
        message = f"the predicate `{leaf.name}` cannot be used: {error}"
        help = "mend its package, or install another version"
        raise PolicyError.of("PK172", message, leaf.place, help) from None
