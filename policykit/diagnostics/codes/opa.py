"""Codes PK160–PK169: decisions of an Open Policy Agent."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK160",
        "not a reference to a Rego rule",
        "A decision is named by the full name of a rule: `data`, the package, the rule, joined by dots. Expressions "
        "and conditions belong into the Rego policy.",
        "when: {rego: refunds.allow == true}",
    ),
    CodeEntry(
        "PK161",
        "the client for OPA is not installed",
        "OPA is asked through the package `opa-python-client`, an extra of policykit. Without it no decision can be "
        "had, and what depends on one is blocked.",
        "pip install policykit && policykit verify --opa http://localhost:8181 ...",
    ),
    CodeEntry(
        "PK162",
        "settings of OPA that cannot be used",
        "The address is scheme, host and port; certificates are a PEM file and need `https`; a token is one line and "
        "never sent in clear to another machine; times and counts are above 0.",
        "OpaSettings(url='http://opa.example.org:8181', token='secret')",
    ),
    CodeEntry(
        "PK163",
        "no OPA to ask",
        "A rule or an exception depends on a decision of OPA, and the deployment's resources name none. The rule would "
        "be an error in every verdict, and an error blocks.",
        "plan.with_resources(Resources())",
    ),
    CodeEntry(
        "PK164",
        "a decision that tests nothing",
        "A test states what OPA would answer: true or false, for a reference that some rule of the document asks for. "
        "Everything else that OPA can say is an error, and an error blocks.",
        "given: {output: x, decisions: {data.refunds.alow: true}}",
    ),
)
