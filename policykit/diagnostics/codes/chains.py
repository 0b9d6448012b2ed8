"""Codes PK130–PK139: texts near each other, counted texts, lengths, scripts, languages, lists of phrases."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK130",
        "a count or a neighbourhood that says nothing",
        "`near` is about two or three texts, `atLeast` is no more than `atMost`.",
        "match: {count: {phrases: [hurry], atLeast: 3, atMost: 2}}",
    ),
    CodeEntry(
        "PK131",
        "an option that does not belong to the matcher",
        "`before` and `after` say how the phrases and expressions of the same match are found, and "
        "nothing about `near`, `count`, `length` and `script`, which have options of their own. A length and a script "
        "are read from the text as it is written.",
        "match: {length: {unit: words, atLeast: 500}, views: [compat]}",
    ),
    CodeEntry(
        "PK132",
        "no such script",
        "Scripts go by the long names of Unicode's Scripts.txt, such as `Latin`, `Cyrillic` or `Han`. `Common` and "
        "`Inherited` are what scripts share, and no script of a letter.",
        "match: {script: {notIn: [Roman]}}",
    ),
    CodeEntry(
        "PK134",
        "a language that cannot be told",
        "Languages are told by the library py3langid, whose version is in the plan's digest: `pip install "
        "policykit[language]`. Without it, with another version than a plan was compiled with, or for a language that "
        "it does not know, the rule would never hold.",
        "match: {language: {notIn: [english]}}",
    ),
    CodeEntry(
        "PK133",
        "a list of phrases that cannot be used",
        "A list is a CSV or TSV file in the policy's folder or below it. Its first line names the columns, all lines "
        "have as many values, one column holds the phrases, each of them once; the others go with what is found.",
        "match: {phrases: {csv: ../phrases.csv, column: phrase}}",
    ),
)
