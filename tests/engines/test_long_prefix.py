"""What stands before a text is read for as long as it may be, and no longer."""

import pytest

import policykit as pk
from policykit.diagnostics import PolicyError
from policykit.engines.server import batch
from tests.engines.vllm.plans import POLICIES, embedded_vocabulary


class Late:
    """A clock that says at the second look that it is too late."""

    def __init__(self) -> None:
        self.n_looks = 0

    def __call__(self, began: float = 0.0) -> None:
        self.n_looks += 1
        if self.n_looks == 2:
            raise PolicyError.of("PK209", "one mask of it takes too long")


@pytest.mark.parametrize("in_grammar", [False, True])
def test_reading_a_long_prefix_ends_inside_of_it(in_grammar: bool) -> None:
    grammar = pk.Grammar.from_regex("[a-z ]*") if in_grammar else None
    policies = None if in_grammar else POLICIES
    constraint = pk.compile(policies, grammar).constraint(embedded_vocabulary())
    prefix = b"word " * 400
    late = Late()
    with pytest.raises(PolicyError, match="PK209"):
        constraint.start(prefix, prefix_in_grammar=in_grammar, check=late)
    assert late.n_looks == 2
    assert constraint.start(b"word", prefix_in_grammar=in_grammar, check=Late()), "a short one is looked at once"


def test_a_text_of_the_server_begins_so(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late()
    monkeypatch.setattr(batch, "check_first", late)
    constraint = pk.compile(POLICIES, None).constraint(embedded_vocabulary())
    told = {"on_token": lambda _: True, "on_end": lambda *_: None, "on_error": lambda _: None}
    row = batch.Row((1,), constraint, b"word " * 400, 1, 1.0, 1.0, None, **told)
    with pytest.raises(PolicyError, match="PK209"):
        row.start()
    assert (late.n_looks, row.is_started) == (2, False)
