"""kill -9 of a server under load: every answer that a client has in full is in the log, and the chain holds."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.audit import Record, open_reader, parse, verify_log
from tests.serving.running import served
from tests.serving.test_serve import Listed, files

pytestmark = pytest.mark.slow
CLIENTS = 8


def started(folder: Path, asked: Any, upstream: str) -> "tuple[subprocess.Popen[str], str]":
    command = [
        *(sys.executable, "-c", "import sys; from policykit.cli.main import main; sys.exit(main())", "serve"),
        *("--upstream", upstream, "--model", "base-model", "--port", "0", "--profiles", str(asked.profiles[0])),
        *("--keys", str(asked.keys[0]), "--log", str(asked.log), "--run", str(asked.run)),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, env=dict(os.environ))
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(r"serving \d+ profiles at (http\S+)/v1", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, found[1]
    raise AssertionError(f"it did not start: {said}")


def load(url: str, over: threading.Event) -> list[str]:
    """The records of the answers that one client has got in full, streams and others in turns."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="key-acme", max_retries=0, timeout=20)
    message: Any = {"role": "user", "content": "Hello?"}
    got: list[str] = []
    while not over.is_set():
        try:
            answer: Any = client.chat.completions.create(
                model="profile:plain", messages=[message], stream=len(got) % 2 == 1
            )
            events = list(answer) if len(got) % 2 else [answer]
        except openai.APIError:
            break
        got.append(next(e.model_extra["policykit"]["record"] for e in events if "policykit" in e.model_extra))
    return got


def test_a_server_that_is_killed_has_lost_nothing_that_it_answered(tmp_path: Path) -> None:
    asked, got = files(tmp_path), list[str]()
    with served(Listed()) as upstream:
        for _ in range(2):
            process, url = started(tmp_path, asked, upstream)
            over = threading.Event()
            with ThreadPoolExecutor(CLIENTS) as pool:
                clients = [pool.submit(load, url, over) for _ in range(CLIENTS)]
                time.sleep(2.5)
                process.kill()
                over.set()
                got += [record for client in clients for record in client.result()]
            assert process.wait(10) == -signal.SIGKILL
            reader = open_reader(tmp_path / "log")
            assert verify_log(reader).fault is None
            kept = [body.request for row in reader.rows() if isinstance(body := parse(row.record), Record)]
            reader.close()
            assert set(got) <= set(kept)
            assert len(kept) == len(set(kept))
    print(f"{len(got)} answers, all of them among {len(kept)} records")
    assert len(got) > 50
