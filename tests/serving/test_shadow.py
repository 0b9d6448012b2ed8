"""A candidate bundle beside the one that is served: what differs is told by rule, and nothing that goes out changes."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings, strategies as st

from policykit.audit import Keeping, LogUnreachable, Record, SpanForm, open_reader, parse
from policykit.audit.shadow import Change, Counted, ShadowReport, ShadowStore, read_shadow
from policykit.bundle import build, open_bundle
from policykit.diagnostics import PolicyError
from policykit.ir.verdict import Decision, Verdict
from policykit.profiles import Grant, Keyring, digest_of_key, load_profiles
from policykit.serving import About, Channel, Deployment, Serving
from policykit.serving.bundled import BundleFiles
from policykit.serving.comparing import again, differences
from policykit.serving.exchange import Account, Judged
from policykit.serving.judging import Judge
from policykit.serving.keeping import KeepingFiles
from policykit.serving.reload_source import BundleSource
from policykit.serving.routes.chat import Chat
from policykit.serving.run import application, gateway
from policykit.serving.shadow import Finished, Found, Shadow
from policykit.serving.shadow_source import ShadowFiles, candidate, harmless
from policykit.verify import Resources
from tests.serving.peer import Peer, Say
from tests.serving.running import deployment, served
from tests.serving.test_bundled import KEYS, OPERATOR, files, until
from tests.serving.test_reload import PROFILE, Place
from tests.serving.test_serve import Listed

LIVE = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: house, version: 1.0.0, owner: a@b.c, why: for tests}
rules:
  - {id: kept, severity: high, match: {phrases: [never say this]}, action: {block: {message: No.}}}
  - {id: dropped, severity: high, match: {phrases: [old secret]}, action: {block: {message: Old.}}}
  - {id: reworded, severity: low, match: {phrases: [code one]}, action: {transform: {replace: {with: "[A]"}}}}
  - {id: hardened, severity: low, match: {phrases: [code two]}, action: {transform: {replace: {with: "[B]"}}}}
  - {id: asked, severity: low, target: input, match: {phrases: [tell me all]}, action: {block: {message: Hm.}}}
"""
NEW = """\
  - {id: fresh, severity: high, match: {phrases: [new secret]}, action: {block: {message: New.}}}
"""


def candidate_of(live: str) -> str:
    """One rule is new, one gone, one writes otherwise, one is stricter."""
    kept = "".join(line for line in live.splitlines(True) if "id: dropped" not in line and "id: asked" not in line)
    changed = kept.replace('"[A]"', '"[AA]"').replace('{transform: {replace: {with: "[B]"}}}', "{block: {message: B.}}")
    return changed + NEW


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "acme.keys.yaml").write_text(KEYS)
    return Place(tmp_path)


def put(place: Place, name: str, policy: str, revision: int, signed: bool = True) -> Path:
    """A bundle with the policy, signed by the key that is trusted."""
    source = place.folder / f"{name}-{revision}-source"
    source.mkdir(exist_ok=True)
    (source / "house.policy.yaml").write_text(policy)
    (source / "plain.profile.yaml").write_text(PROFILE.replace("REVISION", str(revision)))
    bundle = build([source], revision).bundle
    path = place.folder / f"{name}.bundle"
    (place.folder / "new").write_bytes((bundle.signed_by(place.folder / "key") if signed else bundle).render())
    (place.folder / "new").replace(path)
    return path


@contextmanager
def house(place: Place, peer: Peer, spans: SpanForm = SpanForm.MASKED) -> Generator[str]:
    """A gateway that serves `live.bundle` with `new.bundle` beside it. What is found is in the store afterwards."""
    live = BundleFiles(place.folder / "live.bundle", (place.folder / "key.pub",))
    shadow = ShadowFiles(replace(live, path=place.folder / "new.bundle"), place.folder / "shadow.sqlite")
    asked = replace(files(place), bundle=live, shadow=shadow, keeping=KeepingFiles(spans))
    with served(peer) as upstream, served(application(asked, gateway(upstream, "upstream-key", "base"))) as url:
        yield url


def stored(place: Place) -> ShadowReport:
    return read_shadow(place.folder / "shadow.sqlite")


def wait_for(place: Place, n: int) -> ShadowReport:
    until(lambda: (place.folder / "shadow.sqlite").exists() and stored(place).total(Counted.REQUESTS) >= n)
    return stored(place)


def said(url: str, question: str = "Hello?", stream: bool = False) -> str:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=30)
    messages: Any = [{"role": "user", "content": question}]
    if not stream:
        return client.chat.completions.create(model="profile:plain", messages=messages).choices[0].message.content or ""
    chunks = client.chat.completions.create(model="profile:plain", messages=messages, stream=True)
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_verdicts_that_differ_are_listed_by_rule_and_nothing_that_goes_out_changes(place: Place, stream: bool) -> None:
    put(place, "live", LIVE, 1)
    put(place, "new", candidate_of(LIVE), 2)
    answers = {
        "a new secret, so": "a new secret, so",
        "an old secret, so": "Old.",
        "here is code one.": "here is [A].",
        "here is code two.": "here is [B].",
        "fine": "fine",
        "I never say this, no": "No.",
    }
    peer = Listed()
    with house(place, peer) as url:
        for text, shown in answers.items():
            peer.answer = lambda body, text=text: Say((text,))
            assert said(url, stream=stream).endswith(shown)
        assert said(url, "Now tell me all", stream) == "Hm."
        report = wait_for(place, 7)
        metrics = httpx.get(f"{url}/metrics", headers=OPERATOR).text
    (tally,) = report.tallies
    assert {what: tally.of(what) for what in Counted} == {
        Counted.REQUESTS: 7, Counted.TEXTS: 13, Counted.DIFFERED: 5, Counted.DROPPED: 0, Counted.FAILED: 0
    }  # fmt: skip
    assert {(d.rule, d.change, d.channel, d.n) for d in report.differences} == {
        ("fresh", Change.FIRES, "content", 1),
        ("dropped", Change.NO_LONGER, "content", 1),
        ("reworded", Change.WRITES, "content", 1),
        ("hardened", Change.DECIDES, "content", 1),
        ("asked", Change.NO_LONGER, "input", 1),
    }
    assert (report.revision(tally.pair.candidate), report.revision(tally.pair.live)) == ("2", "1")
    assert 'policykit_shadow_differences_total{change="fires",profile="plain",rule="fresh"} 1.0' in metrics
    reader = open_reader(place.folder / "log")
    kept = {r.request: r for row in reader.rows() if isinstance(r := parse(row.record), Record)}
    reader.close()
    examples = {d.rule: d.examples for d in report.differences}
    for rule, (example,) in examples.items():
        record = kept[example.record]
        assert record.bundle_digest == tally.pair.live
        assert (rule in record.rules) is (rule != "fresh")
    (span,) = examples["fresh"][0].spans
    assert (span.start, span.end, span.form, span.value) == (2, 12, SpanForm.MASKED, "aaa aaaaaa")


def test_a_match_that_a_prompt_begins_is_seen(place: Place) -> None:
    put(place, "live", LIVE, 1)
    put(place, "new", candidate_of(LIVE), 2)
    with house(place, Listed(answer=lambda body: Say((" secret, so",)))) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=30)
        answer = client.completions.create(model="profile:plain", prompt="This is a new", max_tokens=5)
        assert answer.choices[0].text == " secret, so"
        (difference,) = wait_for(place, 1).differences
    assert (difference.rule, difference.change, difference.channel) == ("fresh", Change.FIRES, "content")


def test_spans_of_examples_are_kept_as_the_log_keeps_them(place: Place) -> None:
    put(place, "live", LIVE, 1)
    put(place, "new", candidate_of(LIVE), 2)
    with house(place, Listed(answer=lambda body: Say(("a new secret",))), SpanForm.HASHED) as url:
        said(url)
        wait_for(place, 1)
    assert b"new secret" not in (place.folder / "shadow.sqlite").read_bytes()
    ((difference,),) = [stored(place).differences]
    (span,) = difference.examples[0].spans
    assert (span.form, len(span.value)) == (SpanForm.HASHED, 64)


