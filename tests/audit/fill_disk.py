"""Run in a small file system of its own: appends until it is full, makes room, goes on, and prints what happened."""

import json
import sys
from pathlib import Path

from policykit.audit import LogError, open_log, open_reader, verify_log
from tests.audit.records import plain


def main(folder: Path) -> None:
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(400_000))
    log = open_log(folder / "log")
    acknowledged: list[str] = []
    codes: list[str] = []
    for i in range(10_000):
        try:
            log.append(plain(i, rules=("x" * 200,)))
            acknowledged.append(f"r{i}")
        except LogError as error:
            codes.append(error.diagnostics[0].code)
            if len(codes) == 3:
                break
    full = verify_log(open_reader(folder / "log"))
    ballast.unlink()
    for i in range(20_000, 20_010):
        log.append(plain(i))
        acknowledged.append(f"r{i}")
    log.close()
    after = verify_log(open_reader(folder / "log"))
    kept = [json.loads(row.record)["request"] for row in open_reader(folder / "log").rows()]
    print(
        json.dumps(
            {
                "codes": codes,
                "faults": [str(full.fault), str(after.fault)],
                "lost": sorted(set(acknowledged) - set(kept)),
                "surplus": sorted(set(kept) - set(acknowledged)),
                "n_acknowledged": len(acknowledged),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
