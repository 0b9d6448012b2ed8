"""How long the log is kept and how it is signed is said once; what cannot be done is told before anything is served."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from policykit.audit import SpanForm, open_log, open_reader, read_checkpoints, verify_log
from policykit.audit.ed25519 import is_signed, load_public
from policykit.cli.main import main
from policykit.diagnostics import PolicyError
from policykit.serving.keeping import KeepingFiles
from policykit.serving.lifetime import CHECKPOINTS, DAYS, SEGMENT_MB, Lifetime, Retirement
from policykit.serving.run import Files, application, gateway
from tests.audit.records import plain
from tests.serving.running import served
from tests.serving.test_keeping import PATHS
from tests.serving.test_serve import CLIENT, OPERATOR, Listed, files

AT_LEAST_ONE = st.integers(1, 10**6)


@given(st.builds(Lifetime, AT_LEAST_ONE, st.none() | AT_LEAST_ONE, st.none() | PATHS, st.none() | PATHS))
def test_the_environment_says_what_was_configured(said: Lifetime) -> None:
    assert Lifetime.read(said.variables()) == said


def test_an_environment_that_says_nothing_retires_nothing() -> None:
    assert Lifetime.read({}) == Lifetime()
    assert Retirement.of(Lifetime(), "log") is None


@pytest.mark.parametrize("name", [DAYS, SEGMENT_MB])
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "²"])
def test_other_numbers_are_refused(name: str, value: str) -> None:
    with pytest.raises(PolicyError, match=name) as caught:
        Lifetime.read({name: value})
    assert [d.code for d in caught.value.diagnostics] == ["PK680"]


Asked = Callable[[Files], Files]
CONTRADICTIONS: dict[str, Asked] = {
    "checkpoints without a key": lambda asked: replace(asked, lifetime=Lifetime(checkpoints=Path("points"))),
    "a server's records retired by another": lambda asked: replace(
        asked, log="postgresql://nowhere/log", lifetime=Lifetime(days=3)
    ),
    "a key for nothing": lambda asked: replace(asked, keeping=KeepingFiles(SpanForm.OMITTED, Path("key"))),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_told_before_anything_is_served(name: str, tmp_path: Path) -> None:
    asked = files(tmp_path)
    with pytest.raises(PolicyError) as caught:
        application(CONTRADICTIONS[name](asked), gateway("http://127.0.0.1:1", None, None))
    assert [d.code for d in caught.value.diagnostics] == ["PK682"]
    assert not Path(asked.log).exists()


def test_the_command_tells_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = files(tmp_path)
    about = ["--profiles", str(asked.profiles[0]), "--keys", str(asked.keys[0]), "--upstream", "http://127.0.0.1:1"]
    assert (
        main(
            [
                "serve",
                *about,
                "--port",
                "0",
                "--log",
                str(tmp_path / "log"),
                "--log-checkpoints",
                str(tmp_path / "points"),
            ]
        )
        == 3
    )
    assert "--log-sign" in capsys.readouterr().err


def test_a_log_that_cannot_be_reached_is_told_before_anything_is_served(tmp_path: Path) -> None:
    """An address is no folder: none of its name is made."""
    asked = replace(files(tmp_path), log="postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(PolicyError) as caught:
        application(asked, gateway("http://127.0.0.1:1", None, None))
    assert [d.code for d in caught.value.diagnostics] == ["PK665"]
    assert not list(tmp_path.glob("*postgresql*"))


def test_checkpoints_are_signed_and_kept(tmp_path: Path) -> None:
    for command in (
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "key")],
        ["openssl", "pkey", "-in", str(tmp_path / "key"), "-pubout", "-out", str(tmp_path / "pub")],
    ):
        subprocess.run(command, check=True, capture_output=True)
    said = Lifetime.read({"POLICYKIT_LOG_SIGN": str(tmp_path / "key"), CHECKPOINTS: str(tmp_path / "points")})
    log = said.open(tmp_path / "log")
    for number in range(1000):
        log.append(plain(number))
    log.close()
    (point,) = read_checkpoints(tmp_path / "points")
    assert point.head.sequence == 1000
    assert is_signed(point, frozenset([load_public(tmp_path / "pub")]))


def old_log(folder: Path, *ages: int) -> None:
    log = open_log(folder)
    for number, age in enumerate(ages):
        log.append(plain(number, at=datetime.now(UTC) - timedelta(days=age)))
    log.close()


def eventually(holds: Callable[[], Any]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_server_retires_what_is_older_than_it_may_be(tmp_path: Path) -> None:
    asked = replace(files(tmp_path), lifetime=Lifetime(days=30))
    old_log(tmp_path / "log", 90, 60)
    with served(Listed()) as upstream:
        app = application(asked, gateway(upstream, None, "base-model"))
        with served(app) as url:
            eventually(lambda: open_reader(tmp_path / "log").stored().base.sequence == 2)
            body = {"model": "profile:plain", "messages": [{"role": "user", "content": "x"}]}
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=CLIENT, timeout=30)
            assert answer.status_code == 200
            ready = httpx.get(f"{url}/ready", headers=OPERATOR, timeout=30).json()
            assert ready["checks"]["log"] == "ok"
    found = verify_log(open_reader(tmp_path / "log"))
    assert (found.fault, found.first, found.n_entries) == (None, 3, 2)


def test_a_log_that_does_not_verify_keeps_everything_and_the_server_says_so(tmp_path: Path) -> None:
    old_log(tmp_path / "log", 90, 60)
    log = open_log(tmp_path / "log")
    log.close()
    import sqlite3
    from contextlib import closing

    (path,) = (tmp_path / "log").glob("segment-*.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER entries_stay")
        connection.execute("UPDATE entries SET tenant = 'other' WHERE sequence = 1")
        connection.commit()
    retirement = Retirement(tmp_path / "log", 30)
    retirement.once()
    assert "record 1 is altered" in str(retirement.problem)
    assert len(list(open_reader(tmp_path / "log").rows())) == 2
