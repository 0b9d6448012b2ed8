"""Codes PK660–PK679: the decision log."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK660",
        "no record",
        "A record has one spelling, which its hash covers. What JSON cannot spell has none: numbers that are not "
        "finite, halves of surrogate pairs, times without a zone. Stored bytes that are no record of this version are "
        "none either.",
    ),
    CodeEntry(
        "PK661",
        "the log is locked",
        "Processes that write the same log take turns, and one of them did not end its turn in time. The record was "
        "not written, and an answer that depends on it does not go out.",
    ),
    CodeEntry(
        "PK662",
        "no room for the log",
        "The disk is full. The record was not written; the log is whole, and goes on when there is room again.",
    ),
    CodeEntry("PK663", "the log is read-only", "The file or its file system may not be written by this process."),
    CodeEntry(
        "PK664",
        "the log is damaged",
        "What is stored is not what was written. Nothing is added to it, so that its end stays where it is: "
        "`policykit audit verify` names the first entry that is wrong.",
    ),
    CodeEntry(
        "PK665",
        "the log is out of reach",
        "Its file was taken away or cannot be read or written, or its server does not answer. Until it is back nothing "
        "is served that should be logged.",
    ),
    CodeEntry(
        "PK666",
        "no log here",
        "There is no log at this address, or what is there belongs to another program or another version.",
        "policykit audit verify empty-folder/",
    ),
    CodeEntry(
        "PK667",
        "the log is closed",
        "The log was closed, or was opened before its process forked: each process opens it for itself.",
    ),
    CodeEntry(
        "PK669",
        "a key or checkpoint cannot be used",
        "Spans are hashed with a key of at least 32 bytes, and kept in clear only where a replay was asked for. "
        "Checkpoints are signed with an Ed25519 key and stand in a file with one JSON object a line.",
    ),
    CodeEntry(
        "PK670",
        "a package of the log is missing",
        "A log in PostgreSQL needs the extra `postgres`, signed checkpoints need the extra `serve`.",
    ),
    CodeEntry(
        "PK671",
        "the record cannot be replayed",
        "What was permitted at each step follows from the tokens, the plan and the tokenizer. The record keeps no "
        "tokens, or they are of another plan or tokenizer than the files that were given.",
    ),
    CodeEntry(
        "PK672",
        "nothing is retired from this log",
        "Old records are removed only from a log that verifies: otherwise a retirement would hide what was done to it. "
        "Nothing was removed.",
    ),
)
