"""The field table's rows for matchers that are put together of others, or measure the text."""

from policykit.policy.shapes import (
    Choice,
    Data,
    Either,
    Field,
    Flag,
    Integer,
    Many,
    Number,
    Record,
    Ref,
    Text,
    TextKind,
)

COMPOSED = ("near", "count", "length", "script")
MAX_WORDS = 100
MAX_CHARACTERS = 1_000
MAX_COUNT = 100
MAX_LENGTH = 20_000

_TEXTS = (
    Field(
        "phrases",
        Either(Many(Text(TextKind.PHRASE), or_one=True), Ref("phraseList")),
        "phrases, at word boundaries; a space matches any run of separators",
    ),
    Field("regex", Many(Text(TextKind.REGEX), or_one=True), "regular expressions in RE2 syntax"),
    Field("exact", Flag(), "true: separators in phrases stand for themselves"),
)

CHAIN_RECORDS = (
    Record(
        "language",
        "The language of the whole text. Does not apply to a text whose language is not told: the verdict says so.",
        (
            Field("in", Many(Text(TextKind.ID)), "finds texts in these languages, by ISO 639 codes: `en`"),
            Field("notIn", Many(Text(TextKind.ID)), "finds texts in all other languages"),
            Field("letters", Integer(1, 1_000), "letters and digits that a text needs; 20 if not said"),
            Field("confidence", Number(0.0, 1.0, above=True), "the least probability of the language; 0.8 if not said"),
        ),
        any_of=("in", "notIn"),
    ),
    Record(
        "phraseList",
        "Phrases with what is said about each of them: the rows of a file, or `entries`.",
        (
            Field("csv", Text(TextKind.PATH), "a CSV or TSV file beside the policy, or in a folder there"),
            Field("column", Text(), "the column that holds the phrases; `phrase` if not said"),
            Field("entries", Many(Ref("listedPhrase")), "the phrases themselves"),
        ),
        any_of=("csv", "entries"),
        alone=("entries",),
        needs=(("column", "csv"),),
    ),
    Record(
        "listedPhrase",
        "A phrase, and what findings say about it.",
        (
            Field("phrase", Text(TextKind.PHRASE), "the phrase", required=True),
            Field("data", Data(of_mapping=True), "what is said about it, such as its source"),
        ),
    ),
    Record(
        "near",
        "Texts that do not overlap, with no more than so much between one and the next.",
        (
            Field("of", Many(Ref("side")), "two or three sides: something of each must be there", required=True),
            Field("words", Integer(0, MAX_WORDS), "at most so many words between two sides"),
            Field("characters", Integer(0, MAX_CHARACTERS), "at most so many characters between two sides"),
            Field("ordered", Flag(), "true: in this order only"),
        ),
        any_of=("words", "characters"),
    ),
    Record(
        "side",
        "Any of the phrases or expressions.",
        _TEXTS,
        any_of=("phrases", "regex"),
        needs=(("exact", "phrases"),),
    ),
    Record(
        "count",
        "How often any of the phrases, expressions or entities is found: as many matches as can be without overlap.",
        (
            *_TEXTS,
            Field(
                "entities",
                Many(Either(Text(TextKind.ID), Ref("entity")), or_one=True),
                "identifiers, in place of phrases and expressions: those of the whole text, counted by the verifier",
            ),
            Field("distinct", Flag(), "true: different identifiers; one that stands there twice counts once"),
            Field("atLeast", Integer(1, MAX_COUNT), "finds something if there are so many or more"),
            Field("atMost", Integer(0, MAX_COUNT - 1), "finds something if there are so many or fewer"),
        ),
        any_of=("atLeast", "atMost"),
        needs=(("exact", "phrases"), ("distinct", "entities")),
    ),
    Record(
        "length",
        "How long the text is, or each JSON string where those are read.",
        (
            Field(
                "unit",
                Choice(("characters", "words", "sentences", "lines")),
                "what is counted: code points; runs of letters and digits, or single letters of scripts without "
                "spaces; sentences that hold a letter or digit; lines",
                required=True,
            ),
            Field("atLeast", Integer(1, MAX_LENGTH), "finds something if it has so many or more"),
            Field("atMost", Integer(0, MAX_LENGTH - 1), "finds something if it has so many or fewer"),
        ),
        any_of=("atLeast", "atMost"),
    ),
    Record(
        "citations",
        "Citations that a text must hold, and the sources that they may name.",
        (
            Field("format", Text(), "a citation with `{id}` in place of the id; `[{id}]` if not said"),
            Field("id", Text(TextKind.REGEX), "what an id is, in RE2 syntax; letters, digits, `-`, `_` if not said"),
            Field(
                "per",
                Choice(("sentence", "line", "text")),
                "what must hold a citation if it has a letter or digit; `sentence` if not said",
            ),
            Field(
                "free",
                Many(Text()),
                "what needs no citation, such as `I do not know.`: a sentence (line, text) as it is written",
            ),
            Field(
                "sources",
                Text(),
                "the fact that lists what may be cited, such as `retrieved`: ids, or documents that have an `id`",
            ),
        ),
    ),
    Record(
        "script",
        "Letters (and their marks) by their script; what several scripts share belongs to none.",
        (
            Field("in", Many(Text()), "finds letters of these scripts, by their Unicode names: `Cyrillic`"),
            Field("notIn", Many(Text()), "finds letters of all other scripts"),
        ),
        any_of=("in", "notIn"),
        alone=("in", "notIn"),
    ),
)
