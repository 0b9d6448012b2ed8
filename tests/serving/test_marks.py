"""Marks of calls that are special tokens, as the guard of a server names them and has them masked."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from policykit.profiles import load_profiles
from policykit.serving import Deployment, Serving
from policykit.serving.marks import ServedMarks
from tests.serving.running import PROFILES, deployment


@dataclass
class Marks:
    """What a parser says, and what it was last asked."""

    special: tuple[str, ...]
    masked: tuple[str, ...]
    asks: bool = False
    parser: str = "hermes"
    asked: list[bool] = field(default_factory=list[bool])

    @property
    def ask(self) -> Callable[[bool], None]:
        return self.asked.append


@pytest.fixture
def found(tmp_path: Path) -> Deployment:
    return deployment(tmp_path)


def note(served: ServedMarks) -> str | None:
    return asyncio.run(served.note())


def with_profile(found: Deployment, folder: Path, name: str, more: str) -> Deployment:
    """The same profiles, of which one says more."""
    path = folder / f"{name}.profile.yaml"
    path.write_text(path.read_text() + more)
    return replace(found, profiles=load_profiles(folder))


def test_calls_are_asked_for_in_their_form_where_that_has_the_marks(
    found: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    marks = Marks(("<tool_call>", "</tool_call>"), ("<tool_call>", "</tool_call>"))
    served = ServedMarks(Serving(found), marks)
    with caplog.at_level(logging.INFO, "policykit.serving"):
        served.begin()
    assert (marks.asked, note(served)) == ([True], None)
    assert "in the form of the parser `hermes`, with `<tool_call>`, `</tool_call>`" in caplog.text


def test_marks_that_no_form_has_are_named(found: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    marks = Marks(("[TOOL_CALLS]",), (), parser="mistral")
    served = ServedMarks(Serving(found), marks)
    served.begin()
    assert marks.asked == [False]
    for said in (note(served), caplog.text):
        assert "PK723: `[TOOL_CALLS]`: special tokens that the parser `mistral`" in str(said)
    assert "`required` and named tools need none" in caplog.text


def test_a_server_that_was_started_so_is_left_as_it_is(found: Deployment) -> None:
    marks = Marks(("<a>", "<b>"), ("<a>",), asks=True)
    served = ServedMarks(Serving(found), marks)
    served.begin()
    assert marks.asked == [False], "as it was started"
    assert "`<b>`: special tokens" in str(note(served))
    assert "`<a>`" not in str(note(served))


def test_profiles_whose_answers_have_a_grammar_keep_marks_closed_until_they_are_gone(
    found: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marks = Marks(("<a>",), ("<a>",))
    serving = Serving(found)
    served = ServedMarks(serving, marks)
    served.begin()
    serving.swap(with_profile(found, tmp_path, "agent", "clientGrammar: true\n"))
    assert marks.asked == [True, False]
    assert "PK723: `<a>`" in str(note(served))
    assert "serve `agent` elsewhere" in caplog.text
    serving.swap(found)
    assert (marks.asked, note(served)) == ([True, False, True], None)


def test_without_tools_there_is_nothing_to_say(found: Deployment, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    deployment(alone)
    for name in PROFILES.keys() - {"plain"}:
        (alone / f"{name}.profile.yaml").unlink()
    marks = Marks(("<a>",), ("<a>",))
    served = ServedMarks(Serving(replace(found, profiles=load_profiles(alone))), marks)
    served.begin()
    assert (marks.asked, note(served)) == ([False], None)
