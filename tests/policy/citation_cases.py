"""One mistake each in a demand for citations."""

from tests.policy.case import BASE, RULE, Case

_WHOLE = BASE[BASE.index("    severity") : BASE.index("tests:")]


def _cited(name: str, code: str, marked: str, help: str) -> Case:
    return Case(name, code, "severity: high", "require: {citations: {" + marked + "}}", help)


def _rule(name: str, require: str, rest: str) -> Case:
    return Case(name, "PK142", _WHOLE, f"    require: {{{require}}}\n    {rest}\n", _HELP[name])


_HELP = {"citations of an input": "`target`", "a citation put in": "`block`", "citations or people": "two rules"}
CITATION_CASES = (
    _cited("no id in the form", "PK140", 'format: «"[1]"»', "`[{id}]`"),
    _cited("two ids in the form", "PK140", 'format: «"[{id}:{id}]"»', "`[{id}]`"),
    _cited("nothing around the id", "PK140", 'format: «"{id}"»', "before and behind"),
    _cited("marks that share a bar", "PK140", 'format: «"|{id}|"»', "brackets"),
    _cited("white space in a form", "PK140", 'format: «"[see {id}]"»', "without them"),
    _cited("a sentence in a form", "PK140", 'format: «"[。{id}]"»', "without them"),
    _cited("an id with spaces", "PK140", "format: \"[{id}]\", id: «'[a-z ]+'»", "without them"),
    _cited("an id with brackets", "PK140", "format: \"[{id}]\", id: «'\\[?[0-9]+'»", "no id has"),
    _cited("an id with its end", "PK140", "format: \"[{id}]\", id: «'[0-9]+]'»", "no id has"),
    _cited("an id that looks beside itself", "PK140", "format: \"[{id}]\", id: «'\\bK[0-9]+'»", "`format`"),
    _cited("an id that is very long", "PK140", "format: «\"[{id}]\"», id: '[0-9]{700}'", "shorten"),
    _cited("an id that is nothing", "PK120", "format: \"[{id}]\", id: «'[0-9]*'»", "`+`"),
    _cited("a free text of two sentences", "PK143", 'format: "[{id}]", free: [«"Yes. No."»]', "one sentence"),
    _cited("a free text with a citation", "PK143", 'format: "[{id}]", free: [«"Yes [1]."»]', "one sentence"),
    _cited("a free text with white space", "PK143", 'format: "[{id}]", per: line, free: [«" Yes"»]', "one line"),
    _cited("a free text that says nothing", "PK143", 'format: "[{id}]", free: [«"..."»]', "one sentence"),
    _cited("an item of a fact", "PK141", 'format: "[{id}]", sources: «"retrieved[0]"»', "`retrieved.ids`"),
    _cited("what is judged as a fact", "PK141", 'format: "[{id}]", sources: «json.ids»', "`retrieved.ids`"),
    Case(
        "a fact that is no list of ids",
        "PK141",
        RULE,
        "facts: {inline: {type: object, properties: {hits: {type: number}}}}\n"
        + RULE
        + '\n    require: {citations: {format: "[{id}]", sources: «hits»}}',
        "list of texts",
    ),
    Case(
        "a fact that is not described",
        "PK141",
        RULE,
        "facts: {inline: {type: object, additionalProperties: false, properties: {ids: {type: array, items: "
        "{type: string}}}}}\n" + RULE + '\n    require: {citations: {format: "[{id}]", sources: «papers»}}',
        "list of texts",
    ),
    _rule("citations of an input", '«citations»: {format: "[{id}]"}', "target: input\n    action: {block: {}}"),
    _rule(
        "a citation put in",
        '«citations»: {format: "[{id}]"}',
        "match: {phrases: [a]}\n    action: {transform: {mask: {with: x}}}",
    ),
    _rule(
        "citations or people",
        '«citations»: {format: "[{id}]"}, approvals: {role: editor}',
        "action: {block: {}}",
    ),
    Case(
        "id of a rule on sources",
        "PK050",
        RULE,
        'rules:\n  - {id: cite, require: {citations: {format: "[{id}]", sources: ids}}, action: {block: {}}}\n'
        "  - {id: «cite-sources», match: {phrases: [a b]}, action: {block: {}}}\n" + RULE.removeprefix("rules:\n"),
        "rename",
    ),
)
