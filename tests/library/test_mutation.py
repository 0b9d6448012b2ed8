"""Small changes of the shipped policies, nearly all of which their tests notice."""

from pathlib import Path

import pytest

from policykit.policy import load_policies
from policykit.testing.mutation import mutate

from .test_library import POLICY_FILES

LEAST_SCORE = 0.95


@pytest.mark.slow
@pytest.mark.parametrize("path", POLICY_FILES, ids=lambda path: path.name.split(".")[0])
def test_a_test_notices_nearly_every_change_of_a_policy(path: Path) -> None:
    report = mutate(load_policies(path))
    unnoticed = "\n".join(f"{survivor.place}: {survivor.what}" for survivor in report.survivors)
    assert report.score >= LEAST_SCORE, f"{report.score:.1%} of {report.n_mutants} changes; not noticed:\n{unnoticed}"
