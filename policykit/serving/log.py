"""Accounts of requests as records of the decision log."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from policykit.audit import Keeping, Log, MaskReport, Record, ReplayData
from policykit.engines.written import Written
from policykit.serving.exchange import Account, MaskSeen


@dataclass(frozen=True, slots=True)
class AuditBook:
    """Keeps accounts in a decision log. ``keeping`` says what of texts is kept; ``engine`` and its version are what
    records call the upstream."""

    log: Log
    keeping: Keeping = field(default_factory=Keeping)
    engine: str | None = None
    engine_version: str | None = None

    async def keep(self, account: Account) -> None:
        """Returns when the record is durable. Raises LogError."""
        await self.log.aappend(self.record(account))

    def record(self, account: Account) -> Record:
        about = account.about
        return Record(
            request=about.request_id,
            at=datetime.fromtimestamp(account.started_at, UTC),
            route=about.route,
            outcome=account.outcome,
            decision=account.decision,
            status=account.status,
            code=account.code,
            tenant=about.tenant,
            key=about.key_id,
            profile=about.profile,
            profile_version=about.profile_version,
            profile_digest=about.profile_digest,
            model=about.model,
            adapter=about.adapter,
            engine=self.engine,
            engine_version=self.engine_version,
            prompt=about.prompt_id,
            plan_digest=about.plan_digest,
            bundle_digest=about.bundle_digest,
            revision=about.revision,
            stream=about.stream,
            rules=account.rules,
            judgements=tuple(
                self.keeping.judgement(
                    judged.verdict,
                    channel=judged.channel.value,
                    choice=judged.choice,
                    attempt=judged.attempt,
                    counts=judged.counts,
                    text=judged.text,
                    rules=judged.rules,
                )
                for judged in account.judged
            ),
            mask=account.mask,
            masks=tuple(
                MaskReport(mask.choice, mask.plan, mask.steps, mask.closed, mask.dead_end, mask.attempt)
                for mask in account.masks
            ),
            strategy=account.strategy,
            attempts=tuple(account.attempts),
            input_tokens=account.input_tokens,
            output_tokens=account.output_tokens,
            cost=account.cost,
            seconds=account.seconds,
            first_byte_s=account.first_byte_s,
            judging_s=account.judging_s,
            clamped=account.clamped,
            dropped=account.dropped,
            replay=self._replay(account),
            sampling=tuple(account.sampling),
        )

    def _replay(self, account: Account) -> tuple[ReplayData, ...]:
        if not self.keeping.replay:
            return ()
        return tuple(_written(mask, mask.written) for mask in account.masks if mask.written is not None)


def _written(mask: MaskSeen, written: Written) -> ReplayData:
    return ReplayData(
        choice=mask.choice,
        attempt=mask.attempt,
        plan_digest=written.digest,
        vocabulary_digest=written.vocabulary,
        vocabulary_size=written.vocabulary_size,
        eos_ids=written.eos_ids,
        prefix=written.prefix,
        token_ids=written.token_ids,
        in_grammar=written.in_grammar,
    )
