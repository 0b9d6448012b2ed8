"""Codes PK100–PK199: regular expressions in rules."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK100",
        "the expression is not well formed",
        "Brackets must close, a repetition needs something before it, a range runs from the smaller to the larger "
        "character, and an expression does not end in a backslash. The syntax is that of RE2.",
        "regex: ['(abc']",
    ),
    CodeEntry(
        "PK101",
        "lookaround is not supported",
        "Lookahead and lookbehind need memory that grows with the text, and RE2 does not have them. Text beside a "
        "match is described with `before` and `after`, which the mask and the verifier both enforce.",
        "regex: ['(?<=no )refund']",
    ),
    CodeEntry(
        "PK102",
        "backreferences are not supported",
        "An expression that repeats what it matched is not a regular language: no automaton of bounded size can "
        "decide it, so it could be neither masked nor verified in linear time.",
        r"regex: ['(a|b)\1']",
    ),
    CodeEntry(
        "PK103",
        "possessive and atomic repetition is not supported",
        "Possessive and atomic groups steer a backtracking search. There is no backtracking here, every expression "
        "is matched in linear time, so a plain repetition does what was wanted.",
        "regex: ['a++b']",
    ),
    CodeEntry(
        "PK104",
        "a group of another dialect",
        "Conditionals, recursion, branch resets and comments inside an expression belong to Perl or PCRE. RE2 has "
        "`(...)`, `(?:...)`, `(?P<name>...)`, `(?<name>...)` and `(?flags:...)`.",
        "regex: ['(?R)']",
    ),
    CodeEntry(
        "PK105",
        "unknown escape",
        r"A backslash before a letter must name an escape of RE2: `\a \f \n \r \t \v \xHH \x{H...} \Q...\E \d \D \w "
        r"\W \s \S \pN \p{Name} \A \z \b \B`. Before punctuation it makes the character literal.",
        r"regex: ['end\Z']",
    ),
    CodeEntry(
        "PK106",
        "octal escapes are refused",
        r"`\012` means a line feed to one reader and a backreference to another. A code point is written in "
        r"hexadecimal: `\x0A` or `\x{1F600}`.",
        r"regex: ['a\012']",
    ),
    CodeEntry(
        "PK107",
        "unknown flag",
        "The flags are `i` (any case), `m` (`^` and `$` at lines), `s` (`.` matches a line feed) and `U` (lazy by "
        "default), set by `(?i)` or `(?i:...)` and cleared behind a minus sign.",
        "regex: ['(?x) a b']",
    ),
    CodeEntry(
        "PK108",
        "unknown character class",
        "Unicode classes are general categories (`L`, `Lu`, ...) and scripts (`Greek`, ...), spelled as Unicode "
        "spells them; bracket classes are `[:alpha:]`, `[:digit:]` and the other POSIX names.",
        r"regex: ['\p{Greak}']",
    ),
    CodeEntry(
        "PK109",
        "a repetition outside the limits",
        "RE2 repeats at most 1,000 times, counted through nested repetitions, and a lower bound is not above the "
        "upper one.",
        "regex: ['a{2000}']",
    ),
    CodeEntry(
        "PK110",
        "too large to enforce in bounded memory",
        "A counted repetition is written out as states. An expression of more than 5,000 characters when written "
        "out, or one that RE2 cannot hold in its memory, is refused instead of slowing every token down.",
        "regex: ['((abcdefghij){100}x){9}']",
    ),
    CodeEntry(
        "PK111",
        "too long or nested too deeply",
        "An expression has at most 4,096 characters and 100 levels of groups.",
        "regex: ['((((...))))']",
    ),
    CodeEntry(
        "PK112",
        "refused by RE2",
        "Every expression must also compile under RE2, which the fast verifier runs. The message is RE2's own.",
        r"regex: ['\p{Cn}']",
    ),
    CodeEntry(
        "PK120",
        "the expression matches the empty string",
        "An expression that matches nothing at all is found in every text, so the rule would always fire.",
        "regex: ['a*']",
    ),
    CodeEntry(
        "PK121",
        "the expression can never match",
        "The expression, or a class in it, has no character left: an empty class, or a class such as `\\p{Lu}` on a "
        "view that folds case. The rule would look enforced and never fire.",
        r"regex: ['\p{Lu}{3}']",
    ),
    CodeEntry(
        "PK122",
        "the view breaks a class of the expression",
        r"On `skeleton` and `leet` 0 and 1 are letters, so `\d` would not find them. A class by name or a "
        "negated class is refused there if the view takes some of its characters out. Characters that are written out "
        "are found in any spelling: `[0-9]` on `skeleton` finds o and l too.",
        r"{regex: ['\d{3}'], views: [skeleton]}",
    ),
)
