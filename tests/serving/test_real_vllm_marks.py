"""The real vLLM with a model whose marks of calls are special tokens: calls come, marked by these tokens."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from tokenizers import Tokenizer

from policykit.audit import open_reader, parse, verify_log
from policykit.audit.replay import replay_masks
from policykit.diagnostics import Place
from policykit.grammar import structural_tag
from policykit.plan import Plan, load_plan
from policykit.profiles import load_profiles
from tests.serving.attacks.house import write
from tests.serving.attacks.oracle import forbidden_in
from tests.serving.attacks.test_real_vllm import write_keys
from tests.serving.marked_model import MARKS, marked_model
from tests.serving.real_vllm import Server, command, vllm_served

pytestmark = pytest.mark.vllm
AGENT = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: agent, version: 1.0.0, owner: a@example.org, why: calls whose arguments are soon written}
task: agent
policies: [house.policy.yaml]
limits: {timeoutSeconds: 100, attempts: 3}
fallback: I cannot do that.
tools:
  - name: fetch
    arguments:
      type: object
      properties: {what: {enum: [tea, coffee, guaranteed returns]}}
      required: [what]
      additionalProperties: false
"""
TOOLS: Any = [{"type": "function", "function": {"name": "fetch"}}]
NAMED: Any = {"type": "function", "function": {"name": "fetch"}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return marked_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("marks")
    write(folder)
    write_keys(folder)
    (folder / "agent.profile.yaml").write_text(AGENT, "utf-8")

    def started(port: int, *more: str) -> list[str]:
        said = command(port, *more)
        said[said.index("serve") + 1] = str(model)
        return said

    more = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--tool-strict-level", "parameter")
    with vllm_served(folder, more, {"POLICYKIT_LOG_REPLAY": "1"}, started) as found:
        yield found


def said(server: Server, choice: Any, stream: bool, seed: int) -> tuple[str, list[tuple[str, str]], str, str]:
    """Content, calls, the end and the record of one answer."""
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="key-acme", max_retries=0, timeout=120)
    messages: Any = [{"role": "user", "content": "Hello, what returns?"}]
    asked: Any = {"model": "profile:agent", "messages": messages, "tools": TOOLS, "tool_choice": choice, "seed": seed}
    asked |= {"max_tokens": 60, "temperature": 1.0, "stream": stream}
    answer: Any = client.chat.completions.create(**asked)
    if not stream:
        one = answer.choices[0]
        calls = [(call.function.name, call.function.arguments) for call in one.message.tool_calls or ()]
        return one.message.content or "", calls, one.finish_reason, answer.model_extra["policykit"]["record"]
    content, end, record = "", "", ""
    found: dict[int, list[str]] = {}
    for event in answer:
        record = (event.model_extra or {}).get("policykit", {}).get("record", record)
        for one in event.choices:
            content += one.delta.content or ""
            end = one.finish_reason or end
            for call in one.delta.tool_calls or ():
                name, arguments = found.setdefault(call.index, ["", ""])
                found[call.index] = [name + (call.function.name or ""), arguments + (call.function.arguments or "")]
    return content, [(name, arguments) for name, arguments in found.values()], end, record


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["auto", "required", NAMED], ids=["auto", "required", "named"])
def test_calls_come_and_hold_nothing_forbidden(server: Server, choice: Any, stream: bool) -> None:
    seeds = range(16 if choice == "auto" else 4)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda seed: said(server, choice, stream, seed), seeds))
    called = [calls for _, calls, _, _ in answers if calls]
    for content, calls, end, _ in answers:
        assert not forbidden_in(content + " ".join(arguments for _, arguments in calls))
        assert all(mark not in content for mark in MARKS) or end in ("length", "content_filter")
        for name, arguments in calls:
            assert name == "fetch"
            assert json.loads(arguments)["what"] in ("tea", "coffee")
        assert choice == "auto" or len(calls) >= 1
    assert len(called) >= 2, answers


def plans(server: Server) -> dict[str, Plan]:
    """The plans that the engine made of the profile's and of what vLLM asked for, by digest."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.tool_parsers.structural_tag_registry import get_model_structural_tag
    from vllm.tool_parsers.tool_strict_level import ToolStrictLevel

    profile = load_profiles(server.folder).get("agent")
    assert profile is not None
    function = {"name": "fetch", "parameters": profile.tools[0].parameters}
    found: dict[str, Plan] = {}
    for choice in ("auto", "required", NAMED):
        message = {"role": "user", "content": "?"}
        asked = ChatCompletionRequest(
            messages=[message], tools=[{"type": "function", "function": function}], tool_choice=choice
        )
        about = {"tools": asked.tools, "tool_choice": asked.tool_choice, "reasoning": False}
        tag = get_model_structural_tag("hermes", **about, strict_level=ToolStrictLevel.PARAMETER)
        assert tag is not None
        source = json.dumps(tag.model_dump())
        for path in (server.folder / "run" / "plans").glob("*.json"):
            made = load_plan(path).with_grammar(structural_tag(source, Place("tag")))
            found[made.digest] = made
    return found


def test_marks_were_special_tokens_and_can_be_computed_again(server: Server, model: Path) -> None:
    """What the engine says that it wrote, from the log: a call begins and ends with these tokens, nothing else is
    special or spells a mark, and the masks come out the same again."""
    reader = open_reader(server.folder / "log")
    assert verify_log(reader).fault is None
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    begin, end, other = (tokenizer.token_to_id(mark) for mark in MARKS)
    known, n_calls, replayed = plans(server), 0, set[str]()
    for record in (parse(row.record) for row in reader.rows()):
        for data in record.replay:
            marks = [i for i in data.token_ids if i in (begin, end, other)]
            assert marks == [begin, end] * (len(marks) // 2) + [begin] * (len(marks) % 2)
            assert "tool_call" not in tokenizer.decode([i for i in data.token_ids if i not in marks])
            n_calls += len(marks) // 2
            if marks and data.plan_digest not in replayed:
                again = replay_masks(record, known[data.plan_digest], model / "tokenizer.json")
                assert all(one.permitted and one.agrees for one in again)
                replayed.add(data.plan_digest)
    assert n_calls >= 12
    assert replayed == known.keys(), "one each of auto, required and named"
    assert server.is_healthy
