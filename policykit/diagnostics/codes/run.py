"""Codes PK500–PK599: verifying, testing and the command line."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK506",
        "facts that cannot be read",
        "Facts are a JSON object: what is known about the request, under the names that conditions read.",
    ),
    CodeEntry(
        "PK500",
        "no test has this name",
        "`policykit test --only` runs the tests with one name; `*` stands for any text. A selection that selects "
        "nothing would look like a run in which everything passed.",
        "policykit test policies/ --only 'blocks a garantee'",
    ),
    CodeEntry(
        "PK501",
        "a test failed",
        "The verdict on the test's text is not the one that the test expects. The report shows what was wanted, what "
        "came, the rules that fired and where, and for a rule that did not fire the nearest thing to a match.",
        'given: {output: "guaranteed results"}\nexpect: {decision: block}',
    ),
    CodeEntry(
        "PK502",
        "a test could not be judged",
        "A check that should have run could not. In serving that blocks the text; in a test it is neither a pass nor a "
        "failure of the rule.",
        "the test's output is larger than the verifier reads",
    ),
    CodeEntry(
        "PK503",
        "a document has no tests",
        "Rules that nobody has tried block what they should not and miss what they should. One test that blocks and "
        "one that allows are a start.",
        "tests: []",
    ),
    CodeEntry(
        "PK504",
        "no test expects the rule",
        "Every rule should be named in `expect.rules` of at least one test, so that losing it is noticed.",
        "rules: [{id: no-guarantees, ...}]\ntests: [{..., expect: {decision: allow}}]",
    ),
    CodeEntry(
        "PK550",
        "the command line is wrong",
        "A command, a flag or a value on the command line is not one that policykit knows, or two of them exclude each "
        "other. Nothing was run. The exit status is 3, as for any other invalid input.",
        "policykit chekc policies/",
    ),
    CodeEntry(
        "PK551",
        "there is no such diagnostic code",
        "`policykit explain` knows the codes that diagnostics carry: PK and three digits. `policykit explain --codes` "
        "lists them all.",
        "policykit explain PK999",
    ),
    CodeEntry(
        "PK552",
        "the file exists and is not overwritten",
        "`policykit new` writes a file to start from. It never replaces one that is there.",
        "policykit new refunds && policykit new refunds",
    ),
    CodeEntry(
        "PK553",
        "a file cannot be read or written",
        "The operating system refused to open the file: it does not exist, is a folder, or its permissions forbid it.",
        "policykit verify --policies policies/ no-such-reply.txt",
    ),
    CodeEntry(
        "PK554",
        "the text is not UTF-8",
        "A plan judges text. Bytes that are not strict UTF-8 have no agreed meaning, so a phrase could hide in them; "
        "they are refused rather than guessed at.",
        "printf 'guar\\xC3anteed' | policykit verify --policies policies/",
    ),
    CodeEntry(
        "PK555",
        "an optional part of policykit is not installed",
        "Checking, testing and verifying need no model. Generating text does: it needs torch and transformers, which "
        "are an extra of the package. The exit status is 4.",
        "pip install policykit && policykit demo",
    ),
    CodeEntry(
        "PK560",
        "the file has a form that is not laid out",
        "`policykit fmt` lays out files in block style, with keys written as `name:`. Keys that begin with `?` and end "
        "markers `...` are valid YAML but have no place in that layout. Nothing was written.",
        "? kind\n: Policy",
    ),
    CodeEntry(
        "PK561",
        "a corpus holds something that is no text to judge",
        "`policykit diff` judges texts from JSON Lines, CSV, TSV, plain text by the line, or folders of texts. A line "
        "that is none of these is not skipped: a corpus that is judged in part would say less than it seems to.",
        'printf \'{"outptu": "Hello"}\\n\' > texts.jsonl && policykit diff old.policy.yaml new.policy.yaml '
        "--corpus texts.jsonl",
    ),
)
