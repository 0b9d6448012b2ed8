"""Languages in Lark: a source and texts that belong to it, by name.

COMMON says the same to the masking engine's dialect, which takes the longest lexeme, and to lark. DIALECT_ONLY has a
judge of its own for what lark does not read.
"""

import re
from collections.abc import Callable

Language = tuple[str, list[str]]

COMMON: dict[str, Language] = {
    "arithmetic": (
        r"""start: sum
sum: product (("+" | "-") product)*
product: atom (("*" | "/") atom)*
atom: NUMBER | "(" sum ")" | "-" atom
NUMBER: /[0-9]+/""",
        ["1+2*3", "(1-20)/-4", "7"],
    ),
    "left recursion": (
        r"""start: sum
sum: sum "+" product | product
product: product "*" atom | atom
atom: "x" | "(" sum ")" """,
        ["x", "x+x*x", "(x+x)*x"],
    ),
    "json": (
        r"""start: value
value: object | array | STRING | NUMBER | "true" | "false" | "null"
object: "{" [member ("," member)*] "}"
member: STRING ":" value
array: "[" [value ("," value)*] "]"
STRING: /"([^"\\\x00-\x1f]|\\(["\\\/bfnrt]|u[0-9a-fA-F]{4}))*"/
NUMBER: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/""",
        ['{"a":[1,2.5e-3,null],"é":"\\u00e9\\n"}', "[]", "-0"],
    ),
    "csv row": (
        r"""start: row (NL row)*
row: field ("," field)*
field: BARE? | QUOTED
BARE: /[^",\n]+/
QUOTED: /"([^"]|"")*"/
NL: "\n" """,
        ['a,b,"c ""d"", e"', "1,,3\n4,5,6", ""],
    ),
    "sql": (
        r"""start: "SELECT " columns " FROM " NAME [" WHERE " condition] [" LIMIT " INT]
columns: "*" | NAME (", " NAME)*
condition: test ((" AND " | " OR ") test)*
test: NAME OPERATOR literal | "(" condition ")"
literal: INT | TEXT
OPERATOR: / (=|<|>|<>) /
INT: /[0-9]+/
TEXT: /'([^']|'')*'/
NAME: /[a-z_][a-z0-9_]*/""",
        ["SELECT * FROM users", "SELECT a, b FROM t WHERE (a = 1 OR b <> 'it''s') AND c > 2 LIMIT 10"],
    ),
    "date": (
        r"""start: YEAR "-" MONTH "-" DAY
YEAR: /[0-9]{4}/
MONTH: /0[1-9]|1[0-2]/
DAY: "0" "1".."9" | ("1" | "2") "0".."9" | "3" ("0" | "1")""",
        ["2026-11-26", "1999-02-31"],
    ),
    "time": (
        r"""start: HOUR ":" SIXTY [":" SIXTY [FRACTION]] [ZONE]
HOUR: /([01][0-9]|2[0-3])/
SIXTY: /[0-5][0-9]/
FRACTION: /\.[0-9]{1,3}/
ZONE: "Z" | /[+-]/ HOUR ":" SIXTY""",
        ["23:59", "00:00:01.123Z", "12:30+02:00"],
    ),
    "url": (
        r"""start: SCHEME "://" HOST [":" PORT] ("/" SEGMENT?)* ["?" pair ("&" pair)*]
pair: KEY "=" SEGMENT?
SCHEME: /https?|ftp/
HOST: /[a-z0-9]([a-z0-9.-]*[a-z0-9])?/
PORT: /[0-9]{1,5}/
SEGMENT: /([a-zA-Z0-9._~-]|%[0-9A-F]{2})+/
KEY: /[a-z]+/""",
        ["https://example.org/a%20b/c?x=1&y=", "ftp://a-b.c:21", "http://x//"],
    ),
    "e-mail": (
        r"""start: LOCAL "@" LABEL ("." LABEL)+
LOCAL: ATOM ("." ATOM)*
ATOM: /[A-Za-z0-9!#$%&'*+\/=?^_`{|}~-]+/
LABEL: /[A-Za-z0-9]+(-+[A-Za-z0-9]+)*/""",
        ["a.b+c@example.org", "x@a-b.c.d"],
    ),
    "ini": (
        r"""start: (line? NL)*
line: COMMENT | "[" SECTION "]" | KEY "=" VALUE?
COMMENT: /;[^\n]*/
SECTION: /[A-Z]+/
KEY: /[a-z][a-z0-9_.]*/
VALUE: /[^\n]+/
NL: "\n" """,
        ["[MAIN]\nkey=value\n; note\n\nx=\n", ""],
    ),
    "s-expression": (
        r"""start: expr
expr: ATOM | "(" [expr (" " expr)*] ")" | "'" expr
ATOM: /[a-z0-9+*\/<>=-]+/""",
        ["(define (f x) (* x 2))", "'()", "a"],
    ),
    "log line": (
        r"""start: "[" STAMP "] " LEVEL " " SOURCE ": " MESSAGE
STAMP: /[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}/
LEVEL: "DEBUG" | "INFO" | "WARN" | "ERROR"
SOURCE: /[a-z]+(\.[a-z]+)*/
MESSAGE: /[^\n]+/""",
        ["[2026-11-26T22:00:00] INFO app.db: connected", "[0000-00-00T00:00:00] ERROR x: é"],
    ),
    "units": (
        r"""start: NUMBER " " UNIT ["/" UNIT]
NUMBER: /-?[0-9]+(\.[0-9]+)?/
UNIT: PREFIX? ("m" | "s" | "g" | "K" | "mol" | "Ω")
PREFIX: "k" | "m" | "µ" | "M" """,
        ["12.5 km/s", "3 mm", "-1 mmol", "2 µΩ"],
    ),
    "chess": (
        r"""start: "1. " move " " move (NL COUNT ". " move " " move)*
move: (PAWN | PIECE | CASTLE) CHECK?
PIECE: /[NBKQR]([a-h]?[1-8]?x?)[a-h][1-8]/
PAWN: /([a-h]x)?[a-h][1-8](=[NBQR])?/
CASTLE: "O-O" ["-O"]
CHECK: "+" | "#"
COUNT: /[1-9][0-9]?/
NL: "\n" """,
        ["1. e4 e5", "1. d4 Nf6\n2. O-O-O exd5=Q#"],
    ),
    "telephone": (
        r"""start: "+" COUNTRY (SEP GROUP)~2..4
COUNTRY: /[1-9][0-9]{0,2}/
SEP: " " | "-"
GROUP: /[0-9]{2,4}/""",
        ["+49 30 1234 567", "+1-800-55-12"],
    ),
    "version": (
        r"""start: NUM "." NUM "." NUM ["-" tags] ["+" tags]
tags: TAG ("." TAG)*
NUM: /0|[1-9][0-9]*/
TAG: /[0-9A-Za-z]+/""",
        ["1.20.3", "0.0.1-rc.1+build5"],
    ),
    "hexadecimal colour": ('start: "#" HEX~3 | "#" HEX~6\nHEX: /[0-9a-f]/i', ["#fff", "#12aBc9"]),
    "ip address": (
        r"""start: BYTE ("." BYTE)~3
BYTE: /25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9]/""",
        ["127.0.0.1", "255.249.199.9"],
    ),
    "uuid": (r"start: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/", ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"]),
    "boolean formula": (
        r"""start: conj (" | " conj)*
conj: neg (" & " neg)*
neg: "!" neg | VAR | "(" start ")"
VAR: "a".."z" """,
        ["a & !b | (c)", "!!x"],
    ),
    "markdown list": (
        r"""start: item+
item: "  "* MARK TEXT NL
MARK: /([*-]|[1-9]\.) /
TEXT: /[^\n ][^\n]*/
NL: "\n" """,
        ["- one\n  - two\n", "1. x\n"],
    ),
    "xml": (
        r"""start: element
element: "<a>" (TEXT | element)* "</a>" | "<b/>"
TEXT: /[^<>&]/ | "&lt;" | "&amp;" """,
        ["<a>x<b/>&lt;<a></a></a>", "<b/>"],
    ),
    "money": (
        r"""start: SIGN AMOUNT
SIGN: "€" | "$" | "£"
AMOUNT: /[0-9]{1,3}(,[0-9]{3})*(\.[0-9]{2})?/""",
        ["€1,234.50", "$9", "£100,000"],
    ),
    "function call": (
        r"""start: NAME "(" [argument (", " argument)*] ")"
argument: [NAME "="] value
value: STRING | INT | start
STRING: /"[^"\n]*"/
INT: /[0-9]+/
NAME: /[a-z_]+/""",
        ['f(1, x="a b", g())', "f()"],
    ),
    "path": ('start: ("/" NAME)+ ["/"] | "/"\nNAME: /[^\\/\\x00]+/', ["/usr/lib/", "/", "/é"]),
    "http request line": (
        r"""start: METHOD " " TARGET " HTTP/" VERSION "\r\n"
METHOD: "GET" | "POST" | "PUT" | "DELETE"
TARGET: /\/[!-~]*/
VERSION: "1.0" | "1.1" | "2" """,
        ["GET /a?b HTTP/1.1\r\n"],
    ),
    "balanced brackets": (
        r"""start: | pair start
pair: "(" start ")" | "[" start "]" | "{" start "}" """,
        ["", "([]{})()"],
    ),
    "palindrome": ('start: "a" start "a" | "b" start "b" | "a" | "b" | ', ["", "abba", "aabaa"]),
    "equal counts": ('start: | "a" start "b" start | "b" start "a" start', ["abba", "bbaa", ""]),
    "ambiguous sum": ('start: start "+" start | "x"', ["x+x+x", "x"]),
    "dangling else": (
        'start: "if " start | "if " start " else " start | "s"',
        ["if if s else s", "s"],
    ),
    "nullable repetition": ('start: (inner)* "c"\ninner: "a" "b"? | "b"', ["c", "abbac"]),
    "nullable in a loop": ('start: x* "!"\nx: y | "z"\ny: "q"?', ["!", "qzq!"]),
    "empty alternative": ('start: "(" ( | "a" | "b") ")"', ["()", "(a)", "(b)"]),
    "mutual recursion": ('start: | "x" odd\nodd: "x" start', ["", "xx", "xxxx"]),
    "hidden left recursion": ('start: e start "b" | "a"\ne: "-"?', ["a", "ab", "-abb", "--abb"]),
    "unicode": ('start: GREEK "—" HAN~1..2 FACE?\nGREEK: /[α-ω]+/\nHAN: /[一-龯]/\nFACE: /[😀-🙏]/', ["αβγ—中文😀"]),
    "unicode classes": ("start: DIGITS SPACE+\nDIGITS: /\\d+/\nSPACE: /[ \\t]/", ["12 ", "7\t "]),
    "negated": (r"""start: /[^a-z\n]+/ /[a-z]/ """, ["AB éx", "😀z"]),
    "escapes": (r"""start: "\t\\\"" /[\\\]\n\t]/ "~é😀" "/" /\//""", ['\t\\"]~é😀//', '\t\\"\n~é😀//']),
    "case": ('start: "Ab"i /c[d-f]/i "x"', ["aBCEx", "ABcdx"]),
    "bounded repetition": ('start: "a"~2 "b"~0..2 "c"+ ("ef")~1..2', ["aacef", "aabbccefef"]),
    "counted groups": ('start: (/[ab]/~1..2 ",")~2..3', ["a,b,", "ab,a,bb,"]),
    "terminals of terminals": ('start: AB+ "!"\nAB: A B?\nA: "a"\nB: /b{1,2}/ | "c"', ["abac!", "abbaa!"]),
    "comments": ('// before\nstart: "a" x // behind\n// x: "y"\nx: "b"', ["ab"]),
    "alternatives over lines": ('start: "a"\n    | "b" x\n    | // nothing\nx: "c"\n\n', ["a", "bc", ""]),
    "unused rules": ('start: "a"\nlost: "b" lost | "c"', ["a"]),
    "long choice": ("start: " + " | ".join(f'"{a}{b}{c}"' for a in "abcd" for b in "abcd" for c in "ab"), ["aaa"]),
    "deep groups": ("start: " + "(" * 20 + '"a"' + ")?" * 20 + ' "b"', ["ab", "b"]),
    "keywords beside names": ('start: "if" ":" | NAME ";"\nNAME: /[a-z]+/', ["if:", "if;", "x;"]),
    "library": ("%import common.INT\n%import common.CNAME\nstart: CNAME \"=\" INT", ["a_1=20", "X=0"]),
}  # fmt: skip

DIALECT_ONLY: dict[str, tuple[str, list[str], Callable[[str], bool]]] = {
    "ignored space, but not in front": (
        'start: "a" ("," "a")*\n%ignore / +/',
        ["a", "a , a ", "a,a"],
        lambda text: re.fullmatch("a *(, *a *)*", text) is not None,
    ),
    "alternatives set apart": (
        'start: C\nA: /a|b/\nC: A "c"',
        ["ac", "bc"],
        lambda text: text in ("ac", "bc"),
    ),
    "braces": (
        'start: "a"{2} "b"{1,2} "c"{2,} "d"{,1}',
        ["aabcc", "aabbcccd"],
        lambda text: re.fullmatch("a{2}b{1,2}c{2,}d?", text) is not None,
    ),
    "intersection": (
        "start: A\nA: /[ab]+/ & /.{2,4}/",
        ["ab", "bbba"],
        lambda text: re.fullmatch("[ab]{2,4}", text) is not None,
    ),
    "complement": (
        "start: A\nA: /[ab]+/ & ~/.*bb.*/",
        ["ab", "aba"],
        lambda text: re.fullmatch("[ab]+", text) is not None and "bb" not in text,
    ),
    "lazy": (
        'start: a "c"\na[lazy]: /[ab]*b/',
        ["bc", "aabc"],
        lambda text: re.fullmatch("a*bc", text) is not None,
    ),
    "the longest lexeme": (
        'start: A "ab" | A "!"\nA: /a+/',
        ["aa!", "a!"],
        lambda text: re.fullmatch("a+!", text) is not None,
    ),
    "inline schema": (
        'start: "x=" %json {"type": "boolean"}',
        ["x=true", "x=false"],
        lambda text: text in ("x=true", "x=false"),
    ),
    "library string": (
        "%import common.ESCAPED_STRING\nstart: ESCAPED_STRING",
        ['"a\\"b"', '""'],
        lambda text: re.fullmatch(r'"(?:[^"\\]|\\.)*"', text) is not None,
    ),
}

PLAIN_ONLY: dict[str, Language] = {
    "ignored space": ('start: "a" ("," "a")*\n%ignore / +/', ["a", " a , a ", "a,a"]),
    "bytes that blur": ('start: A "à" | A "."\nA: /[a-zé]+/', ["aéà", "é."]),
    "alternatives that lark does not set apart": ('start: C\nA: /a|b/\nC: A "c"', ["a", "bc"]),
    "templates": ('start: _sep{ITEM, ","}\n_sep{x, y}: x (y x)*\nITEM: /[a-c]/', ["a,b", "c"]),
    "aliases and shapes": ('?start: sum\n!sum: X "+" X -> plus\n | X -> one\nX: "x"', ["x", "x+x"]),
    "priorities": ('start: A | b\nA.2: "a"\nb.3: "b" A', ["a", "ba"]),
    "imported": (
        "start: WORD WS_INLINE SIGNED_NUMBER\n%import common (WORD, WS_INLINE, SIGNED_NUMBER)",
        ["ab -1.5e3", "x\t2"],
    ),
    "renamed": ('start: W "!"\n%import common.WORD -> W', ["ab!"]),
    "library string": ('start: ESCAPED_STRING "," ESCAPED_STRING\n%import common.ESCAPED_STRING', ['"a\\"b",""']),
    "library comment": ('start: "x" C_COMMENT "y"\n%import common.C_COMMENT', ["x/* a ** b */y", "x/**/y"]),
    "lexemes that blur": ('start: A "ab"\nA: /a+/', ["aab", "aaab"]),
    "lexemes that swallow": ('start: ("ab" | "a") ("c" | "bcd")', ["abc", "ac", "abcd", "abbcd"]),
    "prefixes of one another": ('start: ("a" | "ab" | "abc") ("c" | "bc")', ["abc", "abcc", "abbc"]),
    "ignored comments": (
        'start: "a" "b"*\n%import common.WS\n%import common.SH_COMMENT\n%ignore WS\n%ignore SH_COMMENT',
        ["a b # x\n b", " a#"],
    ),
    "extended": ('start: x\nx: "a"\n%extend x: "b"', ["a", "b"]),
    "overridden": ('start: INT\n%import common.INT\n%override INT: "x"', ["x"]),
    "verbose expression": ("start: A\nA: /a  b/x", ["ab"]),
    "python classes": (r"start: /\w+/ /\s/ /\d/", ["aé_ 5", "x\u20091"]),
    "anything": ('start: /./s "!" /[^!]+/', ["\n!a", "!!x"]),
}
