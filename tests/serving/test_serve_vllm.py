"""`policykit serve --model …` becomes the real vLLM server, with backend and guard inside, and ends when told to."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.audit import Record, open_reader, parse, verify_log
from policykit.embedded import model_path
from tests.serving.real_vllm import STARTS_WITHIN_S, Server, environment, free_port
from tests.serving.test_real_vllm import ACME, forbidden, write

pytestmark = pytest.mark.vllm
PROMPT = "We have guaranteed ret"


def started(folder: Path, port: int) -> Server:
    profiles = folder / "profiles"
    profiles.mkdir()
    write(profiles)
    kept = {name: value for name, value in environment(folder).items() if not name.startswith("POLICYKIT_")}
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "policykit.cli.main", "serve", "--model", str(model_path())),
                *("--profiles", str(profiles), "--keys", str(profiles), "--port", str(port)),
                *("--log", str(folder / "log"), "--run", str(folder / "run"), "--log-spans", "masked"),
                *("--vllm", "--dtype=float32", "--max-model-len=512", "--enforce-eager"),
            ],
            env=kept, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=folder,
        )  # fmt: skip
    return Server(f"http://127.0.0.1:{port}", folder, process)


def ended(server: Server) -> None:
    """Whatever happened, nothing of it is left."""
    if server.process.poll() is None:
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(10)


def test_the_command_serves_on_vllm_under_profiles(tmp_path: Path) -> None:
    server = started(tmp_path, free_port())
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not server.is_healthy:
            assert server.process.poll() is None, server.output[-4000:]
            assert time.monotonic() < until, server.output[-4000:]
            time.sleep(0.5)
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=ACME, max_retries=0, timeout=120)
        message: Any = {"role": "user", "content": "What returns can I expect?"}
        answer: Any = client.chat.completions.create(
            model="profile:answer", messages=[message], n=4, max_tokens=40, temperature=1.0
        )
        texts = [choice.message.content for choice in answer.choices]
        assert all(texts)
        assert not any(forbidden(text) for text in texts)
        begun: Any = client.completions.create(model="profile:answer", prompt=PROMPT, max_tokens=8, temperature=0)
        assert not forbidden(PROMPT + begun.choices[0].text)
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="no-key").models.list()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) in (0, -signal.SIGTERM, 128 + signal.SIGTERM), server.output[-4000:]
    finally:
        ended(server)
    assert not re.search(r"^Traceback", server.output, re.MULTILINE), server.output[-4000:]
    reader = open_reader(tmp_path / "log")
    found = {body.request: body for row in reader.rows() if isinstance(body := parse(row.record), Record)}
    assert verify_log(reader).fault is None
    for asked in (answer, begun):
        record = found[asked.model_extra["policykit"]["record"]]
        assert (record.engine, record.mask, record.profile) == ("vllm", "attested", "answer")
        assert all(mask.steps > 0 for mask in record.masks)
