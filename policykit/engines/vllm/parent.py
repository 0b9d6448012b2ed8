"""An engine without its server ends: vLLM's goes on after a server that was killed, and holds memory and the device."""

import multiprocessing
import os
import signal
import threading
import time

PROCESS = "EngineCore"
"""What vLLM's processes of engines are called."""
POLL_S = 0.5
GRACE_S = 10.0
"""How long an engine may take to end by itself."""


def end_with_parent() -> None:
    """Watch the server from an engine's own process. Does nothing in a process that is no engine's alone."""
    server = multiprocessing.parent_process()
    if server is None or server.pid != os.getppid() or not multiprocessing.current_process().name.startswith(PROCESS):
        return
    threading.Thread(target=_watch, args=(os.getppid(),), name="policykit-parent", daemon=True).start()


def _watch(server: int) -> None:
    while os.getppid() == server:
        time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
