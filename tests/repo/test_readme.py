"""What the README shows is what happens: its files are written, its commands run, its names exist."""

import doctest
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from itertools import zip_longest
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.cli.main import main

from . import gates
from .readme import Block, Step, blocks, steps

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(README)


def write_files(folder: Path, shown: tuple[Block, ...]) -> None:
    for block in shown:
        if block.mark.startswith("file: "):
            (folder / block.mark.removeprefix("file: ")).write_text(block.body, encoding="utf-8")


def outcome(command: str) -> tuple[int, str]:
    """The exit status and everything that one `policykit` command printed."""
    program, *argv = shlex.split(command)
    assert program == "policykit"
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        status = main(argv)
    return status, out.getvalue()


def agrees(shown: str, printed: str) -> bool:
    """Whether a session shows what was printed; a shown line may leave its end out with `…`."""
    pairs = list(zip_longest(shown.split("\n"), printed.split("\n"), fillvalue="\0"))
    return all(row == text or (row.endswith("…") and text.startswith(row[:-1])) for row, text in pairs)


def differs(step: Step) -> str | None:
    """What is wrong with a step, or None. `; echo $?` shows the exit status on a last line."""
    command, asks_status, _ = step.command.partition("; echo $?")
    status, printed = outcome(command)
    printed = "\n".join(line.rstrip() for line in printed.rstrip("\n").split("\n"))
    expected = f"{printed}\n{status}".lstrip("\n") if asks_status else printed
    if not agrees(step.output, expected):
        return f"$ {step.command}\nprints\n{expected}\nand the README shows\n{step.output}"
    return None if asks_status or status == 0 else f"$ {step.command}\nexits with {status}"


def test_sessions_print_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    write_files(tmp_path, BLOCKS)
    sessions = [block for block in BLOCKS if block.mark == "session"]
    assert sessions
    assert [wrong for block in sessions for step in steps(block.body) if (wrong := differs(step))] == []


def test_a_session_that_prints_something_else_is_found() -> None:
    (step,) = steps("$ policykit explain PK550 --format json\n{}\n")
    assert "and the README shows" in (differs(step) or "")
    (step,) = steps("$ policykit explain --nothing; echo $?\nPK550: …\n3\n")
    assert "and the README shows" in (differs(step) or "")
    assert agrees("plan sha256:…\nend", "plan sha256:0123\nend")
    assert not agrees("plan sha256:…", "plan sha256:0123\nend")
    assert not agrees("plan …\nend", "plan")


def test_python_examples_run_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, BLOCKS)
    examples = "\n".join(block.body for block in BLOCKS if block.mark == "doctest")
    assert ">>>" in examples
    parsed = doctest.DocTestParser().get_doctest(examples, {}, "README.md", "README.md", 0)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(parsed, out=report.write)
    assert runner.summarize(verbose=False).failed == 0, report.getvalue()


def test_the_command_that_serves_serves(tmp_path: Path) -> None:
    write_files(tmp_path, BLOCKS)
    (block,) = [block for block in BLOCKS if block.mark == "serve"]
    program, *argv = shlex.split(block.body)
    assert program == "policykit"
    run = [sys.executable, "-c", "import sys; from policykit.cli.main import main; sys.exit(main())", *argv]
    serving = subprocess.Popen([*run, "--port", "0"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert serving.stderr is not None
        said = next((found for line in serving.stderr if (found := re.search(r"at (http\S+)/v1", line))), None)
        assert said, "it ended without serving"
        client = openai.OpenAI(base_url=f"{said[1]}/v1", api_key="pk-example", max_retries=0, timeout=60)
        asked: Any = [{"role": "user", "content": "Is it safe?"}]
        answer = client.chat.completions.create(model="profile:retail", messages=asked)
        assert answer.choices[0].message.content
    finally:
        serving.terminate()
        assert serving.wait(30) in (0, -signal.SIGTERM)


def test_every_marked_block_is_of_a_known_kind() -> None:
    known = ("file: ", "session", "doctest", "serve", "ci: ")
    assert README.count("<!-- ") == len(BLOCKS)
    assert [block.mark for block in BLOCKS if not block.mark.startswith(known)] == []


def test_the_two_commands_are_one_line_each() -> None:
    for name in ("test", "demo"):
        (block,) = [block for block in BLOCKS if block.mark == f"ci: {name}"]
        assert block.language == "sh"
        assert block.body.count("\n") == 1
        assert "-c constraints-cpu.txt" in block.body


def test_ci_runs_the_command_that_the_readme_shows(tmp_path: Path) -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = script[script.index("readme_command()") : script.index("\nstep()")]
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", f"{function}\nreadme_command test"],
        cwd=tmp_path, env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (block,) = [block for block in BLOCKS if block.mark == "ci: test"]
    assert done.stdout == block.body


def test_names_in_the_readme_exist() -> None:
    assert gates.dangling_paths(README, ROOT) == []
    assert gates.dangling_names(README) == []


def test_a_name_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "policykit").mkdir()
    text = "`policykit/`, `policykit/gone.py`, `gone.py`, `their/own.yaml`, `policykit.text` and `policykit.nope()`"
    assert gates.dangling_paths(text, tmp_path) == ["policykit/gone.py", "gone.py"]
    assert gates.dangling_names(text) == ["policykit.nope"]
    assert gates.dangling_names("`policykit.diagnostics.Diagnostic.nothing`") == [
        "policykit.diagnostics.Diagnostic.nothing"
    ]
