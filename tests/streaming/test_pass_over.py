"""Candidates that are no match are passed over: nothing of what is shown or found changes, and no step is taken."""

from collections.abc import Callable
from random import Random

import pytest

from policykit.ir.document import Entities, Entity
from policykit.ir.verdict import Verdict
from policykit.streaming import Streaming
from policykit.streaming.session import Session
from policykit.streaming.trail import Trail
from policykit.verify import Subject, Verifier
from tests.streaming.test_chunking import check_text
from tests.verify.build import PLACE, block, mask, phrases, reading, rule

REJECTED = ("9999 1111 2222 3333", "AB12 3456 7890 1234", "+999 123 456 789", "4111 1111 1111 1112", "078-05-1120")
VALID = ("4111 1111 1111 1111", "GB29 NWBK 6016 1331 9268 19", "+49 170 1234567", "card of 1234")
BETWEEN = (" ", "x ", ". ", " and then some more of it, ", "\n", " é ", "!", " card ")
NAMES = ("payment_card", "iban", "phone", "us_ssn")


def verifier(action: object, view: str = "raw") -> Verifier:
    leaf = Entities(tuple(Entity(name, PLACE) for name in NAMES), reading((view,)), PLACE)
    found = rule("e", leaf, action)  # pyright: ignore[reportArgumentType]
    return Verifier((found, rule("p", phrases("card of"), block("no"))), None, "digest")


def text_of(rng: Random, of: tuple[str, ...]) -> str:
    return "".join(rng.choice(of) + rng.choice(BETWEEN) for _ in range(rng.randint(1, 12)))


def in_pieces(judge: Verifier, text: str, size: int) -> tuple[str, Verdict]:
    stream = Streaming(judge, None, "digest").open(Subject(""))
    shown = "".join(stream.feed(text[i : i + size]) for i in range(0, len(text), size))
    rest, verdict = stream.close()
    return shown + rest, verdict


@pytest.mark.parametrize("view", ["raw", "compat"])
@pytest.mark.parametrize("action", [block("no"), mask("[{type}_{n}]")], ids=["block", "mask"])
def test_all_chunkings_agree_with_the_verifier(action: object, view: str) -> None:
    judge, rng = verifier(action, view), Random(f"{action}{view}")
    streaming = Streaming(judge, None, "digest")
    for _ in range(25):
        of = (*REJECTED, *VALID[: rng.choice((0, 0, 3, 4))])
        before = "and so on, " * rng.choice((0, 0, 0, 23, 60))
        check_text(judge, streaming, before + text_of(rng, of), rng, 1 << 20, action == block("no"))


@pytest.mark.parametrize("action", [block("no"), mask("[{type}_{n}]")], ids=["block", "mask"])
@pytest.mark.parametrize("n", [0, 200, 254, 255, 256, 257, 258, 300, 513, 1_200, 5_000])
def test_one_that_begins_far_behind_in_a_piece_is_found(n: int, action: object) -> None:
    judge = verifier(action)
    for of in (VALID[0], f"{REJECTED[0]} {VALID[0]}", f"{VALID[1]} and {REJECTED[3]}", VALID[2], VALID[3]):
        text = f"{'x' * n} {of} end"
        verdict = judge.verify(text)
        assert verdict.decision in ("block", "transform")
        one_by_one, _ = in_pieces(judge, text, 1)
        for size in (8, 64, 257, len(text)):
            shown, found = in_pieces(judge, text, size)
            assert (shown, found.decision) == (one_by_one, verdict.decision)
            assert of not in shown


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    steps: list[str] = []
    step: Callable[[Session, str], object] = Session.step

    def noted(session: Session, text: str) -> object:
        steps.append(text)
        return step(session, text)

    monkeypatch.setattr(Session, "step", noted)
    return steps


@pytest.mark.parametrize("size", [1, 8, 64, 5_000])
@pytest.mark.parametrize("action", [block("no"), mask("[{type}_{n}]")], ids=["block", "mask"])
def test_nothing_else_is_done_about_them(action: object, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"Reference {one}x, {one}. " for one in REJECTED) * 40
    assert verifier(action).verify(text).decision == "allow"
    steps = counted(monkeypatch)
    shown, verdict = in_pieces(verifier(action), text, size)
    assert (shown, verdict.decision) == (text, "allow")
    assert len(steps) < 10, "the first steps of a stream, and no more"


def test_what_a_validator_raises_fails_closed_at_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> bool:
        raise RuntimeError("no table")

    def validator(_: str) -> Callable[[str], bool]:
        return broken

    monkeypatch.setattr("policykit.entities.checks.is_valid", validator)
    text = "a long beginning of it, then 078-05-1120 in the middle of it"
    leaf = Entities((Entity("us_ssn", PLACE, context=False),), reading(("raw",)), PLACE)
    for size in (1, 8, 100):
        shown, verdict = in_pieces(Verifier((rule("e", leaf, block("no")),), None, "digest"), text, size)
        assert verdict.decision == "block"
        assert [error.rule for error in verdict.errors] == ["e"]
        assert shown == "a long beginning of it, then "


def test_a_valid_one_that_is_passed_over_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def rejects(*_: object) -> bool:
        return True

    monkeypatch.setattr(Trail, "_rejects", rejects)
    with pytest.raises(AssertionError):
        test_all_chunkings_agree_with_the_verifier(block("no"), "raw")
