"""Every tool parser of vLLM is in the table; where a call is forced, the mask forces it, and vLLM reads it back."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import policykit as pk
from policykit import grammar
from policykit.diagnostics import Place
from policykit.grammar import GrammarValidator, structural_tag
from policykit.profiles import load_profiles
from policykit.serving.judging import Judge
from tests.engines.vllm.conftest import PROMPT
from tests.engines.vllm.plans import plan
from tests.engines.vllm.test_engine import forbidden, texts
from tests.engines.vllm.tool_parsers import Parser, parsers
from tests.serving.attacks.house import write

TABLE: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "tool_parsers.json").read_text())["parsers"]
TOOL = {
    "type": "function",
    "function": {
        "name": "order",
        "parameters": {
            "type": "object",
            "properties": {"what": {"type": "string"}, "n": {"type": "integer"}},
            "required": ["what"],
            "additionalProperties": False,
        },
    },
}
CHOICES = ("auto", "required", {"type": "function", "function": {"name": "order"}})
TAGGED = sorted({row["forced_by"]: name for name, row in TABLE.items() if "0.32" in row["versions"]}.items())
TAGGED = [name for tag, name in TAGGED if tag not in ("json", "nothing")]
BYTES = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b"<end>"], [256])
BEYOND_RULES = ("openai", "auto")
"""Where a tool says `strict`, which the guard never says, free text is asked for that nothing ends: refused."""


def wrong_with(version: str, found: dict[str, Parser]) -> list[str]:
    """What is not in the table, or is there otherwise."""
    rows = {name: row for name, row in TABLE.items() if version in row["versions"]}
    known = {name: Parser(row["module"], row["class"], row["forced_by"]) for name, row in rows.items()}
    return [f"{name}: {found.get(name)}" for name in sorted(found.keys() | known) if found.get(name) != known.get(name)]


@pytest.mark.vllm
@pytest.mark.parametrize("version", ["0.32", "0.33"])
def test_every_parser_is_in_the_table(version: str) -> None:
    import vllm

    installed = Path(str(vllm.__file__)).parent
    package = installed if version == "0.32" else Path(os.environ["POLICYKIT_VLLM_033"]) / "vllm"
    found = parsers(package)
    assert wrong_with(version, found) == []
    assert wrong_with(version, found | {"one_more": found["hermes"]}) != []
    assert wrong_with(version, {**found, "hermes": Parser("hermes_tool_parser", "Hermes2ProToolParser", "x")}) != []


@pytest.mark.vllm
def test_the_source_says_what_the_classes_are() -> None:
    from vllm.tool_parsers import ToolParserManager

    for name in ToolParserManager.list_registered():
        made = ToolParserManager.get_tool_parser(name)
        forced = made.structural_tag_model or ("json" if made.supports_required_and_named else "nothing")
        assert (made.__name__, forced) == (TABLE[name]["class"], TABLE[name]["forced_by"]), name


def asked(choice: Any, *, strict: bool = False) -> Any:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    tool = TOOL | {"function": TOOL["function"] | {"strict": True}} if strict else TOOL
    return ChatCompletionRequest(messages=[{"role": "user", "content": "x"}], tools=[tool], tool_choice=choice)


def tag_of(name: str, choice: Any, *, strict: bool = False) -> str | None:
    """What vLLM asks for of a request with one tool."""
    from vllm.tool_parsers import ToolParserManager
    from vllm.tool_parsers.structural_tag_registry import get_model_structural_tag
    from vllm.tool_parsers.tool_strict_level import ToolStrictLevel

    made = ToolParserManager.get_tool_parser(name)
    request = asked(choice, strict=strict)
    level = made.default_tool_strict_level or ToolStrictLevel.AUTO
    more = {"tools": request.tools, "tool_choice": request.tool_choice, "reasoning": False, "strict_level": level}
    found = get_model_structural_tag(made.structural_tag_model, **more)
    return None if found is None else json.dumps(found.model_dump())


@pytest.mark.vllm
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", TAGGED)
def test_the_tags_that_vllm_asks_for_can_be_masked(name: str, strict: bool) -> None:
    for choice in CHOICES:
        source = tag_of(name, choice, strict=strict)
        assert source is not None or (choice == "auto" and not strict)
        if source is None or (strict and (name, choice) == BEYOND_RULES):
            continue
        assert structural_tag(source, Place("tag")).lowered


def parser_of(name: str, tokenizer: Any) -> Any:
    """None where the model's own tokens are wanted, which this vocabulary has not; that of gpt-oss reads nothing."""
    from vllm.tool_parsers import ToolParserManager

    if name == "openai":
        return None
    try:
        return ToolParserManager.get_tool_parser(name)(tokenizer, asked("auto").tools)
    except (RuntimeError, ValueError, KeyError) as error:
        if "token" in str(error):
            return None
        raise


