"""Codes PK200–PK299: grammars."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK201",
        "schema is not JSON",
        "A JSON Schema is itself one JSON value. Comments, trailing commas, repeated names and NaN are not JSON; a "
        "repeated name would be read differently by different tools.",
        '{"type": "string", "type": "number"}',
    ),
    CodeEntry(
        "PK202",
        "not a JSON Schema",
        "The meta-schema of the dialect that `$schema` names (2020-12 where it names none) refuses it. A misspelt type "
        "or a negative length would otherwise constrain nothing, silently.",
        '{"type": "strin"}',
    ),
    CodeEntry(
        "PK203",
        "reference to a document that is not there",
        "Nothing is fetched while compiling or checking: a plan must mean the same tomorrow. Give the document by the "
        "URI that the reference means (`documents=` in Python), name its folder (`--documents`), or put it beside the "
        "file of the schema and refer to it by its path. The dialects' own meta-schemas are always there.",
        '{"$ref": "https://example.com/person.json"}',
    ),
    CodeEntry(
        "PK204",
        "reference leads nowhere",
        "No such place in the schema; or the reference leads back to where it stands without a step into the value, so "
        "that nothing says what it means (2020-12 core, section 9.4.1).",
        '{"$ref": "#/$defs/persn"}',
    ),
    CodeEntry(
        "PK205",
        "unknown JSON Schema dialect",
        "`$schema` names a dialect other than draft-04, draft-06, draft-07, 2019-09 or 2020-12, so what its keywords "
        "mean is not known. Documents that refer to each other are in one dialect.",
        '{"$schema": "https://example.com/my-dialect"}',
    ),
    CodeEntry(
        "PK206",
        "grammar too large",
        "The grammar is beyond the size that can be compiled in bounded time and memory. Split it, or lower the "
        "repetition counts in it.",
        'start: "a"{9000000000}',
    ),
    CodeEntry(
        "PK207",
        "pattern cannot be checked in bounded time",
        "Lookaround and backreferences need backtracking, which is stopped at a limit. Under `not`, `if`, `oneOf` and "
        "`contains`, giving up would read as a pass, so such a pattern is refused there.",
        '{"not": {"pattern": "(?=a)b"}}',
    ),
    CodeEntry(
        "PK208",
        "grammar admits nothing",
        "It is shown that no finite text belongs to the grammar, or that a rule of it can never be completed: "
        "generation would be led into a dead end.",
        '{"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}',
    ),
    CodeEntry(
        "PK209",
        "grammar not compiled within its bounds",
        "Compiling was given a deadline and a bound on memory (`--deadline`, `--memory`, `policykit.Bounds`), and has "
        "not come back within them, or has ended its process. Texts are judged by grammars of requests within the same "
        "bounds, and are blocked where that is not done in time. The example is plain Lark: its "
        "template is 2^30 rules for lark.",
        'start: t{"a"}\nt{x}: ' + "x? " * 30,
    ),
    CodeEntry(
        "PK210",
        "grammar does not parse",
        "The grammar is not in the Lark dialect of llguidance (rules lower case, terminals upper case, the first rule "
        "is `start`), not in plain Lark, or not in GBNF or EBNF (`::=`, the first rule is `root`).",
        'start: "a',
    ),
    CodeEntry("PK211", "undefined symbol", "A rule or terminal is used that is not defined.", "start: verb"),
    CodeEntry(
        "PK212",
        "expression refused",
        "The regular expression does not parse, or uses lookaround, word boundaries or backreferences, which no mask "
        "can enforce.",
        r"(a)\1",
    ),
    CodeEntry(
        "PK213",
        "no choices",
        "A list of choices needs at least one, each a string, none twice.",
        "[]",
    ),
    CodeEntry(
        "PK214",
        "unknown kind of grammar file",
        "The extension says how a grammar is written: .schema.json or .json, .lark, .plain.lark, .gbnf, .ebnf, "
        ".regex, .choices.json, .choices.txt.",
        "answer.bnf",
    ),
    CodeEntry("PK215", "grammar file cannot be read", "The file is missing, or is not UTF-8 text.", "missing.lark"),
    CodeEntry(
        "PK216",
        "grammar needs what is not supported",
        "The grammar uses a feature of the dialect that the masking engine does not implement.",
        'start.2: "a"',
    ),
    CodeEntry(
        "PK217",
        "structural tag not understood",
        "A structural tag is a JSON document with a `format`: texts, JSON schemas, expressions, tags, triggers. It has "
        "a member that is missing or not known, or free text where nothing says where it ends. Formats about tokens, "
        "limits of free text and parameters in XML are not supported.",
        '{"type": "structural_tag", "format": {"type": "any_tokens"}}',
    ),
    CodeEntry(
        "PK218",
        "grammar names tokens, and its texts are judged",
        "A special token, or one that is named by its id, writes what a model's vocabulary says: `<|user|>` writes "
        "nothing in one server's answers and its name in another's. Rules, and the verifier of served answers, read "
        "the text, and cannot say whether one belongs to such a grammar. A mask alone, without rules, can have it.",
        'start: "a" <|user|>',
    ),
    CodeEntry(
        "PK219",
        "grammar names a token that the vocabulary does not have",
        "Which tokens there are is seen when a plan meets a model's vocabulary: special tokens by name (`<|user|>`), "
        "any token by its id (`<[12]>`). An end of text is never named: a text ends where its grammar does.",
        'start: "a" <|no such token|>',
    ),
)
