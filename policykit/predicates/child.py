"""A Python process of our own, spoken to over its pipes, and ended without a trace."""

import os
import subprocess
import sys


def start(module: str, *arguments: str, stderr: int | None = None) -> "subprocess.Popen[bytes]":
    """A process that runs a module with what can be imported here; its standard input and output are pipes."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process of :func:`start`, wait until it is gone, and close its pipes."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            try:
                stream.close()
            except OSError:
                continue  # what could not be written any more: the process is gone
