"""Where and with what an evaluation ran: read from the machine, written into its results."""

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("policykit", "torch", "transformers", "peft", "numpy", "llguidance")
MAX_DIGESTED = 4 * 2**30
"""Bytes of a model's folder up to which its digest is computed."""


def machine(device: str | None = None) -> dict[str, Any]:
    """The versions of what computes, the processor, and the device that a model ran on."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "packages": {name: known for name in PACKAGES if (known := _version(name)) is not None},
    }
    return found if device is None else {**found, "device": device}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def folder_digest(folder: Path, limit: int = MAX_DIGESTED) -> str | None:
    """SHA-256 over the names and bytes of a folder's files, hidden ones left out; None where there is no such folder,
    or where its files have more than ``limit`` bytes."""
    if not folder.is_dir():
        return None
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    if sum(path.stat().st_size for path in files) > limit:
        return None
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return f"sha256:{whole.hexdigest()}"
