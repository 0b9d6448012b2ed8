"""The `vllm.general_plugins` entry point: ten places of vLLM changed, each once, in every process that loads it.

The changes do nothing in an engine whose backend is not ours.
"""
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingModuleSource=false
# pyright: reportPrivateUsage=false, reportConstantRedefinition=false

import functools
import logging
import os
import threading
from functools import partial
from pathlib import Path
from typing import Any, Literal

from policykit.diagnostics import PolicyError
from policykit.engines.attest import Reply
from policykit.engines.vllm import BACKEND, refusals
from policykit.engines.vllm.adapters import Adapter
from policykit.engines.vllm.contracts import check_source, check_version
from policykit.engines.vllm.grammars import FREE
from policykit.engines.vllm.parent import end_with_parent
from policykit.engines.vllm.plans import Checks, Plans
from policykit.engines.vllm.requests import asked, check_unseen, refused
from policykit.engines.vllm.text import tell_failed, told
from policykit.engines.vllm.threads import Threads
from policykit.plan import RequestBounds, request_compilers

_MARK = "_policykit"
ABOUT_PLANS = ("PK740", "PK741", "PK746", "PK749")
"""Codes of errors in what says under which plan a request is decoded."""
_log = logging.getLogger("vllm.policykit")


def load() -> None:
    """The entry point: :func:`install`, except that a vLLM that it does not fit goes on without us.

    Our backend then has no name, and an engine that is to use it does not start; engines that never asked for it do.
    """
    try:
        install()
    except PolicyError as error:
        _log.error("the backend `%s` is not available: %s", BACKEND, error)


def install() -> None:
    """Make vLLM know the backend. Raises PolicyError (PK744, PK745) for a vLLM that it does not fit.

    May be called any number of times.
    """
    import vllm
    from vllm.config.structured_outputs import StructuredOutputsConfig

    if getattr(StructuredOutputsConfig, _MARK, False):
        return
    check_version(str(vllm.__version__))  # pyright: ignore[reportAttributeAccessIssue]
    check_source(Path(vllm.__file__).parent)
    _name_the_backend()
    _check_requests()
    _mask_every_request()
    _make_the_backend()
    _make_masks()
    _tell_ends()
    _tell_reasons()
    _raise_reasons()
    _settle_streams()
    _refuse_beams()
    setattr(StructuredOutputsConfig, _MARK, True)


def is_ours(vllm_config: Any) -> bool:
    return vllm_config is not None and vllm_config.structured_outputs_config.backend == BACKEND


def _name_the_backend() -> None:
    """Patch 1: the configuration takes our name."""
    import vllm.config.structured_outputs as module
    from pydantic.dataclasses import rebuild_dataclass
    from vllm.config import VllmConfig

    config = module.StructuredOutputsConfig
    names = Literal["auto", "xgrammar", "guidance", "outlines", "lm-format-enforcer", "policykit"]
    module.StructuredOutputsBackend = names
    config.__annotations__["backend"] = names
    config.__dataclass_fields__["backend"].type = names
    fields = getattr(config, "__pydantic_fields__", {})
    if "backend" in fields:
        fields["backend"].annotation = names
    rebuild_dataclass(config, force=True)
    rebuild_dataclass(VllmConfig, force=True)


def _check_requests() -> None:
    """Patch 2: in the front end a request is refused with a reason before the engine sees it."""
    import msgspec
    from vllm.exceptions import VLLMValidationError
    from vllm.sampling_params import SamplingParams, StructuredOutputsParams

    from policykit.engines.vllm.backend import dead_end_of

    validate = SamplingParams._validate_structured_outputs
    names = [field.name for field in msgspec.structs.fields(SamplingParams)]
    plans = Plans.of_environment()
    checks = Checks(plans)

    @functools.wraps(validate)
    def checked(self: Any, model_config: Any, structured_outputs_config: Any, tokenizer: Any) -> None:
        if structured_outputs_config is None or structured_outputs_config.backend != BACKEND:
            return validate(self, model_config, structured_outputs_config, tokenizer)
        if tokenizer is None or model_config.is_diffusion:
            raise VLLMValidationError("policies need a tokenizer, and a model that writes from left to right")
        wrong = refused(self, SamplingParams(), names)
        if wrong:
            raise VLLMValidationError("; ".join(wrong))
        if self.structured_outputs is None or self.structured_outputs.all_constraints_none():
            self.structured_outputs = StructuredOutputsParams(regex=FREE)
        self.structured_outputs._backend = BACKEND
        option, source = _key(self.structured_outputs)
        try:
            checks.check(asked(self.extra_args), option, source)
        except PolicyError as error:
            tell_refused(plans.run, self.extra_args, error)
            parameter = "vllm_xargs" if error.diagnostics[0].code in ABOUT_PLANS else "structured_outputs"
            raise VLLMValidationError(str(error), parameter=parameter) from error
        _stop_at(self, dead_end_of(model_config, tokenizer, option, source))
        return None

    SamplingParams._validate_structured_outputs = checked


