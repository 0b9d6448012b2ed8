"""The structured-output backend and what it does with one request. Imported only where vLLM runs."""
# vLLM and torch leave parts of their interfaces untyped, and neither is installed where types are checked.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUntypedBaseClass=false
# pyright: reportMissingModuleSource=false

import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from vllm.v1.structured_output.backend_types import (
    StructuredOutputBackend,
    StructuredOutputGrammar,
    StructuredOutputOptions,
)

from policykit.constraint import State, Vocabulary
from policykit.constraint.watching import every
from policykit.diagnostics import InternalError, PolicyError
from policykit.engines import attest
from policykit.engines.mask_time import check_first
from policykit.engines.prompts import check_continued, tail_of_prompt
from policykit.engines.purses import Purses
from policykit.engines.vllm import refusals
from policykit.engines.vllm.adapters import Adapter, AdapterPins
from policykit.engines.vllm.alone import FailsAlone
from policykit.engines.vllm.attempts import FreeText
from policykit.engines.vllm.grammars import unread
from policykit.engines.vllm.plans import Constraints, Plans
from policykit.engines.vllm.requests import asked, dead_end_token, is_named
from policykit.engines.vllm.sampling import check_mode
from policykit.engines.vllm.text import ChoiceText, MaskedText, tell_end, tell_failed
from policykit.engines.written import Written
from policykit.plan import Plan, WarmSets


class PolicyGrammar(StructuredOutputGrammar):
    """vLLM's interface over a :class:`MaskedText`."""

    def __init__(self, text: FailsAlone) -> None:
        self._text = text
        self._has_rejected = False
        self.tell_end: Callable[[], object] | None = None  # tells the guard, once

    @property
    def reason(self) -> str | None:
        """Why vLLM had to end the text as failed, if that was for something here."""
        if self._text.error is not None:
            return refusals.render(self._text.error)
        return refusals.NOT_ALLOWED if self._has_rejected else None

    def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:
        self._has_rejected = not self._text.accept(tokens)
        return not self._has_rejected

    def validate_tokens(self, tokens: list[int]) -> list[int]:
        return self._text.allowed_prefix(tokens)

    def rollback(self, num_tokens: int) -> None:
        self._text.rollback(num_tokens)

    def fill_bitmask(self, bitmask: torch.Tensor, batch_index: int) -> None:
        self._text.fill(bitmask[batch_index].numpy())

    def is_terminated(self) -> bool:
        return False  # vLLM lifts the mask of a grammar that says so

    def reset(self) -> None:
        self._text.rollback(self._text.n_tokens)


