"""What an adapter was trained under, beside its weights: policies, data, λ, parents, evaluation.

The bundle digest stands in the header of the weights too, so that weights and pins cannot be taken apart unnoticed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from policykit.diagnostics import Diagnostic, Place, PolicyError, Severity
from policykit.ir.document import PolicySet
from policykit.plan.plan import Plan

FILE = "policykit.json"
FORMAT = "policykit.pins/v1"
WEIGHTS = "adapter_model.safetensors"
WHOLE = "model.safetensors"
CONFIG = "adapter_config.json"
"""What makes a folder an adapter's."""
HEADER = "policykit.bundle_digest"
MAX_HEADER_BYTES = 100_000_000
"""That of the format."""


@dataclass(frozen=True, slots=True)
class DataPin:
    """A data set by name, with the digest of its bytes.

    ``n_breaking`` completions of it break the plan and were learned from all the same, ``n_unjudged`` could not be
    judged; None where that is not known, or completions are not what is learned to be written.
    """

    name: str
    digest: str
    n_rows: int | None = None
    n_breaking: int | None = None
    n_unjudged: int | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    """The weight λ of a group of rules at a step."""

    step: int
    group: str
    value: float


@dataclass(frozen=True, slots=True)
class Pins:
    """``policies`` are `name@version`. ``stages`` are what was done, first to last; ``parents`` the adapters that this
    one is composed of, by name and bundle digest; ``evaluation`` numbers by name."""

    bundle_digest: str
    plan_digest: str
    policies: tuple[str, ...]
    data: tuple[DataPin, ...] = ()
    stages: tuple[str, ...] = ()
    weights: tuple[Weight, ...] = ()
    evaluation: Mapping[str, float | int | str] = field(default_factory=dict[str, float | int | str])
    parents: tuple[tuple[str, str], ...] = ()


def pins_of(plan: Plan, data: Sequence[DataPin] = (), stages: Sequence[str] = ()) -> Pins:
    """The pins of a training under ``plan``."""
    documents = plan.spec.policies.documents
    policies = tuple(sorted(f"{document.name}@{document.version}" for document in documents))
    return Pins(plan.bundle_digest, plan.digest, policies, tuple(data), tuple(stages))


def write_pins(folder: Path, pins: Pins) -> None:
    """Write the pins to an adapter's folder, and their bundle digest into the header of its weights."""
    write_whole(folder / FILE, json.dumps({"format": FORMAT, **asdict(pins)}, indent=2, ensure_ascii=False) + "\n")
    _stamp(weights_of(folder), pins.bundle_digest)


def weights_of(folder: Path) -> Path:
    """The file of an adapter's weights, or of all weights where the folder holds a whole model and no adapter."""
    is_whole = (folder / WHOLE).is_file() and not (folder / CONFIG).is_file()
    return folder / (WHOLE if is_whole else WEIGHTS)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is never half there."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, "utf-8")
    beside.replace(path)


def read_pins(folder: Path) -> Pins | None:
    """The pins of an adapter; None of one without. Raises PolicyError (PK842): malformed, or of other weights."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found: Any = json.loads(path.read_text("utf-8"))
        pins = _read(cast("dict[str, Any]", found))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"the pins of the adapter cannot be read: {error}"
        raise PolicyError.of("PK842", message, Place(str(path)), "train or compose the adapter again") from None
    try:
        stamped = _stamped(weights_of(folder))
    except (OSError, ValueError, AttributeError) as error:
        message = f"the weights that `{FILE}` is about cannot be read: {error}"
        raise PolicyError.of("PK842", message, Place(str(path)), "train or compose the adapter again") from None
    if stamped != pins.bundle_digest:
        message = f"the weights were pinned to the bundle {stamped}, `{FILE}` says {pins.bundle_digest}"
        raise PolicyError.of("PK842", message, Place(str(path)), "weights and pins are of two adapters: take both anew")
    return pins


def _read(found: dict[str, Any]) -> Pins:
    if found.pop("format") != FORMAT:
        raise ValueError(f"the format is not `{FORMAT}`")
    data = tuple(DataPin(**one) for one in found.pop("data"))
    weights = tuple(Weight(**one) for one in found.pop("weights"))
    parents = tuple((str(name), str(digest)) for name, digest in found.pop("parents"))
    policies, stages = (tuple(map(str, found.pop(name))) for name in ("policies", "stages"))
    return Pins(**found, policies=policies, data=data, stages=stages, weights=weights, parents=parents)


def pin_diagnostics(pins: Pins | None, plan: Plan, folder: Path) -> tuple[Diagnostic, ...]:
    """What is to be said when an adapter is used under a plan: another bundle than the adapter was trained under, or
    none at all. Warnings: what the plan enforces, it enforces under any adapter; only training has not seen it."""
    return differences(pins, (plan.bundle_digest,), plan.spec.policies, folder)


def differences(pins: Pins | None, digests: Sequence[str], policies: PolicySet, folder: Path) -> tuple[Diagnostic, ...]:
    """The same for a bundle of ``policies`` by its digest, the first one; any other of ``digests`` is as good."""
    place = Place(str(folder))
    if pins is None:
        message = f"the adapter says nothing about the policies that it was trained under: `{FILE}` is missing"
        return (Diagnostic("PK842", message, place, "train it with `policykit train`", Severity.WARNING),)
    if pins.bundle_digest not in digests:
        message = f"the adapter was trained under the bundle {pins.bundle_digest}, the plan is of {digests[0]}"
        theirs, ours = set(pins.policies), {f"{d.name}@{d.version}" for d in policies.documents}
        parts = [f"only the adapter: {', '.join(sorted(theirs - ours))}"] if theirs - ours else []
        parts += [f"only the plan: {', '.join(sorted(ours - theirs))}"] if ours - theirs else []
        help = "; ".join(parts) or "the same policies by name and version, with other content"
        return (Diagnostic("PK842", message, place, help, Severity.WARNING),)
    return ()


def check_pins(pins: Pins | None, plan: Plan, folder: Path) -> None:
    """Raises PolicyError (PK842) with what :func:`pin_diagnostics` would warn of: for who serves nothing else."""
    found = pin_diagnostics(pins, plan, folder)
    if found:
        raise PolicyError(Diagnostic(one.code, one.message, one.place, one.help) for one in found)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and the length of it with its size."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > MAX_HEADER_BYTES:
            raise ValueError(f"`{path.name}` is no safetensors file")
        return json.loads(file.read(size)), 8 + size


def _stamped(path: Path) -> str | None:
    if not path.is_file():
        return None
    header, _ = _header(path)
    found = header.get("__metadata__", {}).get(HEADER)
    return found if isinstance(found, str) else None


def _stamp(path: Path, digest: str) -> None:
    """Set the digest in the header; the tensors behind it stay as they are, byte for byte."""
    header, start = _header(path)
    header["__metadata__"] = {**header.get("__metadata__", {}), HEADER: digest}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # the format wants tensors aligned to eight bytes
    beside = path.with_name(path.name + ".new")
    with path.open("rb") as old, beside.open("wb") as new:
        new.write(len(head).to_bytes(8, "little") + head)
        old.seek(start)
        while block := old.read(1 << 20):
            new.write(block)
    beside.replace(path)
