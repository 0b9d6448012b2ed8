"""The marks of calls that vLLM's parser of tools reads, and which of them are special tokens of the model.

Imported where vLLM runs, in the process of its server; vLLM itself is imported where it is asked.
"""
# vLLM leaves parts of its interfaces untyped, and is not installed where types are checked.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingModuleSource=false

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import marks_in, structural_tag

SHARED = ("vllm.tool_parsers.abstract_tool_parser", "vllm.parser.abstract_parser", "vllm.parser.engine")
"""Modules that are of every parser, and say nothing of a model's marks."""


@dataclass(frozen=True, slots=True)
class CallMarks:
    """``special`` are the special tokens that the parser's source names, and of these ``masked`` those that the mask
    has where calls stand, if vLLM asks for calls in their form where the model is free to call or not. Whether it does,
    ``ask`` sets; ``asks`` is how the server was started."""

    parser: str
    special: tuple[str, ...]
    masked: tuple[str, ...]
    asks: bool
    ask: Callable[[bool], None]


def call_marks(state: Any) -> CallMarks | None:
    """What is known of the marks of a server, from the state of its application; None of one that parses no calls."""
    composed: Any = getattr(state.online_renderer, "parser", None)
    parser = getattr(composed, "tool_parser_cls", None)
    if parser is None:
        return None
    tokenizer = state.online_renderer.renderer.get_tokenizer()
    ends = ends_in(state.vllm_config.model_config, tokenizer)
    known = dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
    names = [name for name, i in known.items() if i not in ends]
    special = tuple(name for name in names if any(name in text for text in texts_of(parser)))
    from vllm.tool_parsers.tool_strict_level import ToolStrictLevel

    at_start = composed.tool_strict_level

    def ask(wanted: bool) -> None:
        composed.tool_strict_level = ToolStrictLevel.FUNCTION if wanted else at_start

    level = at_start or getattr(parser, "default_tool_strict_level", None) or ToolStrictLevel.AUTO
    masked = _masked(parser, tokenizer, names)
    return CallMarks(str(state.args.tool_call_parser), special, masked, level >= ToolStrictLevel.FUNCTION, ask)


def ends_in(model_config: Any, tokenizer: Any) -> list[int]:
    from policykit.engines.vllm.backend import ends_of

    return ends_of(model_config, tokenizer)


def _masked(parser: Any, tokenizer: Any, names: list[str]) -> tuple[str, ...]:
    """The special tokens that stand in the structural tag of a parser where the model may call or not. None where the
    parser reads a text from which special tokens are dropped: their names are spelled out there."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.tool_parsers.tool_strict_level import ToolStrictLevel

    tool = {"type": "function", "function": {"name": "tool", "parameters": {"type": "object"}}}
    message = {"role": "user", "content": "?"}
    request = ChatCompletionRequest(messages=[message], tools=[tool], tool_choice="auto")
    made = parser(tokenizer, request.tools)
    tag = made.get_structural_tag(request, reasoning=False, strict_level=ToolStrictLevel.FUNCTION)
    if tag is None or made.adjust_request(request).skip_special_tokens:
        return ()
    try:
        return marks_in(structural_tag(json.dumps(tag.model_dump()), Place(parser.__name__)), names)
    except PolicyError:  # what is not masked at all has no marks in a mask
        return ()


def texts_of(parser: type[Any]) -> tuple[str, ...]:
    """The constant texts of a parser and of what it is made of: in their source, but for what describes them, and those
    that their modules take from elsewhere."""
    classes = list(parser.__mro__)
    engine = getattr(parser, "_parser_engine_cls", None)
    classes += engine.__mro__ if engine is not None else ()
    modules = dict.fromkeys(one.__module__ for one in classes)
    sources = (sys.modules[name] for name in modules if name != "builtins" and not name.startswith(SHARED))
    return tuple(text for module in sources for text in _constants(module))


def _constants(module: ModuleType) -> Iterable[str]:
    named: dict[str, object] = vars(module)
    yield from (value for name, value in named.items() if isinstance(value, str) and not name.startswith("__"))
    tree = ast.parse(inspect.getsource(module))
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value