def _stop_at(params: Any, dead_end: int | None) -> None:
    if dead_end is not None and dead_end not in (params.stop_token_ids or ()):
        params.stop_token_ids = [*(params.stop_token_ids or ()), dead_end]
        params._all_stop_token_ids.add(dead_end)


def tell_refused(run: Path | None, extra_args: Any, error: PolicyError) -> None:
    """Tell the guard why, which hears no more of it than the status of vLLM's answer."""
    try:
        request = asked(extra_args)
    except PolicyError:
        return
    if request is not None:
        tell_failed(Reply.to(run, request.reply), request, "", error)


def _key(params: Any) -> tuple[str, str]:
    from vllm.v1.structured_output.request import get_structured_output_key

    option, source = get_structured_output_key(params)
    return option.name, source


_always_on = False


def _mask_every_request() -> None:
    """Patch 3: in the engine a request without a grammar gets one, whatever way it came."""
    from vllm.sampling_params import StructuredOutputsParams
    from vllm.v1.structured_output.request import StructuredOutputRequest

    make = StructuredOutputRequest.from_sampling_params

    @functools.wraps(make)
    def from_sampling_params(sampling_params: Any) -> Any:
        if _always_on and sampling_params is not None:
            if not sampling_params.structured_outputs or sampling_params.structured_outputs.all_constraints_none():
                sampling_params.structured_outputs = StructuredOutputsParams(regex=FREE)
            sampling_params.structured_outputs._backend = BACKEND
        return make(sampling_params)

    StructuredOutputRequest.from_sampling_params = staticmethod(from_sampling_params)


def _make_the_backend() -> None:
    """Patch 4: the backend stands before the first request, so that what it cannot do stops the start; and masks are
    made in threads of ours, where one that takes long keeps no other waiting."""
    from vllm.v1.structured_output import StructuredOutputManager

    make = StructuredOutputManager.__init__

    @functools.wraps(make)
    def init(self: Any, vllm_config: Any) -> None:
        global _always_on
        make(self, vllm_config)
        if not is_ours(vllm_config):
            return
        if vllm_config.model_config.skip_tokenizer_init:
            message = "policies need the tokenizer, which `--skip-tokenizer-init` leaves out"
            raise PolicyError.of("PK747", message, help="leave the flag out")
        from policykit.engines.vllm.backend import PolicyBackend

        size = vllm_config.model_config.get_vocab_size()
        self.backend = PolicyBackend(vllm_config, tokenizer=self.tokenizer, vocab_size=size)
        self.backend_name = BACKEND
        self.executor.shutdown()
        self.executor = Threads(partial(_is_quick, self.backend))
        threading.Thread(target=request_compilers().start, name="policykit-compilers", daemon=True).start()
        self.enable_in_reasoning = True  # reasoning is text that the model writes
        _always_on = True
        end_with_parent()

    StructuredOutputManager.__init__ = init


def _is_quick(backend: Any, request: Any) -> bool:
    option, source = request.structured_output_request.structured_output_key
    extra = request.sampling_params.extra_args if request.sampling_params else None
    return backend.is_quick(extra, option.name, source)


def _make_masks() -> None:
    """Patch 5: a mask is made where the request is still at hand."""
    from vllm.sampling_params import SamplingParams
    from vllm.v1.structured_output import StructuredOutputManager

    create = StructuredOutputManager._create_grammar

    @functools.wraps(create)
    def create_grammar(self: Any, request: Any) -> Any:
        if not is_ours(self.vllm_config):
            return create(self, request)
        params = request.sampling_params
        extra = params.extra_args if params is not None else None
        with told(self.backend.plans.run, extra, request.request_id):
            option, source = request.structured_output_request.structured_output_key
            if params is not None:
                check_unseen(params, SamplingParams())
                _stop_at(params, self.backend.dead_end_of(option.name, source))
            prompt, lora = request.prompt_token_ids or (), request.lora_request
            adapter = None if lora is None else Adapter(lora.lora_name, lora.lora_path)
            shown = params is not None and not params.skip_special_tokens
            about = (extra, option.name, source, prompt, adapter)
            return self.backend.mask(request.request_id, *about, shows_special=shown)

    StructuredOutputManager._create_grammar = create_grammar


