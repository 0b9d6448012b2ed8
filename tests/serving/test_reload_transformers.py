"""A signed bundle under the embedded model on transformers: a new one is served, masks and all, and one is shadowed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policykit.audit.shadow import Counted, read_shadow
from policykit.bundle import generate
from policykit.serving.bundled import BundleFiles
from policykit.serving.run import Files, application, on_transformers
from policykit.serving.shadow_source import ShadowFiles
from tests.serving.running import served
from tests.serving.test_bundled import KEYS
from tests.serving.test_real_vllm_reload import answered, put, records

pytestmark = pytest.mark.slow


def test_a_new_bundle_is_decoded_under_and_no_stream_is_dropped(tmp_path: Path) -> None:
    generate(tmp_path / "key")
    (tmp_path / "acme.keys.yaml").write_text(KEYS)
    put(tmp_path, 1)
    put(tmp_path, 2, "next.bundle")
    live = BundleFiles(tmp_path / "served.bundle", (tmp_path / "key.pub",))
    shadow = ShadowFiles(BundleFiles(tmp_path / "next.bundle", live.trusted), tmp_path / "shadow.sqlite")
    run = tmp_path / "run"
    asked = Files((), (tmp_path / "acme.keys.yaml",), tmp_path / "log", run, bundle=live, shadow=shadow)
    stop, texts = threading.Event(), list[tuple[str, str]]()

    def ask(worker: int) -> None:
        while not stop.is_set():
            texts.append(answered(url, worker * 1000 + len(texts)))

    def served_under(revision: str, n: int) -> None:
        until = time.monotonic() + 60
        while sum(record.revision == revision for record in records(tmp_path)) < n:
            assert time.monotonic() < until, [record.revision for record in records(tmp_path)]
            time.sleep(0.1)

    with served(application(asked, on_transformers("embedded", run))) as url, ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, worker) for worker in range(2)]
        try:
            served_under("1", 3)
            put(tmp_path, 2)
            served_under("2", 3)
            put(tmp_path, 3, signed=False)  # changes nothing
            time.sleep(1.5)
        finally:
            stop.set()
        for one in asking:
            one.result()
    found = records(tmp_path)
    assert len(found) == len(texts)
    assert {(record.status, record.engine, record.mask) for record in found} == {(200, "transformers", "attested")}
    assert {record.revision for record in found} == {"1", "2"}
    for record in found:
        assert {rule for mask in record.masks for rule, _ in mask.closed} <= {f"house#no-{record.revision}"}
        assert {mask.plan_digest for mask in record.masks} == {record.plan_digest}
    assert any(mask.closed for record in found for mask in record.masks)
    report = read_shadow(tmp_path / "shadow.sqlite").of("2")
    assert report.total(Counted.REQUESTS) >= 3
    assert report.total(Counted.DROPPED) == report.total(Counted.FAILED) == 0
    assert "no-2" in {difference.rule for difference in report.differences}
