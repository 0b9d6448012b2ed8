"""Codes PK300–PK399: compiling a plan, and reading one from its file."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK314",
        "facts given twice",
        "A subject (a tool call, an input) brings its own facts; facts beside it would have to be merged in silence.",
    ),
    CodeEntry(
        "PK300",
        "nothing to compile",
        "A plan is made of policies, a grammar, or both. One of neither would let everything pass, which is more "
        "likely a forgotten argument than a wish.",
        "policykit.compile(None)",
    ),
    CodeEntry(
        "PK301",
        "a policy has expired",
        "`effective.until` is the first day on which a document no longer applies. Leaving its rules out silently "
        "would look like enforcing them.",
        "effective: {from: 2024-01-01, until: 2025-01-01}",
    ),
    CodeEntry(
        "PK302",
        "a policy is not effective yet",
        "A warning: the rules of a document whose `effective.from` lies ahead are not in this plan. The plan expires "
        "on that day, so that it cannot be used without them.",
        "effective: {from: 2099-01-01}",
    ),
    CodeEntry(
        "PK303",
        "too many states to enforce",
        "A mask follows a deterministic automaton, and some short expressions need one that is exponential in their "
        "repetition counts. What is over the limit is refused instead of slowing every token down.",
        "regex: ['(?:a|b)*a(?:a|b){20}']",
    ),
    CodeEntry(
        "PK304",
        "a transform without a place",
        "A transform replaces what was found. A rule that can fire because something is absent has found nothing that "
        "stands anywhere in the text.",
        "match: {any: [{phrases: [fee]}, {not: {phrases: [risk]}}]}\naction: {transform: {replace: {with: x}}}",
    ),
    CodeEntry(
        "PK305",
        "a required text is forbidden",
        "One rule blocks texts in which something is absent, and another blocks that something. No text would satisfy "
        "both, so generation could never end.",
        "rules:\n"
        "  - {id: say-it, match: {not: {phrases: [capital at risk]}}, action: {block: {}}}\n"
        "  - {id: never-say-it, match: {phrases: [at risk]}, action: {block: {}}}",
    ),
    CodeEntry(
        "PK306",
        "the grammar asks for a forbidden text",
        "A const, the only member of an enum or a required key contains what a rule blocks, or the rules forbid every "
        "member of an enum, so that nothing is left to write there. Optional keys and other members are taken out of "
        "the grammar instead, each with a row in the plan.",
        '{"const": "guaranteed returns"} under a rule that blocks `guaranteed returns`',
    ),
    CodeEntry(
        "PK307",
        "grammar and rules have no text in common",
        "It is shown that every text of the grammar, or every string at one place of a schema, is forbidden by the "
        "rules: generation could not begin.",
        'start: "guaranteed returns" under a rule that blocks `guaranteed returns`',
    ),
    CodeEntry(
        "PK310",
        "the plan has expired",
        "`valid_until` is the first day after compiling on which a document begins or ends. From then on the plan is "
        "not what its policies say.",
        "policykit verify --plan last-year.plan.json reply.txt",
    ),
    CodeEntry(
        "PK311",
        "not a plan",
        "The file is missing, is not JSON, or does not have the form that `policykit compile -o` writes.",
        "policykit verify --plan reply.txt",
    ),
    CodeEntry(
        "PK312",
        "a plan of another format version",
        "The format version stands for what a plan means. Reading another version's plan by this version's rules could "
        "enforce something else than what was compiled.",
        '{"kind": "policykit/plan", "format": 99}',
    ),
    CodeEntry(
        "PK313",
        "the plan does not have its own digest",
        "Loading compiles the plan's documents and grammar anew and compares the digests. They differ if the file was "
        "edited, or if this version reads the same sources in another way, such as by other Unicode tables.",
        "a plan file in which a phrase was changed by hand",
    ),
    CodeEntry(
        "PK315",
        "two grammars for one text",
        "A plan that has an output grammar was given another one. A text cannot follow both, and replacing one would "
        "drop what the plan promises.",
        "plan.with_grammar(grammar) for a plan that was compiled with a grammar",
    ),
    CodeEntry(
        "PK316",
        "bounds on compiling requests' grammars that are none",
        "`POLICYKIT_COMPILE_DEADLINE_S`, `POLICYKIT_COMPILE_WAIT_S`, `POLICYKIT_COMPILE_MEMORY_MIB` and "
        "`POLICYKIT_COMPILE_PROCESSES` bound how grammars of requests are compiled. A server that cannot read one of "
        "them does not start, for it would otherwise compile within bounds that nobody has chosen.",
        "POLICYKIT_COMPILE_DEADLINE_S=10s policykit serve …",
    ),
)
