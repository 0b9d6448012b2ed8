"""What the log keeps is said by options or by the environment, and a wrong word is told before anything is served."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from policykit.audit import SpanForm
from policykit.diagnostics import PolicyError
from policykit.serving.keeping import KEY, REPLAY, SPANS, KeepingFiles
from policykit.serving.run import application, gateway
from tests.serving.test_serve import files

PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).map(Path)


@given(st.builds(KeepingFiles, st.none() | st.sampled_from(SpanForm), st.none() | PATHS, st.booleans()))
def test_the_environment_says_what_was_configured(kept: KeepingFiles) -> None:
    assert KeepingFiles.read(kept.variables()) == kept


def test_an_environment_that_says_nothing_keeps_nothing_of_texts() -> None:
    found = KeepingFiles.read({}).load()
    assert (found.spans, found.replay) == (SpanForm.OMITTED, False)
    assert found.key != KeepingFiles.read({}).load().key


@pytest.mark.parametrize("variables", [{SPANS: "shown"}, {SPANS: "HASHED"}, {REPLAY: "yes"}, {REPLAY: "true"}])
def test_other_words_are_refused(variables: dict[str, str]) -> None:
    with pytest.raises(PolicyError, match=next(iter(variables))) as caught:
        KeepingFiles.read(variables)
    assert [d.code for d in caught.value.diagnostics] == ["PK680"]


@pytest.mark.parametrize("spelled", ["raw", "hex", "base64"])
def test_a_key_makes_hashes_that_outlive_the_process(tmp_path: Path, spelled: str) -> None:
    key = bytes(range(32))
    written = {"raw": key, "hex": key.hex().encode() + b"\n", "base64": base64.b64encode(key) + b"\n"}[spelled]
    (tmp_path / "key").write_bytes(written)
    loaded = [KeepingFiles.read({KEY: str(tmp_path / "key")}).load() for _ in range(2)]
    assert (loaded[0].key, loaded[0].spans) == (key, SpanForm.HASHED)
    assert loaded[0].hashed("a") == loaded[1].hashed("a")


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param({"spans": SpanForm.CLEAR}, id="clear without replay"),
        pytest.param({"key": Path("nowhere")}, id="no key"),
        pytest.param({"key": Path("short")}, id="a short key"),
    ],
)
def test_a_server_that_cannot_keep_what_it_should_does_not_start(tmp_path: Path, kept: dict[str, Any]) -> None:
    (tmp_path / "short").write_text("abc")
    if "key" in kept:
        kept = {"key": tmp_path / kept["key"]}
    asked = replace(files(tmp_path), keeping=KeepingFiles(**kept))
    with pytest.raises(PolicyError) as caught:
        application(asked, gateway("http://127.0.0.1:1", None, None))
    assert [d.code for d in caught.value.diagnostics] == ["PK669"]
    assert not asked.log.exists()
