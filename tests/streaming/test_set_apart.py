"""Phrases whose letters are set apart are found in a stream as in the whole text, and nothing of them is shown."""

import json

import pytest

import policykit as pk
from policykit.ir.document import PolicySet

PHRASE = "guaranteed returns"
DOCUMENT = {
    "apiVersion": "policykit/v1",
    "kind": "Policy",
    "metadata": {"name": "set/apart", "version": "1.0.0", "owner": "a@example.org", "why": "to be streamed"},
    "rules": [
        {"id": "r", "match": {"phrases": [PHRASE], "squeeze": True}, "action": {"block": {"message": "(no)"}}},
    ],
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("so: " + " ".join(PHRASE.replace(" ", "")) + " now", "so: (no)"),
        ("so: " + ".".join("guaranteed") + " returns!", "so: (no)"),
        ("so: g-u-a-r-a-n-t-e-e-d r_e_t_u_r_n_s", "so: (no)"),
        ("so: g u a r d s and guaranteed. Returns", "so: g u a r d s and guaranteed. Returns"),
    ],
)
def test_a_stream_sees_letters_set_apart(text: str, shown: str) -> None:
    plan = pk.compile(PolicySet((pk.parse_document(json.dumps(DOCUMENT), "set.policy.yaml"),)))
    for size in (1, 3, len(text)):
        stream = plan.stream()
        out = "".join(stream.feed(text[i : i + size]) for i in range(0, len(text), size))
        rest, verdict = stream.close()
        assert out + rest == shown
        assert verdict.decision == plan.verify(text).decision
    assert stream.buffers == ()
