"""Languages in GBNF and in XGrammar's EBNF: a source and texts that belong to it, by name."""

Language = tuple[str, list[str]]

COMMON: dict[str, Language] = {
    "arithmetic": (
        r"""root ::= sum
sum ::= product (("+" | "-") product)*
product ::= atom (("*" | "/") atom)*
atom ::= [0-9]+ | "(" sum ")" | "-" atom""",
        ["1+2*3", "(1-20)/-4", "7"],
    ),
    "left recursion": (
        r"""root ::= sum
sum ::= sum "+" product | product
product ::= product "*" atom | atom
atom ::= "x" | "(" sum ")" """,
        ["x", "x+x*x", "(x+x)*x"],
    ),
    "json": (
        r"""root ::= value
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (member ("," ws member)*)? "}" ws
member ::= string ":" ws value
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)? ws
ws ::= [ \t\n]*""",
        ['{"a": [1, 2.5e-3, null], "é": "\\u00e9\\n"}', "[]", "-0"],
    ),
    "csv row": (
        r"""root ::= row ("\n" row)*
row ::= field ("," field)*
field ::= [^",\n]* | "\"" ([^"] | "\"\"")* "\"" """,
        ['a,b,"c ""d"", e"', "1,,3\n4,5,6", ""],
    ),
    "sql": (
        r"""root ::= "SELECT " columns " FROM " name (" WHERE " condition)? (" LIMIT " [0-9]+)?
columns ::= "*" | name (", " name)*
condition ::= test ((" AND " | " OR ") test)*
test ::= name " " ("=" | "<" | ">" | "<>") " " literal | "(" condition ")"
literal ::= [0-9]+ | "'" ([^'] | "''")* "'"
name ::= [a-z_] [a-z0-9_]*""",
        ["SELECT * FROM users", "SELECT a, b FROM t WHERE (a = 1 OR b <> 'it''s') AND c > 2 LIMIT 10"],
    ),
    "date": (
        r"""root ::= year "-" month "-" day
year ::= [0-9]{4}
month ::= "0" [1-9] | "1" [0-2]
day ::= "0" [1-9] | [12] [0-9] | "3" [01]""",
        ["2026-11-26", "1999-02-31"],
    ),
    "time": (
        r"""root ::= hour ":" sixty (":" sixty ("." [0-9]{1,3})?)? ("Z" | [+-] hour ":" sixty)?
hour ::= [01] [0-9] | "2" [0-3]
sixty ::= [0-5] [0-9]""",
        ["23:59", "00:00:01.123Z", "12:30+02:00"],
    ),
    "url": (
        r"""root ::= ("http" "s"? | "ftp") "://" host (":" [0-9]{1,5})? ("/" segment)* ("?" query)?
host ::= label ("." label)*
label ::= [a-z0-9] ([a-z0-9-]* [a-z0-9])?
segment ::= ([a-zA-Z0-9._~-] | "%" [0-9A-F]{2})*
query ::= pair ("&" pair)*
pair ::= [a-z]+ "=" segment""",
        ["https://example.org/a%20b/c?x=1&y=", "ftp://a-b.c:21", "http://x//"],
    ),
    "e-mail": (
        r"""root ::= local "@" domain
local ::= atom ("." atom)*
atom ::= [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+
domain ::= label ("." label)+
label ::= [A-Za-z0-9]+ ("-"+ [A-Za-z0-9]+)*""",
        ["a.b+c@example.org", "x@a-b.c.d"],
    ),
    "ini": (
        r"""root ::= (line "\n")*
line ::= "" | ";" [^\n]* | "[" [a-z]+ "]" | key " "? "=" " "? [^\n]*
key ::= [a-z] [a-z0-9_.]*""",
        ["[main]\nkey = value\n; note\n\nx=1\n", ""],
    ),
    "s-expression": (
        r"""root ::= expr
expr ::= atom | "(" (expr (" " expr)*)? ")" | "'" expr
atom ::= [a-z0-9+*/<>=-]+""",
        ["(define (f x) (* x 2))", "'()", "a"],
    ),
    "log line": (
        r"""root ::= "[" stamp "] " level " " source ": " [^\n]+
stamp ::= [0-9]{4} ("-" [0-9]{2}){2} "T" [0-9]{2} (":" [0-9]{2}){2}
level ::= "DEBUG" | "INFO" | "WARN" | "ERROR"
source ::= [a-z]+ ("." [a-z]+)*""",
        ["[2026-11-26T22:00:00] INFO app.db: connected", "[0000-00-00T00:00:00] ERROR x: é"],
    ),
    "units": (
        r"""root ::= number " " prefix? unit ("/" unit)?
number ::= "-"? [0-9]+ ("." [0-9]+)?
prefix ::= "k" | "m" | "µ" | "M"
unit ::= "m" | "s" | "g" | "K" | "mol" | "Ω" """,
        ["12.5 km/s", "3 mm", "-1 mmol", "2 µΩ"],
    ),
    "chess": (
        r"""root ::= ("1. " move " " move) ("\n" [1-9] [0-9]? ". " move " " move)*
move ::= (pawn | piece | castle) [+#]?
piece ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBQR])?
castle ::= "O-O" ("-O")?""",
        ["1. e4 e5", "1. d4 Nf6\n2. O-O-O exd5=Q#"],
    ),
    "telephone": (
        r"""root ::= "+" [1-9] [0-9]{0,2} (sep [0-9]{2,4}){2,4}
sep ::= " " | "-" | "" """,
        ["+49 30 1234 567", "+1-800-55-12", "+4412345678"],
    ),
    "version": (
        r"""root ::= num "." num "." num ("-" tag ("." tag)*)? ("+" tag)?
num ::= "0" | [1-9] [0-9]*
tag ::= [0-9A-Za-z-]+""",
        ["1.20.3", "0.0.1-rc.1+build5"],
    ),
    "hexadecimal colour": (r'root ::= "#" ([0-9a-fA-F]{3} | [0-9a-fA-F]{6})', ["#fff", "#12aBc9"]),
    "ip address": (
        r"""root ::= byte ("." byte){3}
byte ::= "25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9]? [0-9]""",
        ["127.0.0.1", "255.249.199.9"],
    ),
    "uuid": (r'root ::= [0-9a-f]{8} ("-" [0-9a-f]{4}){3} "-" [0-9a-f]{12}', ["3f2504e0-4f89-11d3-9a0c-0305e82c3301"]),
    "boolean formula": (
        r"""root ::= or
or ::= and (" | " and)*
and ::= not (" & " not)*
not ::= "!" not | [a-z] | "(" or ")" """,
        ["a & !b | (c)", "!!x"],
    ),
    "markdown list": (
        r"""root ::= item+
item ::= indent ("-" | "*" | [1-9] ".") " " [^\n]+ "\n"
indent ::= ("  ")*""",
        ["- one\n  - two\n", "1. x\n"],
    ),
    "xml": (
        r"""root ::= element
element ::= "<a>" content "</a>" | "<b/>"
content ::= (text | element)*
text ::= [^<>&] | "&lt;" | "&amp;" """,
        ["<a>x<b/>&lt;<a></a></a>", "<b/>"],
    ),
    "roman numeral": (
        r"""root ::= "M"{0,3} hundreds ("XC" | "XL" | "L"? "X"{0,3}) ("IX" | "IV" | "V"? "I"{0,3})
hundreds ::= "CM" | "CD" | "D"? "C"{0,3}""",
        ["MMXXVI", "XIV", "", "CDXLIV"],
    ),
    "money": (
        r"""root ::= ("€" | "$" | "£") [0-9]{1,3} ("," [0-9]{3})* ("." [0-9]{2})?""",
        ["€1,234.50", "$9", "£100,000"],
    ),
    "function call": (
        r"""root ::= name "(" (argument (", " argument)*)? ")"
argument ::= (name "=")? value
value ::= "\"" [^"\n]* "\"" | [0-9]+ | root
name ::= [a-z_]+""",
        ['f(1, x="a b", g())', "f()"],
    ),
    "path": (
        r"""root ::= ("/" name)+ "/"? | "/"
name ::= [^/\x00]+""",
        ["/usr/lib/", "/", "/é"],
    ),
    "http request line": (
        r"""root ::= ("GET" | "POST" | "PUT" | "DELETE") " /" [!-~]* " HTTP/" ("1.0" | "1.1" | "2") "\r\n" """,
        ["GET /a?b HTTP/1.1\r\n"],
    ),
    "balanced brackets": (
        r"""root ::= "" | pair root
pair ::= "(" root ")" | "[" root "]" | "{" root "}" """,
        ["", "([]{})()"],
    ),
    "palindrome": (r"""root ::= "a" root "a" | "b" root "b" | "a" | "b" | "" """, ["", "abba", "aabaa"]),
    "equal counts": (r"""root ::= "" | "a" root "b" root | "b" root "a" root""", ["abba", "bbaa", ""]),
    "ambiguous sum": (r"""root ::= root "+" root | "x" """, ["x+x+x", "x"]),
    "dangling else": (
        r"""root ::= "if c then " root " else " root | "if c then " root | "s" """,
        ["if c then if c then s else s", "s"],
    ),
    "prefixes of one another": (r"""root ::= ("a" | "ab" | "abc") ("c" | "bc" | "")""", ["abc", "abcc", "a", "abbc"]),
    "nullable repetition": (r"""root ::= ("a"? "b"?)* "c" """, ["c", "abbac"]),
    "nullable in a loop": (
        r"""root ::= x* "!"
x ::= y | "z"
y ::= "" | "q" """,
        ["!", "qzq!"],
    ),
    "empty alternative": (r"""root ::= "(" ("" | "a" | "b") ")" """, ["()", "(a)", "(b)"]),
    "mutual recursion": (
        r"""root ::= even
even ::= "" | "x" odd
odd ::= "x" even""",
        ["", "xx", "xxxx"],
    ),
    "hidden left recursion": (
        r"""root ::= e root "b" | "a"
e ::= "" | "-" """,
        ["a", "ab", "-abb", "--abb"],
    ),
    "unicode": (r"""root ::= [α-ω]+ "—" [一-龯]{1,2} [\U0001F600-\U0001F64F]?""", ["αβγ—中文😀", "ω—日"]),
    "negated": (r"""root ::= [^a-z\n]+ [^\U00000000-\U0000007f]""", ["AB é", "1ß", "😀😀"]),
    "escapes": (r"""root ::= "\t\\\"" [\\\]\n\t] "\x7e\u00e9\U0001F600" """, ['\t\\"]~é😀', '\t\\"\n~é😀']),
    "bounded repetition": (r"""root ::= "a"{2} "b"{0,2} "c"{1,} "d"{0} ("ef"){1,2}""", ["aacef", "aabbccefef"]),
    "counted groups": (r"""root ::= ([a-b]{1,2} ","){2,3}""", ["a,b,", "ab,a,bb,"]),
    "literals": (r"""root ::= "ab"* "cd"+ "e"?""", ["ababcd", "cdcde"]),
    "comments": (
        """# before
root ::= "a" x # behind; "x"
# between: y ::= "y"
x ::= "b" # the end""",
        ["ab"],
    ),
    "groups over lines": ('root ::= (\n  "a" |\n  "b" # or\n)+ "c"', ["abac", "bc"]),
    "unused rules": ('root ::= "a"\nlost ::= "b" lost | "c"', ["a"]),
    "long choice": (
        "root ::= " + " | ".join(f'"{a}{b}{c}"' for a in "abcd" for b in "abcd" for c in "ab"),
        ["aaa", "dcb"],
    ),
    "deep groups": ("root ::= " + "(" * 20 + '"a"' + ")?" * 20 + ' "b"', ["ab", "b"]),
    "dash in classes": (r"root ::= [a-c-]+ [-x] [+--]", ["a-c-x+", "-x,", "b--"]),
    "caret in classes": (r"root ::= [a^]+ [^^]", ["a^^b", "^a"]),
}

