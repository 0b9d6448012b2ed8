"""Transforms of a document: what their fields mean together, and their values in the IR."""

from policykit.diagnostics import Diagnostic
from policykit.ir.document import Append, Hash, Mask, Prepend, Redact, Replace, SpanTransform, Truncate, WholeTransform
from policykit.policy.checked import Entries
from policykit.vault.marks import SPELLED_IN_JSON, template_complaint

SESSION = "session"
DEFAULT_HASH_LENGTH = 16
DEFAULT_HASH = "h:{hash}"
DEFAULT_REDACTION = "[REDACTED]"
DEFAULT_MARK = "…"
_ON_SPANS = ("mask", "replace", "hash")


def is_on_spans(transform: Entries) -> bool:
    """Whether it replaces what the matcher finds, so that there must be something found."""
    return any(name in transform.fields for name in _ON_SPANS)


def lower_transform(transform: Entries, capitals: str) -> SpanTransform | WholeTransform:
    """The transform's value; ``capitals`` is its label if it names none. The content has passed every check."""
    ((name, checked),) = transform.fields.items()
    text = transform.text(name) or ""
    if not isinstance(checked, Entries):
        return Append(text) if name == "append" else Prepend(text)
    return _lower_record(name, checked, capitals)


def _lower_record(name: str, record: Entries, capitals: str) -> SpanTransform | WholeTransform:
    written = record.text("with")
    label, own = record.text("type") or capitals, "type" in record.fields
    match name:
        case "mask":
            vault = (record.text("vault") or SESSION) if record.flag("reversible") else None
            return Mask(written or "", label, vault, own)
        case "hash":
            length = int(record.number("length") or DEFAULT_HASH_LENGTH)
            encoding = record.text("encoding") or "hex"
            return Hash(record.text("key") or "", length, encoding, written or DEFAULT_HASH, label, own)
        case "redact":
            fields = tuple(str(leaf.value) for leaf in record.leaves("fields"))
            with_text = DEFAULT_REDACTION if written is None else written
            return Redact(fields, None if record.flag("remove") else with_text)
        case "truncate":
            unit = "characters" if "characters" in record.fields else "words"
            return Truncate(int(record.number(unit) or 0), unit, DEFAULT_MARK if written is None else written)
        case _:
            return Replace(written or "")


def check_transform(transform: Entries, match: Entries | None, diagnostics: list[Diagnostic]) -> None:
    """Appends what is wrong with a transform beyond its single fields."""
    mask, hashed = transform.entries("mask"), transform.entries("hash")
    redact, truncate = transform.entries("redact"), transform.entries("truncate")
    if mask and mask.flag("reversible"):
        _check_mark(mask, diagnostics)
        if match:
            _check_join(match, mask, diagnostics)
    elif mask and "vault" in mask.fields and "reversible" in mask.fields:
        message = "`vault` has no effect without `reversible: true`"
        diagnostics.append(Diagnostic("PK056", message, mask.keys["vault"], "remove it"))
    if hashed:
        _check_hash(hashed, diagnostics)
    if redact and redact.flag("remove") and "with" in redact.fields:
        message = "`with` has no effect beside `remove: true`"
        diagnostics.append(Diagnostic("PK056", message, redact.keys["with"], "keep one of the two"))
    if truncate:
        _check_truncate(truncate, diagnostics)


def _check_mark(mask: Entries, diagnostics: list[Diagnostic]) -> None:
    leaf = mask.leaf("with")
    complaint = template_complaint(str(leaf.value)) if leaf else None
    if leaf and complaint:
        diagnostics.append(Diagnostic("PK199", complaint, leaf.place, "such as `[{type}_{n}]`"))


def _check_hash(hashed: Entries, diagnostics: list[Diagnostic]) -> None:
    """What a hash needs to be known again, also inside a JSON string."""
    leaf = hashed.leaf("with")
    text = str(leaf.value) if leaf else DEFAULT_HASH
    if text.count("{hash}") != 1:
        complaint = "the text must have `{hash}` once"
    elif SPELLED_IN_JSON.search(text):
        complaint = "the text cannot hold quotes, backslashes or control characters, which JSON spells otherwise"
    else:
        return
    if leaf:
        diagnostics.append(Diagnostic("PK199", complaint, leaf.place, f"such as `{DEFAULT_HASH}`"))


def _check_join(match: Entries, mask: Entries, diagnostics: list[Diagnostic]) -> None:
    inner = match.entries("not")
    for item in (*match.records("all"), *match.records("any"), *((inner,) if inner else ())):
        _check_join(item, mask, diagnostics)
    if match.text("join") == "array":
        message = "`reversible` cannot put back a match that runs through several strings"
        diagnostics.append(Diagnostic("PK199", message, mask.keys["reversible"], "remove `join: array`"))


def _check_truncate(truncate: Entries, diagnostics: list[Diagnostic]) -> None:
    if "characters" in truncate.fields and "words" in truncate.fields:
        message = "`words` cannot stand beside `characters`"
        diagnostics.append(Diagnostic("PK030", message, truncate.keys["words"], "keep one of them"))
        return
    mark = truncate.text("with") or ""
    unit = "characters" if "characters" in truncate.fields else "words"
    room, size = truncate.number(unit), len(mark if unit == "characters" else mark.split())
    if room is not None and size > room:
        message = f"the text at the cut has {size} {unit}, more than the output may have"
        diagnostics.append(Diagnostic("PK199", message, truncate.keys["with"], "shorten it"))
