"""What marks calls, asked of the real parsers of vLLM, composed as its server composes them."""

from types import SimpleNamespace
from typing import Any

import pytest

from policykit.engines.vllm.tool_marks import call_marks
from tests.engines.vllm.test_tool_parsers import asked
from tests.serving.marked_model import marked_model

pytestmark = pytest.mark.vllm
HERMES = ("<tool_call>", "</tool_call>")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(marked_model(tmp_path_factory.mktemp("model"))))


def state(tokenizer: Any, parser: str, level: str = "auto") -> Any:
    """As much of the state of vLLM's application as is asked."""
    from vllm.parser import ParserManager

    about: dict[str, Any] = {"tool_parser_name": parser, "enable_auto_tools": True, "tool_strict_level": level}
    composed = ParserManager.get_parser(**about, tokenizer=tokenizer)
    renderer = SimpleNamespace(parser=composed, renderer=SimpleNamespace(get_tokenizer=lambda: tokenizer))
    model = SimpleNamespace(try_get_generation_config=lambda: {"eos_token_id": tokenizer.eos_token_id})
    args, config = SimpleNamespace(tool_call_parser=parser), SimpleNamespace(model_config=model)
    return SimpleNamespace(online_renderer=renderer, args=args, vllm_config=config)


@pytest.mark.parametrize(
    ("parser", "special", "masked"),
    [
        ("hermes", HERMES, HERMES),
        ("qwen3_coder", HERMES, HERMES),
        ("mistral", ("[TOOL_CALLS]",), ()),
        ("pythonic", (), ()),
    ],
)
def test_the_marks_of_a_parser(tokenizer: Any, parser: str, special: tuple[str, ...], masked: tuple[str, ...]) -> None:
    found = call_marks(state(tokenizer, parser))
    assert found is not None
    assert (found.parser, found.special, found.masked, found.asks) == (parser, special, masked, False)


def test_a_server_that_was_started_with_a_level(tokenizer: Any) -> None:
    found = call_marks(state(tokenizer, "hermes", "function"))
    assert found is not None
    assert found.asks


def test_whoever_asks_has_calls_in_their_form(tokenizer: Any) -> None:
    made = state(tokenizer, "hermes")
    found = call_marks(made)
    assert found is not None

    def tag() -> str | None:
        request = made.online_renderer.parser(tokenizer, asked("auto").tools).adjust_request(asked("auto"))
        assert request.skip_special_tokens is False
        return request.structured_outputs and request.structured_outputs.structural_tag

    assert tag() is None
    found.ask(True)
    assert "<tool_call>" in str(tag())
    found.ask(False)
    assert tag() is None


def test_a_server_without_a_parser_has_no_marks(tokenizer: Any) -> None:
    assert call_marks(SimpleNamespace(online_renderer=SimpleNamespace(parser=None))) is None
