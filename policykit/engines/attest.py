"""What the guard tells an engine about a request, and what the engine says back: that the mask stands, and what it did.

The guard puts a :class:`MaskRequest` into the request; the engine loads the plan of that digest from the run directory
that both were started with, and answers with datagrams on the guard's socket there. An answer of which the guard has
not heard that its mask stands is never released, so that an engine without the plugin, or with another plan, is seen.
"""

import contextlib
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Literal, cast

RUN_DIRECTORY = "POLICYKIT_RUN"
"""Environment variable: the directory of plans (``plans/<hex digest>.plan.json``) and of the guards' sockets."""
DEFAULT_PLAN = "POLICYKIT_DEFAULT_PLAN"
"""Environment variable: the plan file for requests that come without a :class:`MaskRequest`; without it they fail."""
ATTEMPTS = "POLICYKIT_ATTEMPTS"
"""Environment variable: with `1` the engine draws attempts of decoding strategies unmasked. Whoever sets it sees to it
that nothing but a guard sends requests, and that the guard judges each text before any of it is shown."""
WHOLE: Mapping[str, float] = {
    "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
}  # fmt: skip
"""What a request says to be drawn from all that the model would say: of what it leaves unsaid, vLLM takes settings from
the model's folder (`generation_config.json`)."""
XARG = "policykit"
"""The name under which a :class:`MaskRequest` stands in a request's extra arguments."""
VERSION = 1
MAX_DATAGRAM = 60_000
MAX_PAYER = 200
SEND_TIMEOUT_S = 2.0
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SOCKET = re.compile(r"[A-Za-z0-9_.-]{1,64}\.sock")


class Malformed(ValueError):
    """A message that is none of these."""


