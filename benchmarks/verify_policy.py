"""The policy that verifiers are measured with: 1,000 phrases on two views, 30 expressions, 10 entities."""

import json
import random
import tempfile
from collections.abc import Sequence

import policykit as pk

VIEWS = ("raw", "skeleton")
ENTITIES = (
    *("email", "phone", "payment_card", "iban", "us_ssn", "ipv4", "jwt", "aws_access_key", "github_token"),
    "private_key",
)
REGEXES = (
    r"guaranteed?\s+returns?", r"\brisk[\s-]*free\b", r"\b(?:buy|sell|short)\s+(?:now|today|immediately)\b",
    r"(?:double|triple|10x)\s+your\s+(?:money|savings|investment)s?", r"\b\d{3}-\d{2}-\d{4}\b",
    r"\b(?:cannot|can.?t|will\s+never)\s+(?:\w+\s+){0,2}(?:lose|fail)\b", r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
    r"\b[\w.+-]+@[\w-]+\.[\w.]{2,}\b", r"\b(?:\d{4}[ -]?){3}\d{4}\b", r"\bAKIA[0-9A-Z]{16}\b",
    r"\b(?:\d{1,3}\.){3}\d{1,3}\b", r"\+\d{1,3}[ -]?\d{2,4}[ -]?\d{4,8}\b", r"\bacct[- ]?\d{8}\b",
    r"\b[A-CEGHJ-PR-TW-Z]{2}\d{6}[A-D]\b", r"eyJ[\w-]{10,}\.[\w-]{10,}", r"\bpassword\s*[:=]\s*\S+",
    r"\b\d{1,3}\s?%\s+(?:guaranteed|profit)\b", r"\bsure\s+(?:win|bet|thing)\b", r"\b\d{5}-\d{4}\b",
    r"\bMRN[: ]?\d{6,10}\b", r"\b\d{2}/\d{2}/\d{4}\b", r"\bBearer [A-Za-z0-9._-]{20,}", r"\bxox[abp]-[A-Za-z0-9-]{10,}",
    r"\bghp_[A-Za-z0-9]{36}\b", r"-----BEGIN [A-Z ]+ PRIVATE KEY-----", r"\b[A-F0-9]{2}(?::[A-F0-9]{2}){5}\b",
    r"\bsk-[A-Za-z0-9]{20,}\b", r"\b\d{3}[ -]\d{3}[ -]\d{4}\b", r"\bDE\d{9}\b", r"\b[STFG]\d{7}[A-Z]\b",
)  # fmt: skip
MATCHING = (
    "guaranteed returns", "risk-free", "buy now", "10x your money", "123-45-6789", "you cannot ever lose",
    "GB29NWBK60161331926819", "someone@example.com", "4111 1111 1111 1111", "AKIAABCDEFGHIJKLMNOP", "10.0.0.1",
    "+49 170 1234567", "acct-12345678", "AB123456C", "eyJhbGciOiJIUzI1.abcdefghijkl", "password: x", "5% guaranteed",
    "sure win", "12345-6789", "MRN 123456", "01/02/2003", "Bearer abcdefghijklmnopqrstu", "xoxb-1234567890",
    "-----BEGIN RSA PRIVATE KEY-----", "AA:BB:CC:DD:EE:FF", "sk-abcdefghijklmnopqrst", "212 555 0123", "DE123456789",
    "S1234567D", "ssn 123-45-6789",
)  # fmt: skip
"""Texts that the expressions and entities match."""


def make_phrases(n: int, texts: Sequence[str]) -> list[str]:
    """Phrases of two or three words from the texts' own words: texts often begin one and seldom end one."""
    rng = random.Random(17)
    words = sorted({w for t in texts for w in t.lower().split() if w.isascii() and w.isalpha() and len(w) > 3})
    found: dict[str, None] = {}
    while len(found) < n:
        found[" ".join(rng.choices(words, k=rng.choice((2, 2, 3))))] = None
    return list(found)


def plan_of(phrases: Sequence[str], entities: Sequence[str] = ENTITIES) -> pk.Plan:
    stop = {"block": {"onMatch": "stop"}}
    rules: list[dict[str, object]] = [
        {"id": "phrases", "match": {"phrases": list(phrases), "views": list(VIEWS)}, "action": stop}
    ]
    rules += [
        {"id": f"regex-{i}", "match": {"regex": regex, "views": ["raw"]}, "action": stop}
        for i, regex in enumerate(REGEXES)
    ]
    rules += [
        {"id": f"entity-{i}", "match": {"entities": [name], "views": ["raw"]}, "action": stop}
        for i, name in enumerate(entities)
    ]
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "bench/verify", "version": "1.0.0", "owner": "bench@example.org", "why": "a benchmark"},
        "rules": rules,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".policy.yaml", delete=False) as file:
        json.dump(document, file)
    return pk.compile(pk.load_policies(file.name))
