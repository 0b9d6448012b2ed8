"""Codes PK001–PK099: policy documents."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry("PK001", "the file cannot be read", "The path does not exist, is no file, or may not be read."),
    CodeEntry(
        "PK002",
        "no policy files",
        "A directory is searched for `**/*.policy.yaml`. One without any is more likely a wrong path than an empty "
        "policy, and an empty policy would let everything pass.",
        "policykit check empty-folder/",
    ),
    CodeEntry(
        "PK003",
        "the file would be left out",
        "The name looks like a policy file but does not end in `.policy.yaml`, so a directory would load without it.",
        "privacy.policy.yml",
    ),
    CodeEntry("PK004", "not UTF-8", "Policy files are UTF-8, with or without a byte order mark."),
    CodeEntry(
        "PK005",
        "too large",
        "A document has at most 1 MiB, 64 levels and 50,000 values, so that reading one is bounded in time and memory.",
    ),
    CodeEntry("PK006", "not valid YAML", "The text is not YAML 1.2. What follows the place was not read.", "a: [1, 2"),
    CodeEntry("PK007", "nothing in the file", "The file holds no document, only white space or comments.", "# later"),
    CodeEntry(
        "PK008",
        "several documents in one file",
        "One file is one document, so that a rule has one place and one owner.",
        "---\na: 1\n---\nb: 2",
    ),
    CodeEntry(
        "PK009",
        "anchors, aliases and merge keys are refused",
        "What a rule says must stand where the rule stands. An alias hides it, and a merge key overrides silently.",
        "a: &x [b]\nc: *x",
    ),
    CodeEntry(
        "PK010",
        "tags and directives are refused",
        "Types come from the policy language, not from the file.",
        "version: !!str 1.0",
    ),
    CodeEntry("PK011", "duplicate key", "Of two equal keys one would be lost.", "owner: a\nowner: b"),
    CodeEntry("PK012", "a key must be text", "Keys are the names of fields.", "1: x"),
    CodeEntry("PK020", "unknown field", "A field that is not part of the language would be ignored.", "sevrity: high"),
    CodeEntry("PK021", "missing field", "The field has no default.", "metadata: {name: a}"),
    CodeEntry("PK022", "wrong type", "The field holds another kind of value.", "rules: yes please"),
    CodeEntry(
        "PK023",
        "unknown value",
        "The field takes one of a fixed set of words.",
        "severity: hihg",
    ),
    CodeEntry(
        "PK024",
        "text that reads as something else",
        "YAML reads an unquoted number, `true` or `null` as that and not as text. Quoted, it is text.",
        "phrases: [007]",
    ),
    CodeEntry(
        "PK025",
        "not a valid name",
        "Names, ids and versions have a fixed form, since reports, digests and logs refer to them.",
        "id: No Guarantees",
    ),
    CodeEntry("PK026", "out of range", "The number is outside the limits of its field.", "cost: -1"),
    CodeEntry("PK027", "not a date", "Dates are written YYYY-MM-DD and exist in the calendar.", "until: 2026-02-30"),
    CodeEntry("PK028", "empty", "An empty list or mapping here would say nothing, or everything.", "phrases: []"),
    CodeEntry("PK029", "empty text", "The field needs at least one character that is no space.", 'why: ""'),
    CodeEntry(
        "PK030",
        "a field too many",
        "Only one of these fields can be used at a time.",
        "action: {block: {}, transform: {}}",
    ),
    CodeEntry(
        "PK031", "unknown matcher", "A matcher that is not part of the language would be ignored.", "match: {emial: x}"
    ),
    CodeEntry(
        "PK032", "unknown action", "An action that is not part of the language would be ignored.", "action: {blok: {}}"
    ),
    CodeEntry(
        "PK040",
        "not implemented in this version",
        "The feature belongs to the policy language, but this version cannot enforce it. It is refused, since a "
        "policy that loads with a part left out would look enforced.",
        "when: 'user.role == \"guest\"'",
    ),
    CodeEntry("PK050", "duplicate rule id", "Reports name a rule by its id, so ids are unique in a document."),
    CodeEntry("PK051", "duplicate document name", "Reports name a document by its name, so names are unique in a set."),
    CodeEntry("PK052", "duplicate test name", "Test names are unique in a document."),
    CodeEntry(
        "PK053", "never effective", "`from` must be before `until`.", "effective: {from: 2027-01-01, until: 2026-01-01}"
    ),
    CodeEntry(
        "PK054",
        "an empty phrase",
        "The phrase has nothing to look for: only separators (white space, dashes, `_`, `*`, `~`, `` ` ``), or only "
        "characters that the view drops.",
        'phrases: ["--"]',
    ),
    CodeEntry("PK055", "not a glob", "In a scope only `*` stands for other text.", "tenants: ['acme-?']"),
    CodeEntry("PK056", "an option without effect", "The option changes nothing here, so something else was meant."),
    CodeEntry("PK057", "unknown placeholder", "A mask's text knows `{type}` and `{n}`.", 'with: "[{name}]"'),
    CodeEntry(
        "PK058",
        "nothing to transform",
        "A transform replaces the text that was found. `not` finds an absence, which has no place in the text.",
        "match: {not: {phrases: [risk warning]}}\naction: {transform: {replace: {with: x}}}",
    ),
    CodeEntry("PK059", "unknown rule in a test", "The test expects a rule that its document does not have."),
    CodeEntry(
        "PK061",
        "facts cannot be read",
        "`facts.schema` names a JSON Schema beside the policy. It becomes part of the document, and of its digest.",
        "facts: {schema: answer-facts.json}",
    ),
    CodeEntry(
        "PK062",
        "allow without default: block",
        "Without `default: block` everything is admitted that no rule blocks, so an allow rule would say nothing. "
        "Holes in a block are made by exceptions.",
        "action: {allow: {}}",
    ),
    CodeEntry(
        "PK063",
        "nothing is allowed",
        "`default: block` blocks what no allow rule admits, for the targets that allow rules name.",
        "default: block",
    ),
    CodeEntry("PK064", "duplicate exception id", "Verdicts name an exception by its id, so ids are unique."),
    CodeEntry(
        "PK065",
        "approvals before another action",
        "Approvals lift a block or an escalation; a transform or an allow rule has nothing to lift.",
    ),
    CodeEntry(
        "PK066",
        "no arguments to bind to",
        "`bindTo: args` binds an approval to the exact arguments of a tool call.",
        "target: output\naction: {escalate: {queue: q, bindTo: args}}",
    ),
    CodeEntry(
        "PK067",
        "a test of two things",
        "A test judges one text: an output, an input, a retrieved passage, a tool call or a tool result.",
        "given: {output: yes, input: no}",
    ),
    CodeEntry(
        "PK068",
        "no part of an allow rule",
        "An allow rule admits whole texts, or calls under a condition. What would narrow it in another way belongs "
        "into a rule that blocks.",
    ),
    CodeEntry("PK090", "unknown entity", "There is no such type of identifier.", "entities: [ibna]"),
    CodeEntry(
        "PK091",
        "an option that an entity does not have",
        "An option that means nothing would be ignored, so something else was meant.",
        "entities: [{type: iban, region: GB}]",
    ),
    CodeEntry(
        "PK092",
        "entities cannot be read like this",
        "An entity stands in one text or JSON value, on a view that leaves digits what they are.",
        "match: {entities: [iban], join: array}",
    ),
    CodeEntry(
        "PK093",
        "an extension of entity types cannot be used",
        "A package adds types under the entry point group `policykit.entities`, and what it adds is no type, cannot be "
        "imported, or takes a name that exists.",
    ),
    CodeEntry(
        "PK069",
        "a phrase too short for the view",
        "On `skeleton` and `leet` different words fall together (aims and alms, bail and ball), so short phrases would "
        "be found in harmless text: `skeleton` takes phrases of two words, `leet` and `squeeze` of two words and ten "
        "letters.",
        "{phrases: [guarantee], views: [skeleton]}",
    ),
    CodeEntry("PK060", "no tests", "A document without tests loads, and `policykit test` fails for it."),
    CodeEntry(
        "PK071",
        "one of two apostrophes",
        "A phrase or expression has the apostrophe `'` or `’` between letters and is not found where a text has the "
        "other one: keyboards write the first, models and word processors the second. Only the view `skeleton` takes "
        "them for one.",
        "{phrases: [we can't lose]}",
    ),
)
