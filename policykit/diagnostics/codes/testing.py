"""Codes PK505–PK539: files of tests, and what they claim."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK505",
        "tests of another document",
        "`x.tests.yaml` stands beside `x.policy.yaml` and names its document, so that a renamed or copied file is "
        "noticed instead of testing the wrong policy.",
        "document: finance/advise beside a policy named finance/advice",
    ),
    CodeEntry(
        "PK516",
        "tests without a policy beside them",
        "A file of tests runs with the policy of the same name. Without one it would never run.",
        "advice.tests.yaml without advice.policy.yaml",
    ),
    CodeEntry(
        "PK507",
        "not a table of cases",
        "A table's line has text, decision, rules and output, the last two of which may be left out; the first line "
        "of a CSV or TSV file names the columns. What does not fit is refused rather than guessed at.",
        "cases: [[some text, block, [no-promises], shown instead, one too many]]",
    ),
    CodeEntry(
        "PK508",
        "an expected output that cannot be used",
        "A test says its output once, in `output` or in a `golden` file, which stands in the folder of the test's file "
        "or below it: updating must never write elsewhere.",
        "expect: {decision: allow, golden: ../../etc/passwd}",
    ),
    CodeEntry(
        "PK509",
        "golden files are not updated here",
        "Where the environment says `CI`, `--update-golden` is refused: a build that rewrites what it expects cannot "
        "fail. Update on a desk, look at the difference, and commit the files.",
        "CI=true policykit test policies/ --update-golden",
    ),
    CodeEntry(
        "PK510",
        "no variant of the test can be made",
        "`evasion: claimed` respells what rules found in the text. A test in which nothing is found, or only things "
        "that have no other spelling, would run once and look as if it had run in every spelling.",
        "given: {output: hello}\nexpect: {decision: allow}\nvariants: {evasion: claimed}",
    ),
    CodeEntry(
        "PK511",
        "never found by a test",
        "A phrase, an expression or an exception that no passing test brings into play could be lost or misspelled "
        "without a test failing.",
        "match: {phrases: [guaranteed returns, assured profits]}, and only the first in a test",
    ),
    CodeEntry(
        "PK512",
        "a mutant survived",
        "The policy was changed in one place, as shown, and every test still passed: no test says that the change "
        "would be wrong. Add a test that does, or take out what makes no difference.",
        "policykit test policies/ --mutate",
    ),
    CodeEntry(
        "PK513",
        "mutants need passing tests",
        "A mutant counts as noticed when a test fails. Where tests fail without it, nothing can be said.",
        "policykit test broken.policy.yaml --mutate",
    ),
)
