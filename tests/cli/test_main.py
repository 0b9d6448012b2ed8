"""The command line as a whole: exit statuses, wrong command lines, closed pipes, interrupts."""

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from policykit.cli.command import Command
from policykit.cli.commands import check
from policykit.cli.exits import Exit
from policykit.cli.main import COMMANDS, command
from policykit.cli.streams import Streams
from policykit.diagnostics import InternalError

from .conftest import Run

ROOT = Path(__file__).resolve().parents[2]


def test_every_command_has_a_name_of_its_own_and_a_help_page(run: Run) -> None:
    assert list(COMMANDS) == [
        "check", "test", "fmt", "explain", "compile", "compare", "diff", "verify", "generate", "sample", "train",
        "eval", "adapter", "demo", "serve", "new", "keys", "bundle", "audit",
    ]  # fmt: skip
    for name in COMMANDS:
        done = run(name, "--help")
        assert done.status == 0
        assert command(name).name == name
        assert command(name).summary in " ".join(done.out.split())


def test_help_shows_the_exit_statuses(run: Run) -> None:
    done = run("--help")
    assert done.status == 0
    assert "3  invalid input" in done.out
    assert run("--version").out.startswith("policykit ")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["chekc"], "unknown command `chekc`\n  help: did you mean `check`?", id="near miss"),
        pytest.param(["frobnicate"], "the commands are `check`, `test`", id="no near miss"),
        pytest.param([], "required: COMMAND", id="nothing"),
        pytest.param(["check"], "required: PATH", id="no path"),
        pytest.param(["check", "--fromat", "json", "x"], "unrecognized arguments: --fromat", id="unknown flag"),
        pytest.param(["check", "--format", "xml", "x"], "invalid choice: 'xml'", id="unknown format"),
        pytest.param(["compile", "--policies", "x", "--at", "1/6/26"], "`1/6/26` is not a date", id="not a date"),
        pytest.param(["explain"], "nothing to explain, or too much", id="explain nothing"),
        pytest.param(["explain", "PK550", "--codes"], "nothing to explain, or too much", id="explain two things"),
        pytest.param(["verify", "--plan", "p", "--policies", "q"], "leave the other flags out", id="two plans"),
        pytest.param(["verify"], "nothing to enforce", id="no plan"),
    ],
)
def test_a_wrong_command_line_is_invalid_input(run: Run, argv: list[str], message: str) -> None:
    done = run(*argv)
    assert done.status == 3
    assert done.out == ""
    assert "PK550: " in done.err
    assert message in done.err


def with_check(monkeypatch: pytest.MonkeyPatch, behaviour: Callable[[], None]) -> None:
    def run(args: Namespace, streams: Streams) -> Exit:
        behaviour()
        return Exit.FINE

    planted: Command = replace(check.COMMAND, run=run)
    monkeypatch.setattr(check, "COMMAND", planted)


def test_an_interrupt_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with_check(monkeypatch, interrupt)
    done = run("check", "x")
    assert (done.status, done.err) == (130, "interrupted\n")


def test_something_that_failed_inside_is_never_a_failed_test(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise InternalError("the grammar engine stopped: lexer state limit")

    def crash() -> None:
        raise ZeroDivisionError

    with_check(monkeypatch, fail)
    done = run("check", "x")
    assert (done.status, done.err) == (4, "policykit: the grammar engine stopped: lexer state limit\n")
    with_check(monkeypatch, crash)
    done = run("check", "x")
    assert done.status == 4
    assert "ZeroDivisionError" in done.err
    assert "internal error" in done.err


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = "import sys; from policykit.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "explain", "--codes", "--format", "json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


STREAMS = (
    pytest.param("explain --codes >&-", 4, "cannot write the output: standard output is closed", id="no output"),
    pytest.param("--help >&-", 4, "cannot write the output: standard output is closed", id="no output for help"),
    pytest.param("explain --codes >/dev/full", 4, "cannot write the output: no space left on device", id="full"),
    pytest.param("explain PK550 --format json >/dev/full", 4, "cannot write the output: no", id="full, json"),
    pytest.param("--help >/dev/full", 4, "cannot write the output: no space left on device", id="full, help"),
    pytest.param("explain --codes 1</dev/null", 4, "cannot write the output: bad file descriptor", id="read only"),
    pytest.param("verify --policies {policy} <&-", 4, "cannot read the input: standard input is closed", id="no input"),
    pytest.param("verify --policies {policy} 0>/dev/null", 4, "cannot read the input: bad file", id="write only"),
    pytest.param("check {policy} <&- >/dev/null", 0, "", id="input that nobody reads"),
    pytest.param("compile --policies {policy} -o /dev/full", 4, "cannot write the output: no space left", id="file"),
    pytest.param("explain PK550 2>&- >/dev/null", 0, "", id="no errors"),
    pytest.param("explain PK999 2>&-", 3, "", id="nowhere to complain"),
    pytest.param("explain PK999 2>/dev/full", 4, "", id="full complaints"),
    pytest.param("explain --codes >&- 2>&-", 4, "", id="neither"),
    pytest.param("explain --codes >&- 2>/dev/full", 4, "", id="neither, full"),
    pytest.param("explain --codes >/dev/full 2>/dev/full", 4, "", id="both full"),
)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("line", "status", "message"), STREAMS)
def test_a_stream_that_cannot_be_used_is_said_in_one_line(
    line: str, status: int, message: str, unbuffered: str, promises: str, tmp_path: Path
) -> None:
    shell = f"{sys.executable} -m policykit.cli.main {line.format(policy=promises)}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == status
    assert done.stderr.startswith(f"policykit: {message}" if message else "")
    assert done.stderr.count("\n") == bool(message)