@dataclass(frozen=True, slots=True)
class MaskRequest:
    """Which plan a request is decoded under.

    ``reply`` is the file name of the guard's socket in the run directory, or empty. ``prefix`` is text that stands
    before the output and may begin a match (assistant prefill); None leaves it to the engine to read it off the
    prompt. With ``in_grammar`` it is also the beginning of the grammar's text; else the output is all of that. With
    ``continues`` the engine's prompt has to end with it, as it does where a chat's template leaves the message alone.
    ``special`` names special tokens that the profile's structure has. With ``replay`` the engine also says which tokens
    it wrote (:class:`policykit.engines.written.Written`). The last ``begun`` tokens of the prompt are the text's own
    first ones. An ``attempt`` is drawn without the mask, but for ``not_first``, which may not come first; it ends at
    the first token that the plan refuses. ``payer`` tells tenants apart and says nothing else of them: theirs is the
    time that masks of requests' grammars take (:mod:`policykit.engines.mask_time`). With ``own_grammar`` the plan has
    the grammar of the request, and not one of the profile's.
    """

    request: str
    plan: str
    reply: str = ""
    prefix: str | None = None
    special: tuple[str, ...] = ()
    in_grammar: bool = False
    replay: bool = False
    continues: bool = False
    begun: int = 0
    attempt: bool = False
    not_first: tuple[int, ...] = ()
    payer: str = ""
    own_grammar: bool = False

    def render(self) -> str:
        return json.dumps({"v": VERSION, **asdict(self)}, ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def parse(text: object) -> "MaskRequest":
        """Raises Malformed, with what is wrong."""
        data = _object(text)
        request, plan, reply = data.get("request"), data.get("plan"), data.get("reply", "")
        prefix, special = data.get("prefix"), data.get("special", [])
        in_grammar, replay = data.get("in_grammar", False), data.get("replay", False)
        continues = data.get("continues", False)
        if not isinstance(request, str) or not request or len(request) > 200:
            raise Malformed("`request` is no id")
        if not isinstance(plan, str) or not _DIGEST.fullmatch(plan):
            raise Malformed("`plan` is no digest")
        if not isinstance(reply, str) or (reply and not _SOCKET.fullmatch(reply)):
            raise Malformed("`reply` is no name of a socket")
        if prefix is not None and not isinstance(prefix, str):
            raise Malformed("`prefix` is no text")
        names = cast(list[object], special) if isinstance(special, list) else [None]
        if not all(isinstance(name, str) for name in names):
            raise Malformed("`special` is no list of names")
        attempt, begun, banned = data.get("attempt", False), data.get("begun", 0), data.get("not_first", [])
        payer, own = data.get("payer", ""), data.get("own_grammar", False)
        flags = {"in_grammar": in_grammar, "replay": replay, "continues": continues, "attempt": attempt}
        flags["own_grammar"] = own
        if not isinstance(payer, str) or len(payer) > MAX_PAYER:
            raise Malformed("`payer` is no name")
        for name, value in flags.items():
            if not isinstance(value, bool):
                raise Malformed(f"`{name}` is neither true nor false")
        if not _is_count(begun) or not isinstance(banned, list) or not all(map(_is_count, cast(list[object], banned))):
            raise Malformed("`begun` or `not_first` are no numbers of tokens")
        named = tuple(str(name) for name in names)
        first = tuple(cast(list[int], banned))
        return MaskRequest(
            request, plan, reply, prefix, named, in_grammar, replay, continues, cast(int, begun), attempt, first,
            payer, own,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Started:
    """The mask of one choice stands. ``digest``: that of the plan with the grammar of the request, where it has one."""

    request: str
    child: str
    plan: str
    digest: str
    kind: Literal["started"] = "started"


@dataclass(frozen=True, slots=True)
class Finished:
    """One choice has ended or was dropped. ``steps`` are rows that were filled for sampled tokens; ``closed`` says for
    each rule at how many of the text's steps it closed some token; ``dead_end``: nothing legal could follow."""

    request: str
    child: str
    digest: str
    steps: int
    tokens: int
    dead_end: bool
    closed: Mapping[str, int] = field(default_factory=dict[str, int])
    kind: Literal["finished"] = "finished"


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no mask for this choice, and it will have no text."""

    request: str
    child: str
    code: str
    message: str
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what one choice's tokens are, the ``number``-th ``of`` so many from 0; comes before its Finished."""

    request: str
    child: str
    number: int
    of: int
    data: str
    kind: Literal["part"] = "part"


Attestation = Started | Part | Finished | Failed


def render(message: Attestation) -> bytes:
    """At most MAX_DATAGRAM bytes: of very many rules those that closed most are named, and a long message is cut."""
    data = asdict(message)
    if isinstance(message, Failed):
        data["message"] = message.message[:4000]
    if isinstance(message, Finished):
        most = sorted(message.closed.items(), key=lambda item: (-item[1], item[0]))
        data["closed"] = dict(most[:400])
    rendered = json.dumps(data, separators=(",", ":")).encode()
    if len(rendered) > MAX_DATAGRAM and isinstance(message, Finished):
        data["closed"] = {}
        rendered = json.dumps(data, separators=(",", ":")).encode()
    return rendered


def parse(data: bytes) -> Attestation:
    """Raises Malformed."""
    found = _object(data, versioned=False)
    try:
        match found.pop("kind", None):
            case "started":
                return Started(**_texts(found))
            case "failed":
                return Failed(**_texts(found))
            case "part":
                number, of = found.pop("number"), found.pop("of")
                if not (isinstance(number, int) and isinstance(of, int)):
                    raise Malformed("the number of a part is no number")
                return Part(**_texts(found), number=number, of=of)
            case "finished":
                closed = found.pop("closed")
                steps, tokens, dead_end = found.pop("steps"), found.pop("tokens"), found.pop("dead_end")
                if not (isinstance(steps, int) and isinstance(tokens, int) and isinstance(dead_end, bool)):
                    raise Malformed("counts are no numbers")
                if not isinstance(closed, dict):
                    raise Malformed("`closed` is no object")
                counts = {str(k): int(v) for k, v in cast(dict[str, int], closed).items()}
                return Finished(**_texts(found), steps=steps, tokens=tokens, dead_end=dead_end, closed=counts)
            case kind:
                raise Malformed(f"unknown kind {kind!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed(f"malformed attestation: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _texts(data: Mapping[str, object]) -> dict[str, Any]:
    if not all(isinstance(value, str) for value in data.values()):
        raise Malformed("a field is no text")
    return dict(data)


def _object(text: object, *, versioned: bool = True) -> dict[str, Any]:
    try:
        data: object = json.loads(text) if isinstance(text, str | bytes) else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Malformed("no JSON object")
    found = cast(dict[str, Any], data)
    if versioned and found.get("v") != VERSION:
        raise Malformed(f"version {found.get('v')!r} is not {VERSION}")
    return found


def plan_path(run: Path, digest: str) -> Path:
    """Where the plan of a digest lies. Raises Malformed for what is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise Malformed(f"{digest!r} is no digest")
    return run / "plans" / f"{digest.removeprefix('sha256:')}.plan.json"


@dataclass(frozen=True, slots=True)
class Reply:
    """Where an engine's messages go; without an address they go nowhere."""

    address: str | None

    @staticmethod
    def to(run: Path | None, name: str) -> "Reply":
        return Reply(str(run / name) if run is not None and name else None)

    def send(self, message: Attestation) -> None:
        """Never waits and never fails: what does not arrive, the guard misses, and it fails closed."""
        if self.address is not None:
            _POST.put((self.address, render(message)))


class _Post:
    """Sends in a thread of its own, because a socket takes few datagrams at once and its reader may be busy."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self._lock = Lock()
        self._process: int | None = None

    def put(self, letter: tuple[str, bytes]) -> None:
        if self._process != os.getpid():  # a fork has no threads
            with self._lock:
                if self._process != os.getpid():
                    Thread(target=self._run, name="policykit-attest", daemon=True).start()
                    self._process = os.getpid()
        self._waiting.put(letter)

    def _run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(SEND_TIMEOUT_S)
            while True:
                address, data = self._waiting.get()
                with contextlib.suppress(OSError):
                    out.sendto(data, address)


_POST = _Post()


def run_directory() -> Path | None:
    """The directory that the environment names, if it does."""
    found = os.environ.get(RUN_DIRECTORY)
    return Path(found) if found else None


def draws_attempts() -> bool:
    """Whether the environment lets the engine draw unmasked."""
    return os.environ.get(ATTEMPTS) == "1"


def default_plan() -> Path | None:
    """The plan file that the environment names for requests without a MaskRequest, if it does."""
    found = os.environ.get(DEFAULT_PLAN)
    return Path(found) if found else None
