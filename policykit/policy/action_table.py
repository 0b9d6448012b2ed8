"""The part of the field table that describes actions."""

from policykit.policy.shapes import Choice, Duration, Field, Flag, Integer, Many, Record, Ref, Text, TextKind

MAX_LENGTH = 1_000_000
_TRANSFORMS = ("mask", "replace", "hash", "redact", "truncate", "append", "prepend")

ACTION_RECORDS: tuple[Record, ...] = (
    Record(
        "action",
        "What to do: exactly one of these.",
        (
            Field("block", Ref("block"), "the text is not released"),
            Field("escalate", Ref("escalate"), "a person must decide"),
            Field("transform", Ref("transform"), "what was found is replaced"),
            Field("allow", Ref("allow"), "admitted, under `default: block`"),
        ),
        any_of=("block", "escalate", "transform", "allow"),
        alone=("block", "escalate", "transform", "allow"),
        noun="action",
    ),
    Record(
        "block",
        "The text is not released.",
        (
            Field("message", Text(), "what is shown instead"),
            Field("code", Text(), "a code for logs"),
            Field(
                "onMatch",
                Choice(("avoid", "stop")),
                "`avoid` (default): the text cannot be generated; `stop`: generation ends, the message is shown",
            ),
        ),
    ),
    Record(
        "escalate",
        "A person must decide; until then nothing is released.",
        (
            Field("queue", Text(TextKind.ID), "where it waits", required=True),
            Field("bindTo", Choice(("args", "text")), "what an approval covers: these arguments, or text"),
            Field("ttl", Duration(), "how long an approval is good; 15m if not said"),
            Field("message", Text(), "what is shown meanwhile"),
        ),
    ),
    Record("allow", "Admitted: `allow: {}`.", ()),
    Record(
        "transform",
        "What was found is replaced, or the output is changed: exactly one of these.",
        (
            Field("mask", Ref("mask"), "by a numbered label"),
            Field("replace", Ref("replace"), "by a fixed text"),
            Field("hash", Ref("hash"), "by a keyed hash"),
            Field("redact", Ref("redact"), "JSON fields lose their values"),
            Field("truncate", Ref("truncate"), "the output is cut to a length"),
            Field("append", Text(), "a text that must stand at the end of the output"),
            Field("prepend", Text(), "a text that must stand at the start of the output"),
        ),
        any_of=_TRANSFORMS,
        alone=_TRANSFORMS,
        noun="action",
    ),
    Record(
        "mask",
        "Each match is replaced by a label.",
        (
            Field("with", Text(TextKind.TEMPLATE), "the label; `{type}` and `{n}` are filled in", required=True),
            Field("type", Text(TextKind.LABEL), "what `{type}` says; the rule's id in capitals if not said"),
            Field("reversible", Flag(), "true: a vault keeps the values, and `{n}` is a number of that vault"),
            Field("vault", Text(TextKind.ID), "the vault's name in the configuration; `session` if not said"),
        ),
        needs=(("vault", "reversible"),),
    ),
    Record(
        "replace",
        "Each match is replaced by a text.",
        (Field("with", Text(TextKind.ANY), "the text; empty deletes the match", required=True),),
    ),
    Record(
        "hash",
        "Each match is replaced by its keyed hash: equal values stay equal, and only who has the key can test one.",
        (
            Field("key", Text(TextKind.ID), "the key's name in the configuration", required=True),
            Field("length", Integer(8, 48), "characters of the hash; 16 if not said"),
            Field("encoding", Choice(("hex", "base32")), "how the hash is written; `hex` if not said"),
            Field("with", Text(TextKind.HASH_TEMPLATE), "the text around `{hash}`; `h:{hash}` if not said"),
            Field("type", Text(TextKind.LABEL), "what `{type}` says; the rule's id in capitals if not said"),
        ),
    ),
    Record(
        "redact",
        "Fields of a JSON output lose their values.",
        (
            Field(
                "fields",
                Many(Text(TextKind.FIELD), or_one=True),
                "paths, such as `customer.ssn`, `items.*.iban`, `**.ssn`, or `/customer/ssn`",
                required=True,
            ),
            Field("with", Text(TextKind.ANY), "what stands there instead; `[REDACTED]` if not said"),
            Field("remove", Flag(), "true: the fields are taken out"),
        ),
    ),
    Record(
        "truncate",
        "The output is cut to a length, not counting what rules append or prepend.",
        (
            Field("characters", Integer(1, MAX_LENGTH), "at most so many characters (code points)"),
            Field("words", Integer(1, MAX_LENGTH), "at most so many words"),
            Field("with", Text(TextKind.ANY), "what stands at the cut and counts too; `…` if not said"),
        ),
        any_of=("characters", "words"),
    ),
)
