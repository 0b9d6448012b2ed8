"""One mistake each: a policy with one change, the code, the text that is underlined, and what the help says.

In ``new`` the expected underline stands between `«` and `»`; it is taken from there, not from the loader.
"""

from dataclasses import dataclass

BASE = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: finance/x, version: 1.0.0, owner: a@b.c, why: because}
scope: {profiles: [answer]}
effective: {from: 2026-01-01, until: 2028-01-01}
rules:
  - id: no-guarantees
    severity: high
    cost: 2.0
    match: {phrases: [guaranteed returns]}
    action: {block: {message: no}}
tests:
  - name: blocks
    given: {output: guaranteed returns}
    expect: {decision: block, rules: [no-guarantees]}
"""
PHRASES = "{phrases: [guaranteed returns]}"
BLOCK = "{block: {message: no}}"
RULE = "rules:\n  - id: no-guarantees\n    severity: high"
FACTS = (
    "facts: {inline: {type: object, additionalProperties: false, properties: {limits: {type: object, properties: "
    "{refund: {type: number}}}, user: {type: object, additionalProperties: false, properties: {role: {type: string}, "
    "id: {type: string}}}}}}\nrules:\n  - id: no-guarantees\n    when: 'CONDITION'"
)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    code: str
    old: str
    new: str
    help: str

    @property
    def text(self) -> str:
        assert BASE.count(self.old) == 1, "the changed part must be unique"
        return BASE.replace(self.old, self.new)


def _regex(name: str, code: str, marked: str, help: str) -> Case:
    return Case(name, code, PHRASES, "{regex: ['" + marked + "']}", help)


CASES = (
    # the text and its YAML
    Case("unclosed bracket", "PK006", "{block: {message: no}}", "{block: {message: no}\n«t»ests: 1", "brackets"),
    Case("tab as indentation", "PK006", "    severity: high", "«\t»severity: high", "indent with spaces"),
    Case("two colons", "PK006", "why: because}", "why: because}\nx: a«:» b", "quote text that holds a colon"),
    Case("control character", "PK006", "because", "be«\x07»cause", "escape"),
    Case("half a surrogate pair", "PK006", "because", '«"\\ud800"»', "write the character"),
    Case("second document", "PK008", "tests:\n", "«---»\ntests:\n", "file of its own"),
    Case("anchor", "PK009", "[answer]", "«&x» [answer]", "written out"),
    Case("alias", "PK009", "[answer]", "«*x»", "write the value out"),
    Case("merge key", "PK009", "severity: high", "«<<»: {severity: high}", "write the fields out"),
    Case("tag", "PK010", "because", "«!!str» because", "quote a value"),
    Case("tagged mapping", "PK010", "{block: {message: no}}", "«!x» {block: {message: no}}", "remove it"),
    Case("directive", "PK010", "apiVersion", "«%YAML 1.1»\n---\napiVersion", "remove the `%` line"),
    Case("duplicate key", "PK011", "why: because}", "why: because, «owner»: me}", "keep one"),
    Case("duplicate key after quoting", "PK011", "why: because}", "why: because, «'owner'»: me}", "keep one"),
    Case("number as key", "PK012", "severity: high", "«1»: high", "names of fields"),
    Case("list as key", "PK012", "severity: high", "? «[severity]»\n    : high", "names of fields"),
    # fields and types
    Case("unknown field", "PK020", "severity: high", "«sevrity»: high", "did you mean `severity`?"),
    Case("unknown field, no near miss", "PK020", "severity: high", "«colour»: red", "known fields: id, severity"),
    Case("misplaced field", "PK020", "kind: Policy", "kind: Policy\n«phrases»: [a]", "known fields: apiVersion"),
    Case(
        "missing action",
        "PK021",
        BASE[BASE.index("  - id") : BASE.index("tests:")],
        "  - «id»: no-guarantees\n    match: {regex: a}\n",
        "`action`: what to do",
    ),
    Case("missing name", "PK021", "metadata: {name: finance/x, ", "«metadata»: {", "finance/retail-advice"),
    Case("text for a list", "PK022", "rules: [no-guarantees]", "rules: «no-guarantees»", "[a, b]"),
    Case("list for text", "PK022", "because", "«[because]»", "single value"),
    Case("mapping for a list", "PK022", "[answer]", "«{answer: true}»", "[a, b]"),
    Case(
        "number for a mapping",
        "PK022",
        "{block: {message: no}}",
        "«12»",
        "known fields: block, escalate, transform, allow",
    ),
    Case("nothing for a mapping", "PK022", "scope: {profiles: [answer]}", "«scope»:", "known fields: profiles"),
    Case("text for a number", "PK022", "cost: 2.0", "cost: «two»", "a number"),
    Case("quoted number", "PK022", "cost: 2.0", 'cost: «"2.0"»', "without quotes"),
    Case("truth value for a number", "PK022", "cost: 2.0", "cost: «true»", "a number"),
    Case("text for a flag", "PK022", PHRASES, "{phrases: [a], exact: «yes»}", "write `true` or `false`"),
    Case("unknown severity", "PK023", "severity: high", "severity: «hihg»", "did you mean `high`?"),
    Case("unknown version of the language", "PK023", "policykit/v1", "«policykit/v9»", "did you mean `policykit/v1`?"),
    Case(
        "unknown decision",
        "PK023",
        "decision: block",
        "decision: «deny»",
        "block, escalate, transform, allow",
    ),
    Case("error fails open", "PK023", "rules:\n", "defaults: {onError: «allow»}\nrules:\n", "known values: block"),
    Case("number as text", "PK024", "because", "«12»", 'quote it: "12"'),
    Case("number as phrase", "PK024", PHRASES, "{phrases: [a, «007»]}", 'quote it: "007"'),
    Case("truth value as text", "PK024", "because", "«true»", 'quote it: "true"'),
    Case("null as phrase", "PK024", PHRASES, "{phrases: [«null»]}", 'quote it: "null"'),
    Case("nothing as text", "PK024", "why: because}", "«why»: }", "give it a text"),
    Case("id with spaces", "PK025", "id: no-guarantees", "id: «No Guarantees»", "lower-case words"),
    Case("name with a hash", "PK025", "finance/x", "«'finance#x'»", "finance/retail-advice"),
    Case("version with a v", "PK025", "version: 1.0.0", "version: «v1»", "semantic version"),
    Case("version of one number", "PK025", "version: 1.0.0", "version: «3»", "semantic version"),
    Case("label with a dash", "PK025", BLOCK, "{transform: {mask: {with: x, type: «a-b»}}}", "`ACCOUNT`"),
    Case("negative cost", "PK026", "cost: 2.0", "cost: «-1»", "at least 0"),
    Case("infinite cost", "PK026", "cost: 2.0", "cost: «.inf»", "finite"),
    Case("cost beyond floats", "PK026", "cost: 2.0", "cost: «1e999»", "finite"),
    Case("context too far", "PK026", PHRASES, "{phrases: [a], before: {regex: b, within: «1001»}}", "from 0 to 1000"),
    Case("no such day", "PK027", "until: 2028-01-01", "until: «2026-02-30»", "YYYY-MM-DD"),
    Case("time of day", "PK027", "until: 2028-01-01", "until: «2026-02-20T00:00:00Z»", "YYYY-MM-DD"),
    Case("empty list", "PK028", PHRASES, "{phrases: «[]»}", "name at least one"),
    Case("empty match", "PK028", "match: {phrases: [guaranteed returns]}", "«match»: {}", "one of `phrases`, `regex`"),
    Case(
        "match of options only", "PK028", "match: {phrases: [guaranteed returns]}", "«match»: {views: [raw]}", "one of"
    ),
    Case("empty scope", "PK028", "scope: {profiles: [answer]}", "«scope»: {}", "one of `profiles`"),
    Case("no rules", "PK028", BASE[BASE.index("rules:") :], "rules: «[]»\n", "name at least one"),
    Case("empty text", "PK029", "because", "«''»", "give it a text"),
    Case("blank text", "PK029", "because", "«'  '»", "give it a text"),
    Case("empty mask", "PK029", BLOCK, '{transform: {mask: {with: «""»}}}', "replace"),
    Case("empty expression", "PK029", PHRASES, '{regex: [«""»]}', "give it a text"),
    Case("two actions", "PK030", BLOCK, "{«block»: {message: no}, transform: {replace: {with: x}}}", "keep one"),
    Case("not beside phrases", "PK030", PHRASES, "{phrases: [a], «not»: {phrases: [b]}}", "an item of `all` or `any`"),
    Case(
        "options beside all", "PK030", PHRASES, "{«all»: [{phrases: [a]}], views: [raw]}", "an item of `all` or `any`"
    ),
    Case("unknown matcher", "PK031", PHRASES, "{«phrasse»: [a], regex: [b]}", "did you mean `phrases`?"),
    Case("unknown action", "PK032", BLOCK, "{«blok»: {message: no}}", "did you mean `block`?"),
    Case("unknown transform", "PK032", BLOCK, "{transform: {«maks»: {with: x}}}", "did you mean `mask`?"),
    # the language beyond this version
    Case("tests among the policies", "PK023", "kind: Policy", "kind: «Tests»", "known values: Policy"),
    Case("unknown entity", "PK090", PHRASES, "{entities: [«ibna»]}", "did you mean `iban`?"),
    Case(
        "unknown entity in a record", "PK090", PHRASES, "{entities: [email, {type: «e_mial»}]}", "did you mean `email`?"
    ),
    Case("option of another entity", "PK091", PHRASES, "{entities: [{type: iban, «region»: GB}]}", "remove it"),
    Case("no words for it", "PK091", PHRASES, "{entities: [{type: email, «context»: required}]}", "remove `context`"),
    Case("no such region", "PK091", PHRASES, "{entities: [{type: phone, region: «gb»}]}", "did you mean `GB`?"),
    Case("pattern that looks", "PK091", PHRASES, "{entities: [{type: mrn, pattern: «'\\bH[0-9]{6}'»}]}", "leave"),
    Case("pattern of nothing", "PK120", PHRASES, "{entities: [{type: mrn, pattern: «'[0-9]*'»}]}", "`+`"),
    Case(
        "pattern that never matches",
        "PK121",
        PHRASES,
        "{entities: [{type: mrn, pattern: «'[^\\x00-\\x{10FFFF}]'»}]}",
        "empty",
    ),
    Case("entity twice", "PK056", PHRASES, "{entities: [iban, «iban»]}", "once"),
    Case("entities joined", "PK092", PHRASES, "{entities: [iban], «join»: array}", "remove `join`"),
    Case(
        "entities with context",
        "PK092",
        PHRASES,
        "{entities: [iban], «before»: {regex: a, within: 1}}",
        "`context: required`",
    ),
    Case("scalars joined", "PK056", PHRASES, "{phrases: [a], within: json.scalars, «join»: array}", "json.strings"),
    Case("grammar matcher", "PK040", PHRASES, "{«grammar»: x.lark}", "remove it"),
    Case("predicate of no name", "PK021", PHRASES, "{«predicate»: {args: {}}}", "the name of the function"),
    Case("predicate beside phrases", "PK030", PHRASES, "{phrases: [a b], «predicate»: x}", "an item of `all` or `any`"),
    Case("predicate's version", "PK025", PHRASES, "{predicate: {name: x, version: «newest»}}", "semantic version"),
    Case(
        "classifier without a digest",
        "PK021",
        PHRASES,
        "{«classifier»: {model: x, label: y, threshold: 0.5}}",
        "the digest of its content",
    ),
    Case(
        "threshold of nothing",
        "PK026",
        PHRASES,
        "{classifier: {model: x, digest: d, label: y, threshold: «0»}}",
        "above 0 and at most 1",
    ),
    Case(
        "threshold in percent",
        "PK026",
        PHRASES,
        "{classifier: {model: x, digest: d, label: y, threshold: «80»}}",
        "above 0 and at most 1",
    ),
    Case(
        "classifier has no place",
        "PK173",
        PHRASES + "\n    action: " + BLOCK,
        "{any: [{phrases: [a b]}, {«classifier»: {model: x, digest: d, label: y, threshold: 0.5}}]}\n"
        "    action: {transform: {replace: {with: x}}}",
        "use `block` or `escalate`",
    ),
    Case("strict", "PK040", PHRASES, "{phrases: [a b], «strict»: true}", "remove it"),
    Case("unescape view", "PK040", PHRASES, "{phrases: [a b], views: [«unescape»]}", "unmarked, skeleton, leet"),
    Case("terminal", "PK040", PHRASES, "{phrases: [a b], within: «terminal(WORD)»}", "json.strings"),
    Case("citations", "PK040", "severity: high", "require: {«citations»: {per: sentence}}", "remove it"),
    Case("rego with a condition", "PK160", "severity: high", "when: {rego: «data.x.deny == true»}", "full name"),
    Case("rego without data", "PK160", "severity: high", "when: {rego: «x.deny»}", "did you mean `data.x.deny`?"),
    Case("all of rego", "PK160", "severity: high", "when: {rego: «data»}", "full name"),
    Case("unknown beside rego", "PK020", "severity: high", "when: {rego: data.x.deny, «input»: {}}", "known fields"),
    Case(
        "decisions of nobody",
        "PK164",
        "{output: guaranteed returns}",
        "{output: guaranteed returns, «decisions»: {data.x.y: true}}",
        "rules ask for: nothing",
    ),
    Case("tokenise", "PK032", BLOCK, "{transform: {«tokenise»: {}}}", "known actions: mask"),
    Case("exceptions of a document", "PK040", "kind: Policy", "kind: Policy\n«except»: [{id: EX-1}]", "remove it"),
    # conditions
    Case("one equals sign", "PK150", "severity: high", "when: user.role «=» 1", "compare with `==`"),
    Case("quoted condition", "PK150", "severity: high", "when: 'user.role «=» 1'", "compare with `==`"),
    Case("half a condition", "PK150", "severity: high", "when: 'a &&«'»", "complete it"),
    Case("half an and", "PK150", "severity: high", "when: 'a «&» b'", "write `&&`"),
    Case("reserved word", "PK150", "severity: high", "when: 'a == «for»'", "use another name"),
    Case("long integer", "PK150", "severity: high", "when: 'a == «9223372036854775808»'", "integers reach to"),
    Case("unknown escape", "PK150", "severity: high", "when: 'a == \"«\\q»\"'", "a backslash is written"),
    Case("no function", "PK151", "severity: high", "when: '«timestamp(a)» > b'", "policykit explain PK151"),
    Case("near a function", "PK151", "severity: high", "when: '«a.startWith(\"x\")»'", "did you mean `startsWith`?"),
    Case("unknown fact", "PK152", RULE, FACTS.replace("CONDITION", '«usr».id == "a"'), "did you mean `user`?"),
    Case("unknown field", "PK152", RULE, FACTS.replace("CONDITION", '«user.rol» == "a"'), "did you mean `role`?"),
    Case("types", "PK153", RULE, FACTS.replace("CONDITION", '«limits.refund > "500"»'), "of one type"),
    Case("no bool", "PK153", "severity: high", "when: '«1 + 1»'", "compare it with something"),
    Case("arity", "PK153", "severity: high", "when: '«size(a, b)» > 1'", "counts as its first argument"),
    Case("pattern", "PK154", "severity: high", "when: 'a.matches(«\"(?=x)\"»)'", "RE2 has no lookaround"),
    Case("deep condition", "PK155", "severity: high", f"when: '«{'(' * 60}a{')' * 60}»'", "move a part of it"),
    Case("long condition", "PK155", "severity: high", f"when: '«{'a || ' * 1000}a»'", "move a part of it"),
    Case(
        "facts of no type", "PK156", "kind: Policy", "kind: Policy\nfacts: {inline: «{type: string}»}", "described by"
    ),
    Case("no facts file", "PK061", "kind: Policy", "kind: Policy\nfacts: {schema: «x.json»}", "beside the policy"),
    # what fields mean together
    Case("allow alone", "PK062", BLOCK, "{«allow»: {}}", "say `default: block`"),
    Case("nothing allowed", "PK063", "kind: Policy", "kind: Policy\ndefault: «block»", "add rules"),
    Case(
        "duplicate exception",
        "PK064",
        "severity: high",
        "except: [{id: A, approvedBy: a, reason: b, expires: 2027-01-01}, "
        "{id: «A», approvedBy: a, reason: b, expires: 2027-01-01}]",
        "rename one of the two",
    ),
    Case(
        "approvals before a transform",
        "PK065",
        "match: {phrases: [guaranteed returns]}\n    action: {block: {message: no}}",
        "match: {phrases: [a]}\n    require: {«approvals»: {role: a}}\n    action: {transform: {append: x}}",
        "escalate",
    ),
    Case("no arguments", "PK066", BLOCK, "{escalate: {queue: q, bindTo: «args»}}", "use `bindTo: text`"),
    Case("two subjects", "PK067", "{output: guaranteed returns}", "{output: a, «input»: b}", "a test for each"),
    Case(
        "allow with an exception",
        "PK068",
        BASE[BASE.index("rules:") : BASE.index("tests:")],
        "default: block\nrules:\n  - id: no-guarantees\n    match: {phrases: [a]}\n    action: {allow: {}}\n"
        "    «except»: [{id: A, approvedBy: a, reason: b, expires: 2027-01-01}]\n",
        "narrow it with `when`",
    ),
    Case(
        "allow with letters set apart",
        "PK068",
        BASE[BASE.index("rules:") : BASE.index("tests:")],
        "default: block\nrules:\n  - id: no-guarantees\n    match: {any: [{phrases: [aaaaa bbbbb], «squeeze»: true}]}\n"
        "    action: {allow: {}}\n",
        "remove it",
    ),
    Case("tool of an output", "PK056", "severity: high", "«tool»: refund", "use it with `target: tool_call`"),
    Case(
        "transform without a match",
        "PK058",
        "match: {phrases: [guaranteed returns]}\n    action: {block: {message: no}}",
        "when: 'a'\n    action: {«transform»: {replace: {with: x}}}",
        "say in `match` what to replace",
    ),
    Case(
        "unknown exception in a test",
        "PK059",
        "rules: [no-guarantees]}",
        "exceptions: [«A»]}",
        "known exceptions: none",
    ),
    Case("ttl", "PK026", BLOCK, "{escalate: {queue: q, ttl: «soon»}}", "a number and a unit"),
    Case(
        "duplicate rule id",
        "PK050",
        "tests:\n",
        "  - {id: «no-guarantees», match: {phrases: [b]}, action: {block: {}}}\ntests:\n",
        "rename one",
    ),
    Case(
        "duplicate test name",
        "PK052",
        "tests:\n",
        "tests:\n  - {name: blocks, given: {output: a}, expect: {decision: allow}}\n",
        "rename one",
    ),
    Case("never effective", "PK053", "until: 2028-01-01", "until: «2026-01-01»", "first day"),
    Case("empty phrase", "PK054", PHRASES, '{phrases: [a, «""»]}', "remove it"),
    Case("phrase of separators", "PK054", PHRASES, '{phrases: [«"- *_ ~`"»]}', "use `regex`"),
    Case("phrase that the view drops", "PK054", PHRASES, '{phrases: [«"\\u200b"»]}', "views: [raw]"),
    Case("one word on skeleton", "PK069", PHRASES, "{phrases: [a b, «guarantee»], views: [skeleton]}", "under `any`"),
    Case(
        "one word and a sign", "PK069", PHRASES, "{phrases: [«guarantee %»], views: [skeleton]}", "of 2 words or more"
    ),
    Case(
        "too few letters", "PK069", PHRASES, "{phrases: [«buy it now»], views: [raw, leet]}", "2 words and 10 letters"
    ),
    Case("question mark in a glob", "PK055", "[answer]", "[«answer?»]", "`*`"),
    Case("set in a glob", "PK055", "[answer]", "[«'[ab]*'»]", "`*`"),
    Case("exact without phrases", "PK056", PHRASES, "{regex: [a], «exact»: true}", "remove it"),
    Case("squeeze without phrases", "PK056", PHRASES, "{regex: [a], «squeeze»: true}", "remove it"),
    Case("exact and squeeze", "PK056", PHRASES, "{phrases: [fixed returns], «exact»: true, squeeze: true}", "keep one"),
    Case("squeeze of one word", "PK069", PHRASES, "{phrases: [«guaranteedly»], squeeze: true}", "under `any`"),
    Case(
        "squeeze of few letters",
        "PK069",
        PHRASES,
        "{phrases: [a fixed return, «buy it now»], squeeze: true}",
        "10 letters",
    ),
    Case("join on text", "PK056", PHRASES, "{phrases: [a], within: text, «join»: array}", "json.strings"),
    Case("view named twice", "PK056", PHRASES, "{phrases: [a], views: «[raw, raw]»}", "once"),
    Case("unknown placeholder", "PK057", BLOCK, '{transform: {mask: {with: «"[{name}]"»}}}', "`{type}` and `{n}`"),
    Case(
        "transform of an absence",
        "PK058",
        "{phrases: [guaranteed returns]}\n    action: {block: {message: no}}",
        "{not: {phrases: [a]}}\n    action: {«transform»: {replace: {with: x}}}",
        "use `block`",
    ),
    Case("unknown rule in a test", "PK059", "rules: [no-guarantees]}", "rules: [«no-guarantee»]}", "`no-guarantees`?"),
    # expressions, with the place inside the file
    _regex("unclosed group", "PK100", "ab«(»c", "close it"),
    _regex("unclosed class", "PK100", "ab«[^»c", "close it"),
    _regex("closing too much", "PK100", "ab«)»", "`\\)`"),
    _regex("backslash at the end", "PK100", "ab«\\»", "`\\\\`"),
    _regex("nothing to repeat", "PK100", "a|«*»b", "`\\*`"),
    _regex("repeated repetition", "PK100", "a*«*»b", "in a group"),
    _regex("range backwards", "PK100", "[«z-a»]", "swap"),
    _regex("range to a class", "PK100", "[«a-\\d»]", "`\\-`"),
    _regex("lookahead", "PK101", "a«(?=»b)", "`after: "),
    _regex("negative lookbehind", "PK101", "«(?<!»no )refund", "`before`"),
    _regex("backreference", "PK102", "(a|b)«\\1»", "alternatives"),
    _regex("named backreference", "PK102", "(?P<n>a)«(?P=n)»", "alternatives"),
    _regex("possessive", "PK103", "a+«+»b", "leave the second"),
    _regex("atomic", "PK103", "«(?>»a)b", "`(?:`"),
    _regex("recursion", "PK104", "a«(?R)»", "grammar"),
    _regex("conditional", "PK104", "(a)?«(?(1)»b|c)", "alternatives"),
    _regex("comment", "PK104", "a«(?#b)»", "YAML comment"),
    _regex("perl's end of text", "PK105", "a«\\Z»", "`\\z`"),
    _regex("no code point", "PK105", "a«\\x{110000}»", "two digits"),
    _regex("octal", "PK106", "a«\\012»", "`\\x{A}`"),
    # texts near each other, counts, lengths, scripts
    Case("near alone", "PK130", PHRASES, "{near: {«of»: [{phrases: [a]}], words: 3}}", "in twos"),
    Case(
        "two distances",
        "PK130",
        PHRASES,
        "{near: {of: [{phrases: [a]}, {phrases: [b]}], words: 3, «characters»: 9}}",
        "keep one",
    ),
    Case("no distance", "PK028", PHRASES, "{«near»: {of: [{phrases: [a]}, {phrases: [b]}]}}", "`words`"),
    Case("empty count", "PK130", PHRASES, "{count: {phrases: [a], atLeast: 3, «atMost»: 2}}", "exchange"),
    Case("empty in a count", "PK120", PHRASES, "{count: {regex: «'a*'», atLeast: 3}}", "`+`"),
    Case(
        "context of a count",
        "PK131",
        PHRASES,
        "{count: {phrases: [a], atLeast: 3}, «after»: {regex: b, within: 3}}",
        "under `any`",
    ),
    Case("view of a length", "PK131", PHRASES, "{length: {unit: words, atMost: 9}, «views»: [compat]}", "remove"),
    Case("unknown script to look for", "PK132", PHRASES, "{script: {in: [«Cyrilic»]}}", "did you mean `Cyrillic`?"),
    Case("shared script", "PK132", PHRASES, "{script: {notIn: [«Common»]}}", "Unicode name"),
    Case(
        "nothing to replace in a length",
        "PK058",
        "match: {phrases: [guaranteed returns]}\n    action: {block: {message: no}}",
        "match: {length: {unit: words, atLeast: 9}}\n    action: {«transform»: {replace: {with: x}}}",
        "`block`",
    ),
    _regex("verbose flag", "PK107", "«(?x)»a b", "`i`, `m`, `s` and `U`"),
    _regex("unknown script", "PK108", "\\pL«\\p{Greak}»", "did you mean `Greek`?"),
    _regex("unknown bracket class", "PK108", "[«[:alhpa:]»]", "did you mean `alpha`?"),
    _regex("too many times", "PK109", "a«{1001}»", "lower the counts"),
    _regex("too many times together", "PK109", "(?:a{60})«{20}»", "lower the counts"),
    _regex("bounds backwards", "PK109", "a«{2,1}»", "swap"),
    _regex("too large", "PK110", "«(?:abcdef){900}»", "lower the counts"),
    _regex("too large for RE2", "PK110", "«\\pL{500}»", "smaller classes"),
    _regex("too long", "PK111", "«" + "a" * 4097 + "»", "split"),
    _regex("too deep", "PK111", "(" * 100 + "«(»a" + ")" * 101, "flatten"),
    _regex("refused by RE2 alone", "PK112", "«a\\p{Cn}»", "RE2"),
    Case("matches the empty string", "PK120", PHRASES, "{regex: [«'a*'»]}", "`+`"),
    Case("only an assertion", "PK120", PHRASES, "{regex: [«'\\b'»]}", "`+`"),
    Case("empty on the view", "PK120", PHRASES, "{regex: [«'\\x{200B}+'»]}", "views: [raw]"),
    Case("context that is always there", "PK120", PHRASES, "{phrases: [a], after: {regex: «b?», within: 3}}", "`+`"),
    Case("can never match", "PK121", PHRASES, "{regex: [«'a[^\\x00-\\x{10FFFF}]'»]}", "empty class"),
    _regex("class lost on the view", "PK121", "«\\p{Lu}»{3}", "views: [raw]"),
    _regex("exclusion lost on the view", "PK121", "a«[^A-Z]»", "views: [raw]"),
    _regex("negation lost on the view", "PK121", "a«\\P{Lu}»", "views: [raw]"),
    Case("digits on skeleton", "PK122", PHRASES, "{regex: ['a «\\d»'], views: [skeleton]}", "views: [compat]"),
    Case("word characters on leet", "PK122", PHRASES, "{regex: ['a[«\\w»%]'], views: [leet]}", "views: [compat]"),
    Case("excluded digits on skeleton", "PK122", PHRASES, "{regex: ['a«[^0-9]»'], views: [skeleton]}", "exclude what"),
    Case(
        "context on skeleton",
        "PK122",
        PHRASES,
        "{phrases: [a b], views: [skeleton], after: {regex: '«\\d»', within: 9}}",
        "0",
    ),
)
