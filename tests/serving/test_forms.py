"""Every form in which a request may bring the grammar of its answer: compiled into its plan, masked and judged."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from policykit.engines.attest import plan_path
from policykit.plan import load_plan
from tests.serving.peer import Say
from tests.serving.running import World
from tests.serving.test_attested import Engine, attested

TAG = {
    "type": "structural_tag",
    "format": {"type": "tag", "begin": "<n>", "content": {"type": "regex", "pattern": "[0-9]+"}, "end": "</n>"},
}
FORMS: dict[str, tuple[dict[str, Any], str, str]] = {
    "json": ({"structured_outputs": {"json": {"const": 1}}}, "1", "2"),
    "json text": ({"structured_outputs": {"json": '{"const": 1}'}}, "1", "2"),
    "json_object": ({"structured_outputs": {"json_object": True}}, "{}", "[]"),
    "regex": ({"structured_outputs": {"regex": "a+"}}, "aa", "b"),
    "choice": ({"structured_outputs": {"choice": ["yes", "no"]}}, "no", "maybe"),
    "lark": ({"structured_outputs": {"grammar": 'start: "a" | "b"'}}, "b", "c"),
    "gbnf": ({"structured_outputs": {"grammar": 'root ::= "a" | "b"'}}, "b", "c"),
    "structural_tag": ({"structured_outputs": {"structural_tag": json.dumps(TAG)}}, "<n>12</n>", "<n>a</n>"),
    "tag in response_format": ({"response_format": TAG}, "<n>12</n>", "12"),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Engine]]:
    with attested(tmp_path_factory.mktemp("profiles"), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest.fixture
def house(pair: tuple[World, Engine]) -> World:
    return pair[0]


def said(house: World, path: str, more: dict[str, Any], stream: bool, model: str = "profile:open") -> str:
    client = house.client()
    if path == "chat":
        messages: Any = [{"role": "user", "content": "Say."}]
        answer = client.chat.completions.create(model=model, messages=messages, stream=stream, extra_body=more)
        parts = [c.choices[0].delta for c in answer if c.choices] if stream else [answer.choices[0].message]
        return "".join(part.content or "" for part in parts)
    found = client.completions.create(model=model, prompt="Say.", stream=stream, extra_body=more)
    return "".join(c.choices[0].text for c in found if c.choices) if stream else found.choices[0].text


@pytest.mark.parametrize("path", ["chat", "completions"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_an_answer_of_the_grammar_passes_and_no_other(
    pair: tuple[World, Engine], name: str, stream: bool, path: str
) -> None:
    house, engine = pair
    more, good, bad = FORMS[name]
    if path == "completions" and "response_format" in more:
        with pytest.raises(openai.BadRequestError, match="response_format"):
            said(house, path, more, stream)
        return
    engine.say = Say((good,))
    assert said(house, path, more, stream) == good
    sent = house.peer.bodies[-1]
    assert "structured_outputs" not in sent, "the plan has it"
    assert "response_format" not in sent
    grammar = load_plan(plan_path(engine.run, engine.asked[-1].plan)).spec.grammar
    assert grammar is not None
    engine.say = Say((bad,))
    assert bad not in said(house, path, more, stream)
    assert house.last.attempts[0].failed is not None


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "one form"),
        ({"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}}, "one form"),
        ({"structured_outputs": {"regex": 1}}, "structured_outputs.regex"),
        ({"structured_outputs": {"choice": [1]}}, r"structured_outputs.choice\[0\]"),
        ({"structured_outputs": {"json": [1]}}, "structured_outputs.json"),
        ({"structured_outputs": {"regex": "("}}, "the grammar is refused"),
        ({"structured_outputs": {"structural_tag": "{}"}}, "PK217"),
        ({"structured_outputs": {"grammar": 'start: "a" <|user|>'}}, "PK218"),
        ({"structured_outputs": {"grammar": 'start: "a" <[128009]>'}}, "PK218"),
        ({"structured_outputs": {"regex": "a", "_backend": "guidance"}}, "_backend"),
        ({"response_format": {"type": "structural_tag", "format": {"type": "any_tokens"}}}, "PK217"),
    ],
)
def test_what_is_no_grammar_is_refused(house: World, more: dict[str, Any], says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        said(house, "chat", more, stream=False)


def test_a_profile_that_takes_no_grammar_takes_it_in_no_form(house: World) -> None:
    for more, _, _ in FORMS.values():
        with pytest.raises(openai.BadRequestError, match="takes no grammar") as refused:
            said(house, "chat", more, stream=False, model="")
        assert str(refused.value.param).startswith(("structured_outputs.", "response_format"))
