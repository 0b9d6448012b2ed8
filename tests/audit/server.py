"""A real PostgreSQL on loopback, in a directory of its own, from the distribution's package."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and (elsewhere := shutil.which("initdb")):
        found = [Path(elsewhere)]
    assert found, "PostgreSQL is not installed: `apt-get install postgresql`"
    return found[-1].parent


class Server:
    """Started by :meth:`start`, ended by :meth:`stop` or, at once, by :meth:`kill`. PostgreSQL does not run as root."""

    def __init__(self) -> None:
        self._bin = _binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="policykit-postgres-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
            self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._data = self._folder / "data"
        self._command(
            str(self._bin / "initdb"), "-D", str(self._data), "-U", "owner", "--auth=trust", "-E", "UTF8", "--locale=C"
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}", "-c", "unix_socket_directories="]
        self._process = subprocess.Popen(
            [*self._as_user, str(self._bin / "postgres"), "-D", str(self._data), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        for _ in range(300):
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, "the server ended at once"
                time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def stop(self) -> None:
        """A fast shutdown: sessions are ended."""
        self._ended(signal.SIGINT)

    def kill(self) -> None:
        """An immediate one, after which the server recovers from its log: what a crash is like."""
        self._ended(signal.SIGQUIT)

    def _ended(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def address(self, database: str, user: str = "owner") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """A new database's address."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.address(name)

    def _command(self, *command: str) -> None:
        done = subprocess.run([*self._as_user, *command], capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr
