"""A signed bundle under the real vLLM: a new one is served, masks and all, while answers are being streamed."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.audit import Record, open_reader, parse
from policykit.audit.shadow import Counted, read_shadow
from policykit.bundle import build, generate
from policykit.serving.bundled import BundleFiles
from policykit.serving.shadow_source import ShadowFiles
from tests.serving.real_vllm import vllm_served
from tests.serving.test_bundled import KEYS

pytestmark = pytest.mark.vllm
COMMON = {1: ("the", "you"), 2: ("and", "we")}
"""What each revision forbids: words that the model writes in every answer."""
POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: house, version: 1.0.0, owner: a@b.c, why: for tests}
rules:
  - {id: no-REVISION, severity: high, match: {phrases: [WORDS]}, action: {block: {message: No.}}}
"""
PROFILE = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: plain, version: 1.0.REVISION, owner: a@b.c, why: for tests}
task: answer
policies: [house.policy.yaml]
decoding: {maxTokens: 40}
limits: {attempts: 1, timeoutSeconds: 120}
fallback: Please ask a colleague.
"""


def put(folder: Path, revision: int, name: str = "served.bundle", signed: bool = True) -> None:
    source = folder / f"source-{revision}"
    source.mkdir(exist_ok=True)
    words = ", ".join(COMMON[(revision - 1) % 2 + 1])
    rule = POLICY.replace("REVISION", str(revision)).replace("WORDS", words)
    (source / "house.policy.yaml").write_text(rule)
    (source / "plain.profile.yaml").write_text(PROFILE.replace("REVISION", str(revision)))
    bundle = build([source], revision).bundle
    (folder / "new").write_bytes((bundle.signed_by(folder / "key") if signed else bundle).render())
    (folder / "new").replace(folder / name)


def answered(url: str, seed: int) -> tuple[str, str]:
    """The text of a stream, and how it ended."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0, timeout=120)
    asked: Any = [{"role": "user", "content": "What returns can I expect?"}]
    text, reason = "", ""
    for chunk in client.chat.completions.create(model="profile:plain", messages=asked, stream=True, seed=seed):
        for choice in chunk.choices:
            text, reason = text + (choice.delta.content or ""), choice.finish_reason or reason
    return text, reason


def records(folder: Path) -> list[Record]:
    reader = open_reader(folder / "log")
    found = [body for row in reader.rows() if isinstance(body := parse(row.record), Record)]
    reader.close()
    return found


def test_a_new_bundle_is_decoded_under_and_no_stream_is_dropped(tmp_path: Path) -> None:
    generate(tmp_path / "key")
    (tmp_path / "acme.keys.yaml").write_text(KEYS)
    put(tmp_path, 1)
    put(tmp_path, 2, "next.bundle")
    live = BundleFiles(tmp_path / "served.bundle", (tmp_path / "key.pub",))
    shadow = ShadowFiles(BundleFiles(tmp_path / "next.bundle", live.trusted), tmp_path / "shadow.sqlite")
    variables = {**live.variables(), **shadow.variables(), "POLICYKIT_PROFILES": ""}
    stop, texts = threading.Event(), list[tuple[str, str]]()

    def ask(worker: int) -> None:
        while not stop.is_set():
            texts.append(answered(server.url, worker * 1000 + len(texts)))

    def served_under(revision: str, n: int) -> None:
        until = time.monotonic() + 120
        while sum(record.revision == revision for record in records(tmp_path)) < n:
            assert time.monotonic() < until, [record.revision for record in records(tmp_path)]
            time.sleep(0.2)

    with vllm_served(tmp_path, variables=variables) as server:
        server.process.send_signal(signal.SIGHUP)  # before any request: it is heard, and not the end
        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask, worker) for worker in range(3)]
            try:
                served_under("1", 4)
                put(tmp_path, 2)
                served_under("2", 4)
                put(tmp_path, 3, signed=False)
                time.sleep(2)
                put(tmp_path, 1)
                time.sleep(2)
                assert server.is_healthy
            finally:
                stop.set()
            for one in asking:
                one.result()
    found = records(tmp_path)
    assert len(found) == len(texts)
    assert {record.status for record in found} == {200}
    assert {record.revision for record in found} == {"1", "2"}
    for record in found:
        assert record.mask == "attested"
        assert {rule for mask in record.masks for rule, _ in mask.closed} <= {f"house#no-{record.revision}"}
        assert {mask.plan_digest for mask in record.masks} == {record.plan_digest}
        assert record.rules == ()
    assert len({(record.revision, record.bundle_digest, record.plan_digest) for record in found}) == 2
    assert any(mask.closed for record in found for mask in record.masks)
    assert {reason for _, reason in texts} <= {"stop", "length"}
    report = read_shadow(tmp_path / "shadow.sqlite").of("2")
    assert report.total(Counted.REQUESTS) >= 4
    assert report.total(Counted.DROPPED) == report.total(Counted.FAILED) == 0
    assert {difference.rule for difference in report.differences} == {"no-2"}