class PolicyBackend(StructuredOutputBackend):
    """Masks by plans. Raises PolicyError when it is made for a tokenizer that no mask can hold for."""

    def __init__(self, vllm_config: Any, tokenizer: Any, vocab_size: int) -> None:
        super().__init__(vllm_config, tokenizer=tokenizer, vocab_size=vocab_size)
        if attest.draws_attempts():
            check_mode(vllm_config.model_config)
        ends = ends_of(vllm_config.model_config, tokenizer)
        size = max(vocab_size, len(tokenizer))
        vocabulary = Vocabulary.from_tokenizer(tokenizer, size=size, eos_ids=ends)
        self.plans = Plans.of_environment()
        warm = WarmSets.of_environment()
        self.constraints = Constraints(vocabulary, warm)
        self._shown = Constraints(vocabulary.showing_special(), warm)
        self.adapters = AdapterPins()
        self.dead_end_of = partial(dead_end_of, vllm_config.model_config, tokenizer)
        self._purses = Purses()

    def compile_grammar(
        self, request_type: StructuredOutputOptions, grammar_spec: str, stop_token_ids: set[int] | None = None
    ) -> StructuredOutputGrammar:
        """vLLM's own way in, which does not know the request: only the default plan can be meant."""
        return self.mask("", None, request_type.name, grammar_spec, ())

    def is_quick(self, extra_args: Any, option: str, source: str) -> bool:
        """Whether the mask of a request is made at once, or refused at once: its plan has been used before, and its
        text begins where the grammar's does."""
        try:
            request = asked(extra_args)
            plan = self.plans.kept(request, option, source)
        except PolicyError:
            return True
        return plan is not None and not _begins(request) and self._purses.is_quick(plan.digest)

    def mask(
        self,
        child: str,
        extra_args: Any,
        option: str,
        source: str,
        prompt_token_ids: Sequence[int],
        adapter: Adapter | None = None,
        *,
        shows_special: bool = False,
    ) -> StructuredOutputGrammar:
        """The mask of one choice. ``shows_special``: its text will have special tokens by their names, so that a
        structural tag's marks are such tokens. Raises PolicyError where there can be none."""
        request = asked(extra_args)
        plan = self.plans.plan(request, option, source)
        if adapter is not None:
            self.adapters.check(adapter, plan)
        prefix, in_grammar = self._prefix(request, prompt_token_ids)
        with self.plans.names(request):
            constraint = (self._shown if shows_special else self.constraints).of(plan)
        # What the engine makes of a profile's own tools is the operator's; the guard knows whose they are.
        is_own = request.own_grammar if request is not None else unread(option, source) is not None
        payer = request.payer if request else ""
        with self._purses.first_mask(plan.digest, payer, is_own, begins=_begins(request)) as spent:
            began = time.thread_time()
            check = partial(check_first, began)
            state = constraint.start(prefix, prefix_in_grammar=in_grammar, check=check)
            text = self._text(request, state, prompt_token_ids, self.dead_end_of(option, source), check)
            self._make_ready(plan, state, began)
        reply = attest.Reply.to(self.plans.run, request.reply if request else "")
        grammar = PolicyGrammar(FailsAlone(text, partial(tell_failed, reply, request, child), spent))
        if request is not None:
            before = prefix.decode("utf-8", "replace")
            written = partial(Written.of, plan.digest, constraint.vocabulary, before, in_grammar)
            told = (text, request, child, plan.digest, reply, written)
            grammar.tell_end = ended = weakref.finalize(grammar, tell_end, *told)
            ended.atexit = False
            reply.send(attest.Started(request.request, child, request.plan, plan.digest))
        return grammar

    def _make_ready(self, plan: Plan, state: State, began: float) -> None:
        """Make the first mask here, where nobody waits for it: the state keeps it. ``began``: when its text was begun,
        by this thread's time. Raises PolicyError (PK209) where there is none, or none in time."""
        try:
            state.fill(np.zeros(-(-state.vocabulary_size // 32), np.int32))
        except InternalError as error:
            raise _no_mask(plan, error) from error
        check_first(began)

    def _text(
        self,
        request: attest.MaskRequest | None,
        state: State,
        prompt_token_ids: Sequence[int],
        dead_end_id: int | None,
        check: Callable[[], None],
    ) -> ChoiceText:
        """The text that begins behind the prompt, or in it. Raises PolicyError for one that is refused there."""
        begun = request.begun if request else 0
        first = list(prompt_token_ids)[len(prompt_token_ids) - begun :] if begun else []
        if len(first) < begun or not all(state.accept(token_id) for token_id in every(first, check)):
            raise PolicyError.of("PK746", "the text that the request begins with is not legal itself")
        if request is not None and request.attempt:
            return FreeText(state, frozenset(request.not_first), self.constraints.vocabulary.eos_ids)
        return MaskedText(state, dead_end_id)

    def _prefix(self, request: attest.MaskRequest | None, prompt_token_ids: Sequence[int]) -> tuple[bytes, bool]:
        """What stands before the output, and whether it is the beginning of the grammar's text, too."""
        vocabulary = self.constraints.vocabulary
        if request is not None and request.prefix is not None:
            begun = request.prefix.encode()
            if request.continues:
                check_continued(begun, prompt_token_ids, vocabulary)
            return begun, request.in_grammar
        return tail_of_prompt(prompt_token_ids, vocabulary.tokens, vocabulary.special_ids), False

    def allocate_token_bitmask(self, max_num_seqs: int) -> torch.Tensor:
        return torch.full((max_num_seqs, -(-self.constraints.vocabulary.size // 32)), -1, dtype=torch.int32)

    def destroy(self) -> None:
        pass


def _begins(request: attest.MaskRequest | None) -> bool:
    """Whether a text begins inside the grammar's, which is read before there is a mask."""
    return request is not None and bool(request.begun or (request.in_grammar and request.prefix))


def _no_mask(plan: Plan, error: InternalError) -> Exception:
    if plan.spec.grammar is None:
        return error
    return PolicyError.of("PK209", f"no mask can be made of it: {error}", help="make the grammar smaller")


def ends_of(model_config: Any, tokenizer: Any) -> list[int]:
    """What ends a text: the tokenizer's end and those of the model's generation configuration."""
    found = model_config.try_get_generation_config().get("eos_token_id")
    more = found if isinstance(found, list) else [found]
    return [i for i in dict.fromkeys([tokenizer.eos_token_id, *more]) if i is not None]


def dead_end_of(model_config: Any, tokenizer: Any, option: str, source: str) -> int | None:
    """The token that vLLM is to stop at where nothing legal can follow: none that the grammar may want written."""
    preferred = (getattr(tokenizer, "pad_token_id", None), getattr(tokenizer, "unk_token_id", None))
    special: dict[str, int] = dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
    usable = special if option != "STRUCTURAL_TAG" else {n: i for n, i in special.items() if not is_named(n, source)}
    return dead_end_token(sorted(usable.values()), ends_of(model_config, tokenizer), preferred)
