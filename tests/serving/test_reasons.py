"""Why an upstream refuses is in the log; what it was sent, and with which key, is not."""

import asyncio
import json
import logging
import re

import pytest
from hypothesis import given, settings, strategies as st

from policykit.serving.asking import check_status
from policykit.serving.errors import UpstreamFault
from policykit.serving.reasons import MAX_COMPARED, reason_of
from policykit.serving.upstream import UpstreamRequest
from policykit.serving.upstream_http import HttpUpstream
from tests.serving.peer import Peer, Say
from tests.serving.running import served, world
from tests.serving.test_faults import failure

TOO_LONG = "This model's maximum context length is 512 tokens. However, you requested 600 tokens."


def error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "BadRequestError"}}).encode()


def body(*texts: str) -> dict[str, object]:
    return {"model": "fund-7b", "messages": [{"role": "user", "content": text} for text in texts], "max_tokens": 88}


SAID = {
    "plain": (error(TOO_LONG), "Hello?", TOO_LONG),
    "other form": (b'{"object": "error", "message": "no such thing"}', "Hello?", "no such thing"),
    "detail": (b'{"detail": "no such thing"}', "Hello?", "no such thing"),
    "an error that is a text": (b'{"error": "no such thing"}', "Hello?", "no such thing"),
    "no JSON": (b"<h1>Bad\nRequest</h1>\x1b[0m", "Hello?", "<h1>Bad Request</h1> [0m"),
    "nothing": (b"", "Hello?", ""),
    "the model": (error("The model `fund-7b` does not exist"), "Hello?", "The model `fund-7b` does not exist"),
    "quoted": (error("Invalid value: 'Bob Stone'"), "I am Bob Stone", "Invalid value: '…'"),
    "cut": (error("near 'my pin is 9137 and my na'"), "my pin is 9137 and my name is Bob", "near '… na'"),
    "escaped": (error(r"near 'Hello\nworld\u00fcber'"), "Hello\nworldüber", r"near '…'"),
    "signs": (error("near '🙂🙃'"), "🙂🙃", "near '…'"),
    "another case": (error("near 'bob STONE'"), "I am Bob Stone", "near '…'"),
    "words it shares": (error(TOO_LONG), "Is it the maximum?", TOO_LONG.replace("maximum", "…").replace(" is ", " … ")),
    "like a key": (error("no key sk-aB3dE6gH9jK2mN5pQ8sT1v"), "Hello?", "no key …"),
    "long": (error("x y " * 100), "Hello?", "x y " * 50),
    "a long request": (error(TOO_LONG), "a" * (MAX_COMPARED + 1), "…"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_is_kept_of_a_message(name: str) -> None:
    answer, sent, kept = SAID[name]
    assert reason_of(answer, body(sent)) == kept


@settings(max_examples=300, deadline=None)
@given(st.text(min_size=4, max_size=60), st.text(max_size=20), st.data())
def test_no_part_of_what_was_sent_is_in_it(sent: str, around: str, data: st.DataObject) -> None:
    """Whatever piece is quoted, between whatever: four characters of a word in a row are nowhere."""
    start = data.draw(st.integers(0, len(sent) - 1))
    quoted = sent[start : data.draw(st.integers(start + 1, len(sent)))]
    found = reason_of(error(f"{around}'{quoted}'{around}"), body(sent))
    assert found.isprintable()
    low = sent.casefold()
    for word in re.findall(r"\w+", found):
        assert word.casefold() not in re.findall(r"\w+", low)
        assert not any(word.casefold()[at : at + 4] in low for at in range(len(word.casefold()) - 3))


def test_names_of_a_schema_are_the_client_s() -> None:
    schema = {"type": "object", "properties": {"diagnosis": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    found = reason_of(error("response_format: diagnosis is no name"), {"response_format": form})
    assert found == "response_format: … is no name"


def test_the_log_says_why_and_the_client_is_told_nothing(
    caplog: pytest.LogCaptureFixture, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with world(tmp_path_factory.mktemp("small")) as house:
        house.peer.answer = lambda body: Say(status=400, raw=error(f"{TOO_LONG} 'Hello?'"))
        assert "maximum" not in str(failure(house))
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert told == [f"the upstream refused the request (400): {TOO_LONG} '…?'"]


def test_the_upstream_s_key_is_not_in_it(caplog: pytest.LogCaptureFixture) -> None:
    with served(Peer(lambda body: Say(status=400, raw=error("`open-sesame` is no key here")))) as url:

        async def ask() -> None:
            upstream = HttpUpstream(url, api_key="open-sesame")
            try:
                async with upstream.send(UpstreamRequest("POST", "/v1/chat/completions", b"{}")) as response:
                    await check_status(response, False, body("Hello?"))
            finally:
                await upstream.aclose()

        with pytest.raises(UpstreamFault):
            asyncio.run(ask())
    assert caplog.records[-1].getMessage() == "the upstream refused the request (400): `…` is no key here"
