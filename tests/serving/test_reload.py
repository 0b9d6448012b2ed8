"""Hot reload: a new bundle is served from one request to the next, a bad one never, and no request is dropped."""

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.bundle import build, generate
from policykit.profiles import Grant, Keyring, digest_of_key, load_profiles
from policykit.serving import Deployment, Guard, Serving, SwitchState
from policykit.serving.reload_source import BundleSource, BundleWatch, OnBad, Reload
from policykit.serving.upstream_http import HttpUpstream
from tests.serving.peer import Peer, Say
from tests.serving.running import Kept, served

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: house, version: 1.0.0, owner: a@b.c, why: for tests}
rules:
  - id: no-REVISION
    severity: high
    match: {phrases: [word REVISION]}
    action: {block: {message: Revision REVISION says no.}}
"""
PROFILE = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: plain, version: 1.0.REVISION, owner: a@b.c, why: for tests}
task: answer
policies: [house.policy.yaml]
limits: {attempts: 1, timeoutSeconds: 60}
fallback: Please ask a colleague.
"""
EVERY_WORD = " ".join(f"word {number}." for number in range(9))
ASK: Any = [{"role": "user", "content": "Hello?"}]


@dataclass
class Place:
    """Where bundles of growing revisions are put; revision N refuses `word N`."""

    folder: Path
    told: list[Reload] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = generate(self.folder / "key")
        self.path = self.folder / "served.bundle"

    def sources(self, revision: int) -> Path:
        source = self.folder / f"source-{revision}"
        source.mkdir(exist_ok=True)
        (source / "house.policy.yaml").write_text(POLICY.replace("REVISION", str(revision)))
        (source / "plain.profile.yaml").write_text(PROFILE.replace("REVISION", str(revision)))
        return source

    def put(self, revision: int, content: int | None = None, signed: bool = True, **more: Any) -> None:
        bundle = build([self.sources(revision if content is None else content)], revision, **more).bundle
        self.put_bytes((bundle.signed_by(self.folder / "key") if signed else bundle).render())

    def put_bytes(self, data: bytes) -> None:
        (self.folder / "new").write_bytes(data)
        (self.folder / "new").replace(self.path)

    def serving(self) -> Serving:
        keys = Keyring({digest_of_key("key"): Grant("k1", "acme", ("plain",), "plain")})
        return Serving(Deployment(load_profiles(self.sources(0)), keys, model="base"))

    def watch(self, serving: Serving, **more: Any) -> BundleWatch:
        return BundleWatch(serving, BundleSource(self.path, (self.key,)), told=[self.told.append], **more)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_stands_there_is_served_once(place: Place) -> None:
    serving = place.serving()
    watch = place.watch(serving)
    place.put(1)
    assert asyncio.run(watch.check()) == Reload("1", serving.deployment.bundle_digest)
    assert serving.deployment.revision == "1"
    assert [profile.version for profile in serving.deployment.profiles] == ["1.0.1"]
    now = serving.deployment
    assert asyncio.run(watch.check()) is None
    assert asyncio.run(watch.check(force=True)) is None
    place.put(1)
    assert asyncio.run(watch.check()) is None
    assert serving.deployment is now


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("unsigned", "PK649"),
        ("older", "PK651"),
        ("the same revision with other content", "PK651"),
        ("expired", "PK652"),
        ("half written", "PK640"),
        ("altered", "PK645"),
        ("gone", "PK640"),
        ("without a profile that a key grants", "PK610"),
    ],
)
def test_a_bad_bundle_changes_nothing(place: Place, name: str, code: str, caplog: pytest.LogCaptureFixture) -> None:
    serving = place.serving()
    watch = place.watch(serving, today=lambda: date(2026, 6, 1))
    place.put(5)
    asyncio.run(watch.check())
    now = serving.deployment
    good = place.path.read_bytes()
    match name:
        case "unsigned":
            place.put(6, signed=False)
        case "older":
            place.put(4)
        case "the same revision with other content":
            place.put(5, content=6)
        case "expired":
            place.put(6, expires=date(2026, 6, 1))
        case "half written":
            place.put_bytes(good[:2000])
        case "altered":
            place.put_bytes(good.replace(b"word 5", b"word 7"))
        case "gone":
            place.path.unlink()
        case _:
            other = place.sources(6) / "plain.profile.yaml"
            other.write_text(other.read_text().replace("name: plain", "name: other"))
            place.put_bytes(build([place.folder / "source-6"], 6).bundle.signed_by(place.folder / "key").render())
    assert asyncio.run(watch.check()) == Reload(None, None, (code,))
    assert serving.deployment is now
    assert watch.state is SwitchState.OPEN
    assert code in caplog.text
    assert "the old one is served on" in caplog.text
    assert asyncio.run(watch.check()) is None
    place.put(7)
    assert asyncio.run(watch.check()) == Reload("7", serving.deployment.bundle_digest)


