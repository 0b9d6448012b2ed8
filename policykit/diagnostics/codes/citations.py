"""Codes PK140–PK143: citations that a text must hold."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK140",
        "a form of citations that cannot be told from the text",
        "A citation is `{id}` between two texts that set it apart. Ids have no white space and nothing that ends a "
        "sentence, and neither of the two texts can begin inside an id: then it is plain where each citation stands "
        "and what it names.",
        'require: {citations: {format: "{id}"}}',
    ),
    CodeEntry(
        "PK141",
        "sources that are no fact",
        "`sources` is the name of a fact of the request, or names joined by dots. The fact lists the ids that may be "
        "cited, as texts or as documents with a text `id`; where the facts have a schema, it says so.",
        'require: {citations: {format: "[{id}]", sources: "retrieved[0]"}}',
    ),
    CodeEntry(
        "PK142",
        "citations that cannot be demanded here",
        "Citations are demanded of the sentences that a model writes, and where one is missing, a rule blocks, "
        "escalates, or adds a notice to the text: nobody else knows the source. The strings of a JSON value are no "
        "sentences, so a plan with a JSON grammar refuses the rule.",
        'rules: [{id: r, target: input, require: {citations: {format: "[{id}]"}}, action: {block: {}}}]',
    ),
    CodeEntry(
        "PK143",
        "a text that needs no citation, and cannot stand alone",
        "What is `free` of citations is compared with each sentence as a whole (or line, or text, as `per` says), so "
        "it is one of them, as it is written, with its stop.",
        'require: {citations: {format: "[{id}]", free: ["I do not know. Ask again."]}}',
    ),
)