def called(parser: Any, text: str) -> Any:
    return parser.extract_tool_calls(text, asked("auto")).tool_calls


@pytest.mark.vllm
@pytest.mark.parametrize("name", TAGGED)
def test_what_is_forced_is_a_call(vllm: SimpleNamespace, name: str) -> None:
    """The engine writes it under mask and policy, and vLLM's parser finds the call; where the model's own tokens are
    wanted, which this vocabulary has not, the text is only of the tag."""
    source = tag_of(name, CHOICES[2])
    assert source is not None
    outputs = vllm.outputs(structural_tag=source)
    spec = structural_tag(source, Place("tag"))
    said = texts(vllm, [PROMPT] * 4, structured_outputs=outputs, max_tokens=160, temperature=0.7, seed=5)
    assert [text for text in said if forbidden(text)] == []
    ended = [text for text in said if not text.endswith("x")]
    assert all(grammar.matches(spec, text) for text in ended)
    made = parser_of(name, vllm.engine.get_tokenizer())
    for text in ended if made is not None else ():
        calls = called(made, text)
        assert [call.function.name for call in calls] == ["order"], text
        json.loads(calls[0].function.arguments)


SPELLED = {
    "hermes": (
        r'<tool_call>{"name": "order", "arguments": {"what": "\u0067uaranteed\u0020returns"}}</tool_call>',
        True,
    ),
    "pythonic": (r'[order(what="\x67uaranteed returns")]', True),
    "qwen3_coder": (
        "<tool_call>\n<function=order>\n<parameter=what>\nguaranteed returns\n</parameter>\n</function>\n</tool_call>",
        False,
    ),
    "glm45": (
        "<tool_call>order<arg_key>what</arg_key><arg_value>guaranteed returns</arg_value></tool_call>",
        False,
    ),
    "minimax_m2": (
        '<minimax:tool_call>\n<invoke name="order">\n<parameter name="what">guaranteed returns</parameter>\n</invoke>\n'
        "</minimax:tool_call>",
        False,
    ),
    "deepseek_v32": (
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="order">\n<｜DSML｜parameter name="what" string="true">'
        "guaranteed returns</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        False,
    ),
}
"""What a model may write where it calls or not (`auto`), and whether the mask, which reads it as text, admits it."""


@pytest.mark.vllm
@pytest.mark.parametrize("name", SPELLED)
def test_arguments_are_judged_as_the_parser_reads_them(vllm: SimpleNamespace, name: str, tmp_path: Path) -> None:
    """However they are spelled: what the parser makes of them, a client would get."""
    text, is_admitted = SPELLED[name]
    made = parser_of(name, vllm.engine.get_tokenizer())
    assert made is not None
    (call,) = called(made, text)
    assert json.loads(call.function.arguments) == {"what": "guaranteed returns"}
    write(tmp_path)
    profile = load_profiles(tmp_path).get("agent")
    assert profile is not None
    judge = Judge(plan(), plan(), profile, {}, ("order",), {"order": GrammarValidator(profile.tools[0].grammar)})
    verdict = judge.call("order", call.function.arguments)
    assert (verdict.decision, verdict.rules) == (pk.Decision.BLOCK, ("no-guarantees",))
    state = plan().constraint(BYTES).start()
    assert all(state.accept(byte) for byte in text.encode()) is is_admitted
