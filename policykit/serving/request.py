"""One request to a route that generates: from its body to what goes out."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from policykit.ir.document import Target
from policykit.ir.verdict import Decision, Verdict
from policykit.plan.plan import today
from policykit.profiles import Grant, Profile, select
from policykit.serving.apart import beside_others
from policykit.serving.asking import Asking, Budget
from policykit.serving.choosing import Choosing, answer_chosen
from policykit.serving.client_tools import settled
from policykit.serving.continued import prefix_of
from policykit.serving.deployment import Deployment
from policykit.serving.errors import Refused, of_fields
from policykit.serving.exchange import Exchange, Judged
from policykit.serving.hooks import About, Channel, SwitchState
from policykit.serving.incident import ended
from policykit.serving.judges import judge_for
from policykit.serving.judging import Failed, Judge, why
from policykit.serving.messages import FIXED, Ask, Passage, Path, called
from policykit.serving.responder import Responder
from policykit.serving.reward import Reward
from policykit.serving.rewards import RewardFiles, Rewards
from policykit.serving.rewrite import Sent, check_allowed, clamp, not_allowed
from policykit.serving.routes.shape import Choice, Envelope, Shape
from policykit.serving.services import Services
from policykit.serving.shadow import Finished
from policykit.serving.strategies import StreamingDrawn, answer_drawn, drawing_for
from policykit.serving.streamed import Streaming
from policykit.serving.whole import Answered, CheckFailed, answer, instead, outcome_of
from policykit.serving.wire import Usage

_CHANNELS = {
    Target.INPUT: Channel.INPUT,
    Target.TOOL_RESULT: Channel.TOOL_RESULT,
    Target.RETRIEVED: Channel.RETRIEVED,
}

_NO_REWARDS = Rewards(RewardFiles())
_SWITCHED = Failed("switched", None, final=True)


@dataclass(slots=True)
class Request:
    """A request with a valid key."""

    services: Services
    deployment: Deployment
    grant: Grant
    shape: Shape
    exchange: Exchange
    responder: Responder
    wanted: str | None
    """The profile that the header names."""
    asking: Asking | None = None
    finished: Finished | None = None
    """What the request is judged from, once that is known."""
    switched: SwitchState = SwitchState.OPEN
    """What the switch was turned to while the request was served."""
    is_asked: bool = False
    """Whether the upstream may have been asked."""

    async def serve(self, body: dict[str, object]) -> None:
        """Sends the answer and has it recorded. Raises Refused, UpstreamFault, PolicyError; nothing has gone out then
        but, of a stream, text that was let through."""
        if self.services.switch.state is SwitchState.REFUSE_ALL:
            raise Refused(503, "policykit_switched_off", "nothing is served: an incident is being dealt with")
        if self.deployment.has_expired(today()):
            raise Refused(503, "policykit_bundle_expired", "what is served has expired, and nothing new is there")
        refusals = list(self.services.check_fields(self.shape.path, body))
        if refusals:
            raise of_fields(refusals)
        ask = self.shape.read(body)
        profile = select(self.deployment.profiles, self.grant, ask.model, self.wanted, self.deployment.model)
        self.exchange.announce(self._about(profile, ask))
        ask = settled(ask, profile)
        check_allowed(ask, profile, self.services.upstream.kind, self.shape.api)
        with self.services.admission.admitted(self.grant.key_id, profile.name, profile.limits):
            await self._in_time(ask, profile)

    async def _in_time(self, ask: Ask, profile: Profile) -> None:
        """Time that runs out after an answer was rejected ends the attempts; otherwise it is an error. A switch that is
        turned ends what is not in the log yet."""
        loop = asyncio.get_running_loop()

        def turned(state: SwitchState) -> None:
            if self._ends_by(state) and not limit.expired():
                self.switched = state
                limit.reschedule(loop.time())

        try:
            async with asyncio.timeout(profile.limits.timeout_s) as limit:
                with self.services.running.telling(turned):
                    await self._serve(ask, profile)
        except TimeoutError:
            asking, nothing_out = self.asking, not (self.exchange.is_closed or self.responder.is_started)
            if self.switched is not SwitchState.OPEN:
                if asking is None or self.switched is SwitchState.REFUSE_ALL or not nothing_out:
                    raise ended() from None
                await self._instead(asking, _SWITCHED)
                return
            if asking is not None and asking.last_failed is not None and nothing_out:
                await self._instead(asking, asking.last_failed)
                return
            message = f"the request took more than {profile.limits.timeout_s:g} s"
            raise Refused(504, "policykit_timeout", message) from None

    def _ends_by(self, state: SwitchState) -> bool:
        """Whether a switch that is turned so ends the request: one that nobody is asked for yet will see to it."""
        return not self.exchange.is_closed and (self.is_asked or state is SwitchState.REFUSE_ALL)

    def _about(self, profile: Profile, ask: Ask) -> About:
        deployment = self.deployment
        return replace(
            self.exchange.about,
            profile=profile.name,
            profile_version=profile.version,
            profile_digest=profile.digest,
            bundle_digest=deployment.bundle_digest,
            revision=deployment.revision,
            model=profile.model or deployment.model,
            adapter=profile.adapter,
            prompt_id=profile.system_prompt.id if profile.system_prompt else None,
            stream=ask.stream,
        )

    async def _serve(self, ask: Ask, profile: Profile) -> None:
        judge = await self._compiled(ask, profile)
        self.finished = Finished(self.exchange.account, self.grant, ask, judge.facts, self.deployment.digest)
        self.exchange.account.about = replace(self.exchange.about, plan_digest=judge.plan.digest)
        self.responder.headers["x-policykit-digest"] = judge.plan.digest
        asking = self.asking = self._asking(ask, profile, judge, await self.services.neutral.settings())
        self.exchange.account.strategy = profile.decoding.strategy.value
        self.exchange.account.clamped = tuple(asking.settings.clamped)
        if self.services.switch.state is SwitchState.FALLBACK_ONLY:
            await self._instead(asking, _SWITCHED)
            return
        refused, changed = await self._judge_input(ask, judge)
        if refused is not None:
            await self._instead(asking, Failed(why(refused), refused, final=True))
            return
        asking.ask = ask.with_texts(changed)
        if asking.ask.begun:
            prefix = await asyncio.to_thread(prefix_of, judge.side, asking.ask.begun, judge.facts)
            asking.judge = replace(judge, prefix=prefix)
            self.finished = replace(self.finished, begun=asking.ask.begun)
        self.is_asked = True
        await (self._stream(asking) if ask.stream and asking.reward is None else self._whole(asking))

    async def _compiled(self, ask: Ask, profile: Profile) -> Judge:
        """The judge of the request. Raises Refused (400) where a grammar or a tool of its own takes too long to
        compile: what is made of it then is kept, so that the same request may be served later."""
        param = ask.grammar.param if ask.grammar else ask.defined[0].param if ask.defined else None
        if param is None:
            return await asyncio.to_thread(self._judge, ask, profile)
        limit_s = min(self.services.settings.grammar_s, profile.limits.timeout_s / 2)
        try:
            async with asyncio.timeout(limit_s):
                return await self.services.waiting.of(self.grant.key_id)(self._judge, ask, profile)
        except TimeoutError:
            why = f"PK209: the grammar was not compiled within {limit_s:g} s: give a smaller one, or ask again later"
            raise Refused(400, "policykit_grammar_refused", why, param=param) from None

    def _judge(self, ask: Ask, profile: Profile) -> Judge:
        return judge_for(self.deployment, self.grant, profile, ask, self.services.facts(self.exchange.about))

    def _asking(self, ask: Ask, profile: Profile, judge: Judge, neutral: Mapping[str, float]) -> Asking:
        services, deployment = self.services, self.deployment
        model = profile.adapter or profile.model or deployment.model
        if model is None:
            raise Refused(503, "policykit_no_model", "neither the profile nor the deployment names a model")
        grammar = judge.plan.spec.grammar
        sent = Sent(self.shape.api, services.upstream.kind, model, self.grant.tenant, grammar, neutral)
        name = ask.model or f"profile:{profile.name}"
        envelope = Envelope(self._id(), int(time.time()), name, ask.include_usage)
        return Asking(
            exchange=self.exchange,
            upstream=services.upstream,
            attestor=services.attestor,
            shape=self.shape,
            ask=ask,
            profile=profile,
            judge=judge,
            settings=clamp(ask, profile),
            sent=sent,
            envelope=envelope,
            reading=services.settings.reading,
            budget=Budget(profile.limits),
            reward=self._reward(profile),
            apart=self.services.waiting.of(self.grant.key_id) if ask.brings_grammars or judge.waits else beside_others,
        )

    def _reward(self, profile: Profile) -> Reward | None:
        """Raises Refused (503) where the profile's answers are chosen by what is not there."""
        best, rewards = profile.decoding.best, self.services.rewards or _NO_REWARDS
        return None if best is None else rewards.reward(best)

    def _id(self) -> str:
        return f"{self.shape.id_prefix}-{self.exchange.about.request_id}"

    async def _judge_input(self, ask: Ask, judge: Judge) -> tuple[Verdict | None, dict[Path, str]]:
        """The verdict that keeps the request from being asked, if there is one; and the texts that rules changed.

        Raises CheckFailed.
        """
        changed: dict[Path, str] = {}
        for passage, verdict, seconds in await asyncio.to_thread(_verdicts, judge, ask):
            channel = _CHANNELS[passage.target]
            judged = Judged(channel, None, 0, verdict, passage.text, judge.asked(channel), tool=passage.tool)
            self.exchange.judged(judged, seconds)
            match verdict.decision:
                case Decision.ALLOW:
                    pass
                case Decision.TRANSFORM if passage.path[1] in FIXED:
                    at, kind, number = passage.path
                    if kind == "called":
                        param = f"messages[{at}].tool_calls[{number}]"
                        raise not_allowed(param, "a rule would replace what is written with escapes, or its name")
                    raise not_allowed(ask.defined[at].param, "a rule would replace what stands in its name or schema")
                case Decision.TRANSFORM:
                    changed[passage.path] = verdict.text
                case Decision.BLOCK | Decision.ESCALATE:
                    if verdict.errors and not verdict.violations:
                        raise CheckFailed(verdict)
                    return verdict, {}
        return None, changed

    async def _instead(self, asking: Asking, failed: Failed) -> None:
        """Answer without asking the upstream: a rule's message, or the profile's fallback."""
        choices = [instead(asking, index, failed) for index in range(asking.settings.n)]
        outcome = outcome_of(choices, [failed], transformed=False)
        await self.exchange.close(outcome, 200)
        await self._send(asking, choices)

    async def _whole(self, asking: Asking) -> None:
        answered = await self._answered(asking)
        match self.services.switch.state:
            case SwitchState.OPEN:
                pass
            case SwitchState.FALLBACK_ONLY:
                await self._instead(asking, _SWITCHED)
                return
            case SwitchState.REFUSE_ALL:
                raise ended()
        self.exchange.first_byte()
        await self.exchange.close(answered.outcome, 200)
        await self._send(asking, answered.choices)

    async def _answered(self, asking: Asking) -> Answered:
        drawing, choosing = drawing_for(self.services.drawing, asking), Choosing.of(asking)
        if drawing is not None:
            return await answer_drawn(asking, drawing, choosing)
        return await (answer(asking) if choosing is None else answer_chosen(asking, choosing))

    async def _send(self, asking: Asking, choices: Sequence[Choice]) -> None:
        """An answer that is all there, in the form that was asked for."""
        account, about = self.exchange.account, self._extension(asking)
        usage = Usage(account.input_tokens, account.output_tokens)
        if not asking.ask.stream:
            await self.responder.whole(200, self.shape.whole(asking.envelope, choices, usage, about))
            return
        written = self.shape.stream(asking.envelope)
        for choice in choices:
            for channel, text in choice.texts.items():
                if text:
                    await self.responder.text(written, choice.index, channel, text)
        ends = [(choice.index, choice.reason, choice.stop) for choice in choices]
        await self.responder.end(written, ends, usage, about)

    async def _stream(self, asking: Asking) -> None:
        written = self.shape.stream(asking.envelope)
        drawing = drawing_for(self.services.drawing, asking)
        outlet = (self.responder, written, self.services.switch)
        streaming = Streaming(asking, *outlet) if drawing is None else StreamingDrawn(asking, drawing, *outlet)
        answered, ends, usage = await streaming.run()
        await self.exchange.close(answered.outcome, 200)
        await self.responder.end(written, ends, usage, self._extension(asking))

    def _extension(self, asking: Asking) -> Mapping[str, object]:
        """The object `policykit` of every answer."""
        account, about = self.exchange.account, self.exchange.about
        return {
            "outcome": account.outcome.value,
            "decision": account.decision.value,
            "rules": list(account.rules),
            "digest": asking.judge.plan.digest,
            "bundle_digest": asking.judge.plan.bundle_digest,
            "profile": about.profile,
            "attempts": len(account.attempts),
            "clamped": dict(asking.settings.clamped),
            "unused": list(asking.ask.unused),
            "mask": account.mask,
            "record": about.request_id,
            **self._choices(asking),
        }

    def _choices(self, asking: Asking) -> dict[str, object]:
        """How the answer's texts were chosen, where they were."""
        if asking.reward is None:
            return {}
        reports = [(one.choice, one.best) for one in self.exchange.account.sampling if one.best is not None]
        return {"best": [{"choice": at, **asdict(best), "missing": dict(best.missing)} for at, best in reports]}


def _verdicts(judge: Judge, ask: Ask) -> list[tuple[Passage, Verdict, float]]:
    """The verdicts on the texts of a request, up to the first that stops it."""
    found: list[tuple[Passage, Verdict, float]] = []
    waiting = deque(ask.passages())
    while waiting:
        passage = waiting.popleft()
        began = time.monotonic()
        verdict = judge.passage(passage.target, passage.tool, passage.text)
        found.append((passage, verdict, time.monotonic() - began))
        if verdict.decision in (Decision.BLOCK, Decision.ESCALATE):
            break
        at, kind, number = passage.path
        if kind == "call":  # of what rules make of its arguments
            call = ask.messages[at].calls[number]
            text = verdict.text if verdict.decision is Decision.TRANSFORM else passage.text
            words = called(call, text, is_known=judge.profile.tool(call.name) is not None)
            if words is not None:
                waiting.appendleft(Passage((at, "called", number), passage.target, None, words))
    return found
