"""What is relied on in vLLM's source, place by place, and the check that it still stands there.

The check reads source text, so that it works on an installed vLLM as well as on an unpacked wheel.
"""

import ast
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from policykit.diagnostics import PolicyError

TESTED = ("0.32", "0.33")
"""Minor versions that the plugin is tested with."""
ALLOW_UNTESTED = "POLICYKIT_VLLM_UNTESTED"
"""Environment variable: `1` lets the plugin run on another version, where the source still fits."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One place in vLLM. ``says`` are statements or expressions (as `ast.unparse` writes them, parts of a line) that
    must stand in the body, ``args`` the first parameters of the function; ``why`` is what would break."""

    name: str
    module: str
    path: str
    args: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    why: str = ""


CONTRACTS = (
    Contract(
        "backend-names",
        "config/structured_outputs.py",
        "StructuredOutputsConfig",
        says=("backend: StructuredOutputsBackend = 'auto'", "enable_in_reasoning: bool = False"),
        why="the backend's name is added to a Literal that the configuration is checked against",
    ),
    Contract(
        "backend-literal",
        "config/structured_outputs.py",
        "",
        says=("StructuredOutputsBackend = Literal['auto', 'xgrammar', 'guidance', 'outlines', 'lm-format-enforcer']",),
        why="the Literal is replaced by one with our name; another list would be cut short",
    ),
    Contract(
        "request-validation",
        "sampling_params.py",
        "SamplingParams._validate_structured_outputs",
        ("self", "model_config", "structured_outputs_config", "tokenizer"),
        ("structured_outputs_config is None or self.structured_outputs is None",),
        "requests are checked, and get a grammar, where vLLM checks theirs",
    ),
    Contract(
        "validation-is-called",
        "sampling_params.py",
        "SamplingParams.verify",
        says=("self._validate_structured_outputs(model_config, structured_outputs_config, tokenizer)",),
        why="every request passes the check",
    ),
    Contract(
        "output-forms",
        "v1/structured_output/request.py",
        "get_structured_output_key",
        ("params",),
        (
            "StructuredOutputOptions.JSON, json_str",
            "StructuredOutputOptions.REGEX, params.regex",
            "StructuredOutputOptions.CHOICE, json_str",
            "StructuredOutputOptions.GRAMMAR, params.grammar",
        ),
        "a request's grammar is read in these forms",
    ),
    Contract(
        "always-on",
        "v1/structured_output/request.py",
        "StructuredOutputRequest.from_sampling_params",
        ("sampling_params",),
        ("return None", "StructuredOutputRequest(params=params)"),
        "the engine gives a grammar to every request that comes without one",
    ),
    Contract(
        "every-request",
        "v1/request.py",
        "Request.__init__",
        says=("self.structured_output_request = StructuredOutputRequest.from_sampling_params(sampling_params)",),
        why="every request of the engine asks whether it has a grammar",
    ),
    Contract(
        "adapters",
        "v1/request.py",
        "Request.__init__",
        says=("self.lora_request = lora_request",),
        why="what the adapter of a request was trained under is held against its plan",
    ),
    Contract(
        "adapter-paths",
        "lora/request.py",
        "LoRARequest",
        says=("lora_name: str", "lora_path: str"),
        why="an adapter is looked up in its folder",
    ),
    Contract(
        "served-adapters",
        "entrypoints/openai/models/serving.py",
        "OpenAIServingModels",
        says=("self.lora_requests: dict[str, LoRARequest] = {}",),
        why="the adapters that a server starts with are held against the profiles that name them",
    ),
    Contract(
        "served-adapters-state",
        "entrypoints/launchers/api_server/app_state.py",
        "",
        says=("state.openai_serving_models = OpenAIServingModels(", "init_static_loras()"),
        why="the guard finds the server's adapters there when it starts",
    ),
    Contract(
        "parser-of-calls",
        "renderers/online_renderer.py",
        "OnlineRenderer.__init__",
        says=("self.parser: type[Parser] | None = ParserManager.get_parser(",),
        why="what marks calls is read from the parser when the guard starts",
    ),
    Contract(
        "form-of-calls",
        "parser/abstract_parser.py",
        "DelegatingParser._apply_structural_tag",
        says=("strict_level = self.tool_strict_level", "strict_level=strict_level"),
        why="where marks of calls are special tokens, calls are asked for in their own form",
    ),
    Contract(
        "shown-marks",
        "v1/engine/detokenizer.py",
        "",
        says=("skip_special_tokens=self.skip_special_tokens",),
        why="special tokens are text where a request shows them",
    ),
    Contract(
        "listening",
        "entrypoints/launchers/launcher.py",
        "serve_http",
        says=("config.load()", "server = NoSignalServer(config", "app.state.server = server"),
        why="before it listens, the server is given connections that do not wait for ever for a client",
    ),
    Contract(
        "engine-process",
        "v1/engine/utils.py",
        "CoreEngineProcManager",
        says=("'EngineCore'",),
        why="an engine's process, which ends with its server, is known by its name",
    ),
    Contract(
        "manager",
        "v1/structured_output/__init__.py",
        "StructuredOutputManager.__init__",
        ("self", "vllm_config"),
        (
            *("self.backend: StructuredOutputBackend | None = None", "self.tokenizer = cached_tokenizer_from_config("),
            "self.executor = ThreadPoolExecutor(",
        ),
        "the backend is made with the manager, so that a wrong tokenizer stops the start, and so are its threads",
    ),
    Contract(
        "one-backend",
        "v1/structured_output/__init__.py",
        "StructuredOutputManager.grammar_init",
        ("self", "request"),
        ("if self.backend is None:", "self.executor.submit(self._create_grammar, request)"),
        "a backend that is there is not replaced",
    ),
    Contract(
        "compilation",
        "v1/structured_output/__init__.py",
        "StructuredOutputManager._create_grammar",
        ("self", "request"),
        ("structured_output_key", "self.backend.compile_grammar("),
        "masks are made here, where the request's extra arguments are still known",
    ),
    Contract(
        "no-grammar-no-mask",
        "v1/structured_output/__init__.py",
        "StructuredOutputManager._fill_bitmasks",
        says=("not grammar.is_terminated()", "grammar.fill_bitmask(self._grammar_bitmask, index)"),
        why="rows of a grammar that says it is terminated are left open; ours never says so",
    ),
    Contract(
        "in-reasoning",
        "v1/structured_output/__init__.py",
        "StructuredOutputManager._get_constraint_bounds",
        says=("if self.enable_in_reasoning:\n    return _CONSTRAINED_FROM_START",),
        why="reasoning text is masked as well",
    ),
    Contract(
        "failed-masks",
        "v1/core/sched/scheduler.py",
        "Scheduler",
        says=("isinstance(struct_output_req.grammar, Exception)", "self.grammar_compile_error_reqs"),
        why="a mask that cannot be made fails its request, not the engine",
    ),
    Contract(
        "ends",
        "v1/core/sched/scheduler.py",
        "Scheduler._free_request",
        ("self", "request"),
        ("self.finished_req_ids.add(request_id)",),
        "the guard is told what a mask did when its request is freed",
    ),
    Contract(
        "reasons",
        "v1/core/sched/scheduler.py",
        "Scheduler.update_from_output",
        ("self", "scheduler_output", "model_runner_output"),
        (
            *("request.status = RequestStatus.FINISHED_ERROR", "error_req_ids, RequestStatus.FINISHED_ERROR"),
            "EngineCoreOutputs(outputs=outs)",
        ),
        "the last output of a request that failed in this step is given the reason",
    ),
    Contract(
        "reason-in-outputs",
        "v1/engine/output_processor.py",
        "OutputProcessor.process_outputs",
        says=("stop_reason = engine_core_output.stop_reason",),
        why="the reason goes to the front end as what a text stopped at",
    ),
    Contract(
        "reasons-raised",
        "v1/engine/async_llm.py",
        "AsyncLLM.generate",
        ("self", "prompt", "sampling_params", "request_id"),
        ("except (asyncio.CancelledError, GeneratorExit):", "await self.abort(q.request_id, internal=True)"),
        "what the engine said is raised for the request, and the rest of it ended",
    ),
    Contract(
        "requests-added",
        "v1/engine/async_llm.py",
        "AsyncLLM.generate",
        says=("q = await self.add_request(",),
        why="a request without a grammar is known to be right when the engine has it",
    ),
    Contract(
        "settled-streams",
        "entrypoints/generate/base/serving.py",
        "GenerateBaseServing._with_kv_transfer_rejection_cleanup",
        ("self", "awaitable"),
        ("return await awaitable",),
        "no stream begins before it is known whether there is a mask",
    ),
    Contract(
        "settled-tokens",
        "entrypoints/scale_out/token_in_token_out/serving.py",
        "ServingTokens.serve_tokens",
        says=("result_generator = self.engine_client.generate(", "return self.serve_tokens_stream_generator("),
        why="streams of token ids are given out there",
    ),
    *(
        Contract(
            f"settled-{name}",
            f"entrypoints/openai/{name}/serving.py",
            "",
            says=(f"return await self._with_kv_transfer_rejection_cleanup(self._create_{what}(",),
            why="streams of this route are given out there",
        )
        for name, what in (
            ("chat_completion", "chat_completion"),
            ("completion", "completion"),
            ("responses", "responses"),
        )
    ),
    *(
        Contract(
            f"beams-{name.lower()}",
            f"entrypoints/generate/beam_search/{name.lower()}.py",
            f"BeamSearch{name}Mixin.beam_search",
            ("self",),
            (says,),
            "beam search is refused where it begins",
        )
        for name, says in (("Online", "self.engine_client."), ("Offline", "self.llm_engine."))
    ),
    Contract(
        "interface",
        "v1/structured_output/backend_types.py",
        "StructuredOutputGrammar",
        says=(
            "def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:",
            "def validate_tokens(self, tokens: list[int]) -> list[int]:",
            "def rollback(self, num_tokens: int) -> None:",
            "def fill_bitmask(self, bitmask: 'torch.Tensor', batch_index: int) -> None:",
            "def is_terminated(self) -> bool:",
            "def reset(self):",
        ),
        why="what a grammar must do",
    ),
)