def _tell_ends() -> None:
    """Patch 6: the guard hears of the end when vLLM frees the request, not when its last reference goes."""
    from vllm.v1.core.sched.scheduler import Scheduler

    free = Scheduler._free_request

    @functools.wraps(free)
    def free_request(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        freed = free(self, request, *args, **kwargs)
        asked = request.structured_output_request
        grammar = None if asked is None else asked.grammar
        if request.status.name == "FINISHED_ERROR":
            reason = refusals.render(grammar) if isinstance(grammar, Exception) else getattr(grammar, "reason", None)
            if reason is not None and is_ours(self.vllm_config):
                _reasons[request.request_id] = reason
        tell_end = getattr(grammar, "tell_end", None)
        if tell_end is not None:
            tell_end()
        return freed

    Scheduler._free_request = free_request


_reasons: dict[str, str] = {}
"""Of requests that are freed in this step of the engine."""


def _tell_reasons() -> None:
    """Patch 7: a request's last output says why it failed, and has no token that its mask does not."""
    from vllm.v1.core.sched.scheduler import Scheduler

    update = Scheduler.update_from_output

    @functools.wraps(update)
    def update_from_output(self: Any, *args: Any, **kwargs: Any) -> Any:
        _reasons.clear()
        said = update(self, *args, **kwargs)
        if _reasons:
            for output in (output for outputs in said.values() for output in outputs.outputs):
                if output.finish_reason is not None and output.request_id in _reasons:
                    output.stop_reason = _reasons[output.request_id]
                    output.new_token_ids, output.new_logprobs = [], None
                    if hasattr(output, "error"):  # vLLM 0.33 has a reason of its own, of grammars only
                        output.error = None
        return said

    Scheduler.update_from_output = update_from_output


def _raise_reasons() -> None:
    """Patch 8: the front end raises what the engine said: a 400 where a grammar was refused."""
    from vllm.exceptions import GenerationError, VLLMValidationError
    from vllm.v1.engine.async_llm import AsyncLLM

    generate, add = AsyncLLM.generate, AsyncLLM.add_request

    def error_of(reason: refusals.Reason) -> Exception:
        if reason.is_fault:
            return GenerationError(reason.message)
        return VLLMValidationError(reason.message, parameter="structured_outputs")

    @functools.wraps(generate)
    def raising(self: Any, prompt: Any, sampling_params: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = generate(self, prompt, sampling_params, *args, **kwargs)
        if not is_ours(self.vllm_config):
            return outputs
        asked, n = getattr(sampling_params, "structured_outputs", None), getattr(sampling_params, "n", 1)
        return refusals.explained(outputs, refusals.begun(waits=asked is not None), error_of, n)

    @functools.wraps(add)
    async def adding(self: Any, *args: Any, **kwargs: Any) -> Any:
        added = await add(self, *args, **kwargs)
        refusals.added()
        return added

    AsyncLLM.generate, AsyncLLM.add_request = raising, adding


def _settle_streams() -> None:
    """Patch 9: no stream begins before it is known whether its request has a mask, or that takes longer than grammars
    may."""
    from vllm.entrypoints.generate.base.serving import GenerateBaseServing
    from vllm.entrypoints.scale_out.token_in_token_out.serving import ServingTokens

    bounds = RequestBounds.read(os.environ).bounds
    longest_s = bounds.deadline_s + 2 * bounds.wait_s
    for owner, name in (
        (GenerateBaseServing, "_with_kv_transfer_rejection_cleanup"),  # chats, completions, responses, messages
        (ServingTokens, "serve_tokens"),
    ):
        setattr(owner, name, _settling(getattr(owner, name), longest_s))


def _settling(serve: Any, longest_s: float) -> Any:
    @functools.wraps(serve)
    async def settled(self: Any, *args: Any, **kwargs: Any) -> Any:
        served = serve(self, *args, **kwargs)
        return await (refusals.settled(served, longest_s) if is_ours(self.engine_client.vllm_config) else served)

    return settled


def _refuse_beams() -> None:
    """Patch 10: beam search asks anew for each token, so that a grammar would begin at its start each time."""
    from vllm.entrypoints.generate.beam_search.offline import BeamSearchOfflineMixin
    from vllm.entrypoints.generate.beam_search.online import BeamSearchOnlineMixin

    def config_online(self: Any) -> Any:
        return self.engine_client.vllm_config

    def config_offline(self: Any) -> Any:
        return self.llm_engine.vllm_config

    for owner, config_of in ((BeamSearchOnlineMixin, config_online), (BeamSearchOfflineMixin, config_offline)):
        owner.beam_search = _refusing_beams(owner.beam_search, config_of)


def _refusing_beams(search: Any, config_of: Any) -> Any:
    from vllm.exceptions import VLLMValidationError

    @functools.wraps(search)
    def beam_search(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_ours(config_of(self)):
            message = "beam search is not served under a policy: it asks anew for each token, and no grammar goes on"
            raise VLLMValidationError(message, parameter="use_beam_search")
        return search(self, *args, **kwargs)

    return beam_search