GBNF_ONLY: dict[str, Language] = {
    "any character": ('root ::= .{2} "!" .?', ["ab!", "é\n!x", "!!!"]),
    "bare empty alternatives": ('root ::= "x" (| "a" | ) |', ["", "x", "xa"]),
    "names of digits": ('root ::= 1-a 22\n1-a ::= "a"\n22 ::= "b"', ["ab"]),
    "short hexadecimal": (r'root ::= "\x414" [\x41-\x434]', ["A4C", "A44"]),
    "brackets in literals": (r'root ::= "\[\]" [\[]', ["[]["]),
    "one line each": ('root ::= "a" |\n  b\nb ::= "b"', ["a", "b"]),
    "nested any": ('root ::= ("<" .* ">")+', ["<>", "<a><b>", "<<>>"]),
}

EBNF_ONLY: dict[str, Language] = {
    "rules over lines": ('root ::=\n  "a"\n  b\n  | c\nb ::= "b"\n\n  c ::= "c"', ["ab", "c"]),
    "comments between lines": ('root ::= "a" # one\n# two\n | "b" # three\n "c"', ["a", "bc"]),
    "long hexadecimal": (r'root ::= "\x414" "\x1f600" [\xe9]', ["Д😀é"]),
    "names with dots": ('root ::= a.b _1 A-z\na.b ::= "a"\n_1 ::= "b"\nA-z ::= "c"', ["abc"]),
    "short escapes": (
        r'root ::= "\a\b\f\v\e\'\?\/" [\.\*\(\)\{\}\|\+\^\-\]\[]',
        ["\a\b\f\v\x1b'?/*", "\a\b\f\v\x1b'?/]"],
    ),
    "unit": ('root ::= () "a" ("" | ()) ', ["a"]),
    "any of all": ('root ::= [^] "!"', ["a!", "\n!"]),
    "counts over lines": ('root ::= "a"\n  {2}\n  "b" *', ["aa", "aabb"]),
    "empty repeated": ('root ::= ""* "a" (""{2})?', ["a"]),
}