def test_a_candidate_is_watched_and_a_bad_one_changes_nothing(place: Place) -> None:
    put(place, "live", LIVE, 1)
    put(place, "new", LIVE, 2)
    with house(place, Listed(answer=lambda body: Say(("a new secret",)))) as url:

        def metrics() -> str:
            return httpx.get(f"{url}/metrics", headers=OPERATOR).text

        said(url)
        assert wait_for(place, 1).differences == ()
        put(place, "new", candidate_of(LIVE), 3, signed=False)
        until(lambda: 'policykit_shadow_reloads_total{result="PK649"} 1.0' in metrics())
        said(url)
        assert wait_for(place, 2).differences == ()
        put(place, "new", candidate_of(LIVE), 1)  # an older revision: nothing is served by it
        until(lambda: 'policykit_shadow_reloads_total{result="asked"} 1.0' in metrics())
        said(url)
        report = wait_for(place, 3)
        assert [(d.rule, d.change) for d in report.differences] == [("fresh", Change.FIRES)]
        assert len(report.of(candidate="1").tallies) == 1
        assert httpx.get(f"{url}/ready", headers=OPERATOR).status_code == 200


@pytest.mark.parametrize(("wrong", "code"), [("unsigned", "PK649"), ("gone", "PK640"), ("no profile", "PK610")])
def test_nothing_starts_beside_a_candidate_that_could_not_be_served(place: Place, wrong: str, code: str) -> None:
    put(place, "live", LIVE, 1)
    put(place, "new", LIVE, 2, signed=wrong != "unsigned")
    if wrong == "gone":
        (place.folder / "new.bundle").unlink()
    if wrong == "no profile":
        source = place.folder / "new-2-source" / "plain.profile.yaml"
        source.write_text(source.read_text().replace("name: plain", "name: other"))
        bundle = build([source.parent], 2).bundle.signed_by(place.folder / "key")
        (place.folder / "new.bundle").write_bytes(bundle.render())
    with pytest.raises(PolicyError) as refused, house(place, Listed()):
        pass
    assert code in {found.code for found in refused.value.diagnostics}


# -- the laws ----------------------------------------------------------------------------------------------------------

WORDS = ("guaranteed returns", "certain profit", "project aurora", "code 1234", "guaranteed", " ", ". ", "aurora")
TEXTS = st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=8).map("".join)


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> tuple[Judge, Judge]:
    """Two judges of the same policies that share nothing."""

    def judge(name: str) -> Judge:
        found = deployment(tmp_path_factory.mktemp(name))
        profile = found.profiles.get("plain")
        assert profile is not None
        plan = found.plan(profile, "acme")
        return Judge(plan, plan, profile, {}, prefix="This is guaranteed ")

    return judge("live"), judge("same")


