"""The demo's pictures from hand-made values, and the choice of the step that it shows."""

import io
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from policykit.cli.demo_step import interesting, step_of
from policykit.cli.demo_view import Candidate, Pair, Reply, Step, marked, pair_view, score_view, step_view
from policykit.cli.engine import Batch
from policykit.cli.streams import console
from policykit.constraint import Vocabulary
from policykit.ir.verdict import Decision, Verdict, Violation
from policykit.plan import compile as compile_plan
from policykit.policy import load_policies

from .conftest import Run


def verdict_on(text: str, *matched: str) -> Verdict:
    found = tuple(
        Violation("no-guarantees", text.index(m), text.index(m) + len(m), "compat", m, "high", 1.0) for m in matched
    )
    return Verdict(Decision.BLOCK if found else Decision.ALLOW, text, found, (), (), (), (), 0.0, "sha256:0")


def printed(renderable: object, width: int = 60) -> str:
    out = io.StringIO()
    console(out, width).print(renderable, soft_wrap=False)
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


LOOSE = "Sure, guaranteed returns."
KEPT = "Sure, it may fall."
PAIR = Pair("Is it safe?", Reply(LOOSE, verdict_on(LOOSE, "guaranteed returns")), Reply(KEPT, verdict_on(KEPT)))


def test_a_pair_stands_side_by_side() -> None:
    assert printed(pair_view(PAIR, 1, 2, 60)) == (
        "1/2 Is it safe?\n"
        "╭─────────────────────────────┬────────────────────────────╮\n"
        "│ free                        │ under the plan             │\n"
        "├─────────────────────────────┼────────────────────────────┤\n"
        "│ Sure, guaranteed returns.   │ Sure, it may fall.         │\n"
        "├─────────────────────────────┼────────────────────────────┤\n"
        "│ ✗ no-guarantees             │ ✓ keeps every rule         │\n"
        "│ “guaranteed returns”        │                            │\n"
        "╰─────────────────────────────┴────────────────────────────╯\n"
    )


def test_every_violation_is_marked_and_nothing_is_written_twice() -> None:
    text = "guaranteed returns, guaranteed returns"
    first = verdict_on(text, "guaranteed returns", "returns, guaranteed", "guaranteed")
    shown = marked(text, first.violations)
    assert shown.plain == text
    assert [shown.plain[span.start : span.end] for span in shown.spans if span.style] == [
        "guaranteed",
        " returns",
        ", guaranteed",
    ]


def test_a_transformed_reply_says_by_which_rule() -> None:
    kept = Reply("pay [account]", verdict_on("pay [account]"), ("mask-accounts",))
    assert "✓ keeps every rule, after mask-accounts" in printed(
        pair_view(Pair("p", PAIR.free, kept), 1, 1, 120), width=120
    )


def test_the_score_counts_replies() -> None:
    score = score_view([PAIR, PAIR], 100.4, 90.0).plain
    assert score.startswith("Replies that break a rule: free 2/2, under the plan 0/2\n")
    assert "100 tokens/s free, 90 tokens/s under the plan" in score


def test_a_step_shows_what_the_mask_makes_of_each_token() -> None:
    candidates = (Candidate(" returns", 0.75, ("finance#no-guarantees",)), Candidate(" work", 0.2, ()))
    shown = printed(step_view(Step("Is it safe?", "guaranteed", candidates, 0.75)), width=100)
    returns, work = [line.split() for line in shown.split("\n") if line.startswith("␣")]
    assert returns == ["␣returns", "75.0%", "█" * 15, "closed", "by", "no-guarantees"]
    assert work == ["␣work", "20.0%", "█" * 4, "open", "█" * 16, "80.0%"]
    assert "All closed tokens together hold 75.00% of the probability." in shown


@dataclass(frozen=True)
class Written:
    """What the demo reads of a generation."""

    token_ids: tuple[int, ...]


@pytest.mark.usefixtures("run")
def test_the_step_shown_is_the_one_that_the_mask_divides(promises: str) -> None:
    tokens = [bytes([b]) for b in range(256)] + [b"guaranteed", b" returns!", b" work", b""]
    guaranteed, returns, work, end = 256, 257, 258, 259
    vocabulary = Vocabulary.from_tokens(tokens, [end])
    constraint = compile_plan(load_policies(promises)).constraint(vocabulary)
    steps = [np.full((1, 260), 1e-6, np.float32) for _ in range(3)]
    steps[0][0, guaranteed] = 0.9
    steps[1][0, [returns, work]] = 0.6, 0.3
    steps[2][0, end] = 0.9
    free = Batch((Written((guaranteed, returns, end)),), 1.0)  # pyright: ignore[reportArgumentType]
    moment = interesting(free, steps, constraint)
    assert moment
    assert moment.at == 1
    assert moment.masked_mass == pytest.approx(0.6, abs=1e-3)
    step = step_of(moment, "p", (guaranteed, returns, end), vocabulary)
    assert step.written == "guaranteed"
    assert step.candidates[0] == Candidate(" returns!", pytest.approx(0.6), ("finance/promises#no-guarantees",))
    assert step.candidates[1] == Candidate(" work", pytest.approx(0.3), ())
    steps[2][0, [work, end]] = 0.9, 0.05  # a step that is hardly masked is nearer to even than one that is all masked
    steps[1][0, [returns, work]] = 0.9999, 1e-6
    moment = interesting(free, steps, constraint)
    assert moment
    assert moment.at == 1
    kept = Batch((Written((guaranteed, work, end)),), 1.0)  # pyright: ignore[reportArgumentType]
    quiet = [np.eye(1, 260, k, np.float32) for k in (guaranteed, work, end)]
    assert interesting(kept, quiet, constraint) is None


def test_the_demo_needs_torch_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch, promises: str) -> None:
    monkeypatch.delattr("policykit.engines.transformers", raising=False)
    monkeypatch.delitem(sys.modules, "policykit.engines.transformers", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    for command in (["demo", "--policies", promises], ["generate", "--prompt", "x", "--policies", promises]):
        done = run(*command)
        assert done.status == 4
        assert done.err.startswith("PK555: generating text needs `torch`, which is not installed\n")
        assert "help: pip install 'policykit[transformers]'" in done.err


@pytest.mark.parametrize("flags", [["--prompts", "0"], ["--width", "-1"], ["--prompts", "x"]])
def test_the_demo_refuses_numbers_that_make_no_sense(run: Run, flags: list[str]) -> None:
    done = run("demo", *flags)
    assert done.status == 3
    assert "is not a whole number above 0" in done.err
