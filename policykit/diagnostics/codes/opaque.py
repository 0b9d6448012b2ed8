"""Codes PK170–PK179: predicates and classifiers."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK170",
        "no such predicate",
        "A predicate is a function of an installed package, by the entry point group `policykit.predicates`, or one "
        "that the deployment gives. Without it the rule would be an error in every verdict, and an error blocks.",
        "match: {predicate: no-such-function}",
    ),
    CodeEntry(
        "PK171",
        "another predicate than was meant",
        "A plan is compiled with the installed function of a name, by package, version and object, which is in its "
        "digest; a rule can ask for a version too. Another function is not used in its place.",
        "match: {predicate: {name: iambic, version: 9.9.9}}",
    ),
    CodeEntry(
        "PK172",
        "a predicate that cannot be loaded",
        "The entry point names something that cannot be imported, or that is no `policykit.predicates.TextPredicate`.",
    ),
    CodeEntry(
        "PK173",
        "a matcher that finds no place",
        "A transform replaces what was found. A classifier, and a predicate that answers true or false, say that "
        "something is in the text and not where.",
        "match: {predicate: iambic}\naction: {transform: {replace: {with: x}}}",
    ),
    CodeEntry(
        "PK174",
        "no such classifier",
        "A classifier is a model that the deployment gives under the name that rules use. Without it the rule would be "
        "an error in every verdict, and an error blocks.",
        "plan.with_resources(Resources())",
    ),
    CodeEntry(
        "PK175",
        "a classifier with another content",
        "A rule names the digest of the model that it was reviewed with, which so is in the plan's digest. A model "
        "that was trained further, or exchanged, gives other scores and is refused until the rule says so.",
        "policykit verify --classifier toxicity=models/toxicity-v2 ...",
    ),
    CodeEntry(
        "PK176",
        "a classifier without the label",
        "The model's configuration (`id2label`) does not have the label, so that it could never be found.",
        "match: {classifier: {model: toxicity, digest: ..., label: toxc, threshold: 0.8}}",
    ),
    CodeEntry(
        "PK177",
        "a score that is none",
        "A test states the probability, from 0 to 1, that a classifier would give a label, and only of models and "
        "labels that a rule asks for: any other would test nothing.",
        "given: {output: x, scores: {toxicity: {toxic: high}}}",
    ),
)