def check_version(version: str) -> None:
    """Raises PolicyError (PK744) for a version that the plugin is not tested with, unless the environment allows it."""
    minor = ".".join(version.split("+")[0].split(".")[:2])
    if minor in TESTED or os.environ.get(ALLOW_UNTESTED) == "1":
        return
    raise PolicyError.of(
        "PK744",
        f"policykit is tested with vLLM {' and '.join(TESTED)}, this is {version}",
        help=f"install one of these, or set {ALLOW_UNTESTED}=1: the source is still checked",
    )


def check_source(package: Path, contracts: Sequence[Contract] = CONTRACTS) -> None:
    """Raises PolicyError (PK745) with every place of vLLM's source that no longer says what is relied on.

    ``package`` is the folder `vllm`.
    """
    broken = [f"{contract.name}: {problem}" for contract in contracts if (problem := _problem(package, contract))]
    if broken:
        raise PolicyError.of(
            "PK745",
            f"vLLM's source has changed where policykit takes hold of it: {'; '.join(broken)}",
            help="use a vLLM version that policykit is tested with",
        )


def _problem(package: Path, contract: Contract) -> str | None:
    try:
        tree = ast.parse((package / contract.module).read_text("utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        return f"`{contract.module}` cannot be read ({error})"
    node = _at(tree, contract.path)
    if node is None:
        return f"`{contract.module}` has no `{contract.path}`"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        args = tuple(arg.arg for arg in node.args.args)
        if contract.args and args[: len(contract.args)] != contract.args:
            return f"`{contract.path}` takes {', '.join(args)}"
    text = _flat(ast.unparse(node))
    gone = [said for said in contract.says if _flat(said) not in text]
    return f"`{contract.path or contract.module}` no longer says `{gone[0]}`" if gone else None


def _flat(text: str) -> str:
    return " ".join(text.split())


def _at(tree: ast.Module, path: str) -> ast.AST | None:
    node: ast.AST | None = tree
    for name in path.split(".") if path else ():
        body: list[ast.stmt] = getattr(node, "body", [])
        named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        node = next((child for child in body if isinstance(child, named) and child.name == name), None)
        if node is None:
            return None
    return node
