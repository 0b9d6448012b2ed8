"""The disk of the log is full: no answer goes out, what was acknowledged is there, and with room service goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("segment_bytes", [256 << 20, 100_000], ids=["in one segment", "between segments"])
def test_a_full_disk_lets_nothing_out_and_service_goes_on_with_room(tmp_path: Path, segment_bytes: int) -> None:
    """A real file system of 1 MB, in a mount namespace of its own; with small segments it is full while a new one is
    made, too."""
    disk, elsewhere = tmp_path / "disk", tmp_path / "profiles"
    disk.mkdir()
    elsewhere.mkdir()
    script = 'mount -t tmpfs -o size=1000k tmpfs "$1" && exec "$4" -m tests.serving.full_disk "$1" "$2" "$3"'
    about = (str(disk), str(elsewhere), str(segment_bytes), sys.executable)
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *about],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["faults"] in (["None", "None"], ["PK665", "None"])
    assert found["faults"][0] == "None" or segment_bytes < 1 << 20
    assert found["lost"] == []
    assert found["n_finished"] > 20
    assert (found["n_segments"] > 1) == (segment_bytes < 1 << 20)
    whole = [503, False, False]  # a status, no end, no word of the answer
    assert [one for one in found["failed"] if one[0] != 200] == [whole] * 4
    assert [one for one in found["failed"] if one[0] == 200] == [[200, False, False]] * 4, "streams end in an error"
    assert found["after"] == [[200, True]] * 6
