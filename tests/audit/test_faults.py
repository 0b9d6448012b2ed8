"""What the log stands on breaks: nothing is acknowledged that is not kept, and what is kept verifies."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_full_disk_takes_nothing_and_spoils_nothing(tmp_path: Path) -> None:
    """In a mount namespace of its own, with a real file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=1000k tmpfs "$1" && exec "$2" -m tests.audit.fill_disk "$1"'
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(disk), sys.executable],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["codes"] == ["PK662"] * 3
    assert found["faults"] == ["None", "None"]
    assert (found["lost"], found["surplus"]) == ([], [])
    assert found["n_acknowledged"] > 20