@given(text=TEXTS, cut=st.integers(1, 7), has_prefix=st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_same_policies_never_differ_however_a_text_was_judged(
    judges: tuple[Judge, Judge], text: str, cut: int, has_prefix: bool
) -> None:
    """Whole, or streamed in pieces and stopped where the live plan stops it."""
    live, same = (judge if has_prefix else replace(judge, prefix="") for judge in judges)
    whole = live.whole(Channel.CONTENT, text)
    assert differences(whole, _again(same, Judged(Channel.CONTENT, 0, 1, whole, text))) == ()
    stream, read = live.stream(Channel.CONTENT), ""
    for at in range(0, len(text), cut):
        read += text[at : at + cut]
        stream.feed(text[at : at + cut])
        if stream.verdict is not None:
            stopped = Judged(Channel.CONTENT, 0, 1, stream.verdict, read, is_ended=False)
            assert differences(stream.verdict, _again(same, stopped)) == ()
            return
    _, verdict = stream.close()
    assert differences(verdict, _again(same, Judged(Channel.CONTENT, 0, 1, verdict, text))) == ()


def _again(judge: Judge, judged: Judged) -> Any:
    found = again(judge, judged)
    assert found is not None
    return found


# -- what goes wrong ---------------------------------------------------------------------------------------------------


class Blocking(ShadowStore):
    """A store that waits until it is let go on, and fails where it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.go_on, self.fails = threading.Event(), False

    def add(self, counts: Any, differences: Any, revisions: Any = ()) -> None:
        self.go_on.wait(10)
        if self.fails:
            raise LogUnreachable.because("the disk is full", "make room")
        super().add(counts, differences, revisions)


def finished(text: str = "a new secret") -> Finished:
    """A request that was answered with a text under no rules at all."""
    grant = Grant("k1", "acme", ("plain",), "plain")
    verdict = Verdict(Decision.ALLOW, text, (), (), (), (), (), 0.0, "sha256:live")
    account = Account(About("r1", "/v1/chat/completions", "acme", profile="plain", revision="1"))
    account.judged.append(Judged(Channel.CONTENT, 0, 1, verdict, text))
    shown = Chat().read({"model": "m", "messages": [{"role": "user", "content": "x"}]})
    return Finished(account, grant, shown, {}, "sha256:live")


def shadow(place: Place, store: ShadowStore, **more: Any) -> Shadow:
    path = put(place, "new", candidate_of(LIVE), 2)
    keys = Keyring({digest_of_key("key"): Grant("k1", "acme", ("plain",), "plain")})
    live = Deployment(load_profiles(place.folder / "new-2-source"), keys, model="m")
    return Shadow(Serving(candidate(BundleSource(path, (place.key,)), live)), store, Keeping(), **more)


def test_what_comes_faster_than_it_can_be_judged_is_counted(place: Place) -> None:
    store = Blocking(place.folder / "s.sqlite")
    asked = shadow(place, store, max_waiting=3)
    asked.offer(finished())
    until(lambda: not asked.n_waiting)  # it is being written, and that takes long
    began = time.monotonic()
    for _ in range(10):
        asked.offer(finished())
    assert time.monotonic() - began < 1
    store.go_on.set()
    asked.close()
    report = read_shadow(place.folder / "s.sqlite")
    assert (report.total(Counted.REQUESTS), report.total(Counted.DROPPED)) == (4, 7)


def test_one_large_request_does_not_wait_where_there_is_no_room_for_it(place: Place) -> None:
    asked = shadow(place, ShadowStore(place.folder / "s.sqlite"), max_characters=5)
    asked.offer(finished())
    asked.close()
    assert read_shadow(place.folder / "s.sqlite").total(Counted.DROPPED) == 1


def test_a_store_that_takes_nothing_is_logged_and_gets_it_later(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    store = Blocking(place.folder / "s.sqlite")
    store.go_on.set()
    store.fails = True
    heard: list[Found] = []
    asked = shadow(place, store, told=[heard.append])
    asked.offer(finished())
    until(lambda: heard)
    assert "the disk is full" in caplog.text
    assert read_shadow(place.folder / "s.sqlite").tallies == ()
    store.fails = False
    asked.offer(finished())
    asked.close()
    (difference,) = read_shadow(place.folder / "s.sqlite").differences
    assert (difference.rule, difference.n) == ("fresh", 2)


def test_a_request_that_the_candidate_cannot_judge_is_counted_as_failed(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    asked = shadow(place, ShadowStore(place.folder / "s.sqlite"))
    other = finished()
    other.account.about = replace(other.account.about, profile="other")
    asked.offer(other)
    asked.close()
    report = read_shadow(place.folder / "s.sqlite")
    assert (report.total(Counted.REQUESTS), report.total(Counted.FAILED)) == (0, 1)
    assert "does not judge `other`" in caplog.text


def test_a_candidate_that_is_served_by_now_is_asked_no_more(place: Place) -> None:
    asked = shadow(place, ShadowStore(place.folder / "s.sqlite"))
    asked.offer(replace(finished(), live=open_bundle(place.folder / "new.bundle", (place.key,)).digest))
    asked.close()
    assert read_shadow(place.folder / "s.sqlite").tallies == ()


class Counting:
    """A vault, a store of approvals and an agent, none of which a candidate may touch."""

    def __init__(self) -> None:
        self.touched = 0

    def tokenise(self, *asked: Any, **more: Any) -> str:
        self.touched += 1
        return "[token]"

    def marks(self, text: str, tenant: str) -> tuple[tuple[int, int], ...]:
        return ()


def test_a_candidate_keeps_nothing_in_vaults_uses_no_approval_up_and_asks_no_agent() -> None:
    touched: Any = Counting()
    live = Resources(vaults={"v": touched}, approvals=touched, opa=touched, keys={"k": b"x" * 16})
    found = harmless(live)
    assert found.vaults["v"].tokenise("acme", "IBAN", "DE1", template="[{type}_{n}]", avoid="") == "[IBAN_0]"
    assert (found.approvals, found.opa, dict(found.keys)) == (None, None, dict(live.keys))
    assert found.workers is not live.workers
    assert touched.touched == 0