def test_serving_stops_where_that_is_asked_for_and_goes_on_with_a_good_one(place: Place) -> None:
    serving = place.serving()
    watch = place.watch(serving, on_bad=OnBad.REFUSE)
    place.put(1)
    asyncio.run(watch.check())
    assert watch.state is SwitchState.OPEN
    place.put(2, signed=False)
    asyncio.run(watch.check())
    assert (watch.state, serving.deployment.revision) == (SwitchState.REFUSE_ALL, "1")
    place.put(3)
    asyncio.run(watch.check())
    assert (watch.state, serving.deployment.revision) == (SwitchState.OPEN, "3")


def test_a_bundle_that_expires_while_it_is_served_is_a_bad_one(place: Place) -> None:
    day = [date(2026, 5, 31)]
    serving = place.serving()
    watch = place.watch(serving, on_bad=OnBad.REFUSE, today=lambda: day[0])
    place.put(1, expires=date(2026, 6, 1))
    asyncio.run(watch.check())
    assert (watch.state, serving.deployment.revision) == (SwitchState.OPEN, "1")
    day[0] = date(2026, 6, 1)
    asyncio.run(watch.check())
    assert watch.state is SwitchState.REFUSE_ALL


def test_it_looks_again_and_again_and_at_once_after_a_hangup(place: Place) -> None:
    async def watched() -> None:
        serving = place.serving()
        place.put(1)
        watch = place.watch(serving, poll_s=0.05)
        running = asyncio.create_task(watch.run())
        await _until(lambda: serving.deployment.revision == "1")
        place.put(2)
        await _until(lambda: serving.deployment.revision == "2")
        running.cancel()
        await asyncio.wait([running])
        slow = place.watch(serving, poll_s=600)
        running = asyncio.create_task(slow.run(on_hangup=True))
        await asyncio.sleep(0.3)
        place.put(3)
        os.kill(os.getpid(), signal.SIGHUP)
        await _until(lambda: serving.deployment.revision == "3")
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(watched())


async def _until(holds: Any) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")


def test_under_load_no_request_is_dropped_and_each_is_served_under_one_revision(place: Place) -> None:
    """Answers hold every revision's word, so that the rule that fired says which policies judged."""
    peer = Peer(answer=lambda body: Say((EVERY_WORD,), stall_s=0.002))
    log, serving, stop = Kept(), place.serving(), threading.Event()
    watch = place.watch(serving)
    place.put(1)
    asyncio.run(watch.check())
    with ExitStack() as stack:
        upstream = HttpUpstream(stack.enter_context(served(peer)), api_key="upstream-key")
        url = stack.enter_context(served(Guard(serving, upstream, log, switch=watch)))

        def ask(worker: int) -> int:
            client = openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=60)
            number = 0
            while not stop.is_set():
                if (number + worker) % 2:
                    answer = client.chat.completions.create(model="profile:plain", messages=ASK)
                    text = answer.choices[0].message.content or ""
                else:
                    chunks = client.chat.completions.create(model="profile:plain", messages=ASK, stream=True)
                    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
                assert text
                number += 1
            return number

        with ThreadPoolExecutor(6) as pool:
            workers = [pool.submit(ask, worker) for worker in range(6)]
            try:
                for revision in (2, 3, 4, 5):
                    _wait_for_more(log, 12)
                    place.put(revision, signed=revision != 4)
                    asyncio.run(watch.check())
                _wait_for_more(log, 12)
            finally:
                stop.set()
            asked = sum(worker.result() for worker in workers)
    assert [reload.revision for reload in place.told] == ["1", "2", "3", None, "5"]
    assert len(log.accounts) == asked
    assert {account.status for account in log.accounts} == {200}
    assert {account.about.revision for account in log.accounts} == {"1", "2", "3", "5"}
    for account in log.accounts:
        fired = {rule for judged in account.judged for rule in judged.verdict.rules}
        assert fired == {f"no-{account.about.revision}"}
        assert account.about.profile_version == f"1.0.{account.about.revision}"
    assert len({(a.about.revision, a.about.bundle_digest) for a in log.accounts}) == 4


def _wait_for_more(log: Kept, n: int) -> None:
    wanted = len(log.accounts) + n
    for _ in range(3000):
        if len(log.accounts) >= wanted:
            return
        threading.Event().wait(0.02)
    raise AssertionError("no requests")
