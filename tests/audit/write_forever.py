"""Run to be killed: threads append as fast as they can, and a line on standard output follows each acknowledgement."""

import os
import sys
import threading

from policykit.audit import SqliteSettings, open_log
from tests.audit.records import plain


def main(address: str, name: str, segment_bytes: int) -> None:
    settings = None if address.startswith("postgresql://") else SqliteSettings(segment_bytes=segment_bytes, busy_s=60)
    log = open_log(address, settings)
    print("ready", flush=True)

    def work(thread: int) -> None:
        for i in range(10**9):
            request = f"{name}-{thread}-{i}"
            receipt = log.append(plain(request=request))
            os.write(1, f"{receipt.sequence} {receipt.hash} {request}\n".encode())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
