"""A candidate bundle on live traffic: each finished request is judged by it, too, and nothing that goes out changes.

What is compared is the texts that were written under the live plan: what its mask kept a model from writing was never
there to be judged.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from policykit.audit import Keeping, LogError
from policykit.audit.shadow import MAX_EXAMPLES, MAX_SPANS, Change, Counted, Difference, Example, Pair, ShadowStore
from policykit.diagnostics import PolicyError
from policykit.profiles import Grant
from policykit.serving.comparing import again, differences
from policykit.serving.continued import prefix_of
from policykit.serving.deployment import Deployment, Serving
from policykit.serving.errors import Refused
from policykit.serving.exchange import Account
from policykit.serving.judges import judge_for
from policykit.serving.messages import Ask

_LOG = logging.getLogger("policykit.serving")
MAX_WAITING = 512
MAX_CHARACTERS = 16 << 20
"""Characters of all requests that wait."""
BATCH = 32
CLOSING_S = 5.0


@dataclass(frozen=True, slots=True)
class Finished:
    """What a request was judged from. ``live`` is the digest of the bundle that it was served under, ``begun`` the text
    that its answer goes on with, as it was sent."""

    account: Account
    grant: Grant
    ask: Ask
    facts: Mapping[str, object]
    live: str
    begun: str = ""

    @property
    def size(self) -> int:
        """Characters that it keeps in memory, about."""
        texts = sum(len(judged.text or "") for judged in self.account.judged)
        return texts + len(self.begun)


@dataclass(slots=True)
class Found:
    """What was found since the last time that it was written down."""

    counts: Counter[tuple[Pair, Counted]] = field(default_factory=Counter[tuple[Pair, Counted]])
    differences: dict[tuple[Pair, str, Change, str], Difference] = field(
        default_factory=dict[tuple[Pair, str, Change, str], Difference]
    )
    revisions: dict[str, str | None] = field(default_factory=dict[str, str | None])

    def differs(self, found: Difference) -> None:
        key = (found.pair, found.rule, found.change, found.channel)
        known = self.differences.get(key)
        if known is not None:
            examples = (*known.examples, *found.examples)[:MAX_EXAMPLES]
            found = replace(known, n=known.n + found.n, examples=examples)
        self.differences[key] = found

    def add(self, other: "Found") -> None:
        self.counts += other.counts
        self.revisions |= other.revisions
        for difference in other.differences.values():
            self.differs(difference)


class Shadow:
    """Judges in a thread of its own. ``candidate`` holds what is asked; ``told`` hears of each batch of findings.

    At most ``max_waiting`` requests, with ``max_characters`` together, wait: the ones that come then are counted as
    dropped. A request that the candidate cannot judge is counted as failed. What a store does not take is logged, and
    written later.
    """

    def __init__(
        self,
        candidate: Serving,
        store: ShadowStore,
        keeping: Keeping,
        *,
        told: Sequence[Callable[[Found], None]] = (),
        max_waiting: int = MAX_WAITING,
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        self._candidate = candidate
        self._store = store
        self._keeping = keeping
        self.told = list(told)
        self._max = max_waiting, max_characters
        self._waiting: deque[Finished] = deque()
        self._n_characters = 0
        self._dropped: Counter[Pair] = Counter()
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._reasons: set[str] = set()
        self._unwritten = Found()

    @property
    def n_waiting(self) -> int:
        """Requests that are not begun yet."""
        return len(self._waiting)

    def offer(self, finished: Finished) -> None:
        """Have a finished request judged. Never waits and never raises."""
        with self._changed:
            is_full = len(self._waiting) >= self._max[0] or self._n_characters + finished.size > self._max[1]
            if is_full or self._is_closing:
                self._dropped[self._pair(finished)] += 1
            else:
                self._waiting.append(finished)
                self._n_characters += finished.size
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="policykit shadow", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Judge what waits, for a few seconds at most; what is left is counted as dropped. Closes the store."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSING_S)
            with self._changed:
                for finished in self._waiting:
                    self._dropped[self._pair(finished)] += 1
                self._waiting.clear()
            self._thread.join(CLOSING_S)
        if self._thread is None or not self._thread.is_alive():
            self._store.close()

    def _run(self) -> None:
        while batch := self._next():
            found = Found()
            for finished in batch[0]:
                self._judged(finished, found)
            for pair, n in batch[1].items():
                found.counts[pair, Counted.DROPPED] += n
            self._write(found)

    def _next(self) -> tuple[list[Finished], Counter[Pair]] | None:
        """What is to be done next; None at the end."""
        with self._changed:
            while not self._waiting and not self._dropped:
                if self._is_closing:
                    return None
                self._changed.wait()
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._n_characters -= sum(finished.size for finished in batch)
            dropped, self._dropped = self._dropped, Counter()
            return batch, dropped

    def _pair(self, finished: Finished) -> Pair:
        return Pair(self._candidate.deployment.digest, finished.live, finished.account.about.profile or "")

    def _judged(self, finished: Finished, found: Found) -> None:
        pair, deployment = self._pair(finished), self._candidate.deployment
        if pair.candidate == pair.live:  # it is what is served by now
            return
        try:
            new = _compared(finished, deployment, pair, self._keeping)
        except Exception as error:
            self._failed(pair, error)
            found.counts[pair, Counted.FAILED] += 1
            return
        found.add(new)

    def _failed(self, pair: Pair, error: Exception) -> None:
        """Each reason is logged once."""
        codes = [found.code for found in error.diagnostics] if isinstance(error, PolicyError) else []
        codes += [error.code] if isinstance(error, Refused) else []
        reason = ", ".join(dict.fromkeys(codes)) or type(error).__name__
        if reason not in self._reasons:
            self._reasons.add(reason)
            _LOG.warning("the candidate bundle %s does not judge `%s`: %s", pair.candidate, pair.profile, reason)

    def _write(self, found: Found) -> None:
        """What cannot be written now is written with the next findings."""
        unwritten = self._unwritten
        unwritten.add(found)
        try:
            self._store.add(
                [(pair, counted, n) for (pair, counted), n in unwritten.counts.items()],
                list(unwritten.differences.values()),
                unwritten.revisions.items(),
            )
            self._unwritten = Found()
        except LogError as error:
            _LOG.error("what the candidate bundle says cannot be kept: %s", error)
        for told in self.told:
            try:
                told(found)
            except Exception:  # whoever watches must not end the thread that asks the candidate
                _LOG.exception("an observer of the candidate bundle failed")


def _compared(finished: Finished, deployment: Deployment, pair: Pair, keeping: Keeping) -> Found:
    """All texts of a request, judged again. Raises whatever keeps the candidate from judging it."""
    grant, account = finished.grant, finished.account
    profile = deployment.profiles.get(pair.profile)
    if profile is None or not profile.admits(grant.tenant):
        raise LookupError("the candidate has no such profile for the tenant")
    judge = judge_for(deployment, grant, profile, finished.ask, finished.facts)
    if finished.begun:
        judge = replace(judge, prefix=prefix_of(judge.side, finished.begun, finished.facts))
    found = Found(Counter({(pair, Counted.REQUESTS): 1}))
    found.revisions = {pair.candidate: deployment.revision, pair.live: account.about.revision}
    for judged in account.judged:
        new = again(judge, judged)
        if new is None:
            continue
        found.counts[pair, Counted.TEXTS] += 1
        differs = differences(judged.verdict, new, by_text=not deployment.resources.vaults)
        found.counts[pair, Counted.DIFFERED] += bool(differs)
        for one in differs:
            spans = tuple(keeping.span(judged.text, v.start, v.end) for v in one.found[:MAX_SPANS])
            decisions = judged.verdict.decision.value, new.decision.value
            example = Example(account.about.request_id, *decisions, spans)
            found.differs(Difference(pair, one.rule, one.change, judged.channel.value, 1, (example,)))
    return found
