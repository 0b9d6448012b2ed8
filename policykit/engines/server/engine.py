"""The model behind the server: prompts, plans by digest, and one worker thread that writes small batches."""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import queue
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from policykit import embedded
from policykit.constraint import Constraint, Vocabulary
from policykit.diagnostics import InternalError, PolicyError
from policykit.engines import transformers as adapter
from policykit.engines.attest import plan_path
from policykit.engines.plan_names import named
from policykit.engines.purses import Purses
from policykit.engines.server.batch import Row, write
from policykit.plan import WarmSets, load_proved

MAX_BATCH = 8
MAX_WAITING = 256
MAX_PLANS = 32


class Busy(Exception):
    """Too many texts wait already."""


class Engine:
    """A causal language model that writes under plans. ``run`` is the directory in which plans lie by digest.

    One thread writes; up to ``max_batch`` texts that wait together are one batch, and the next ones wait until it is
    written. ``close`` ends the thread after what it writes now.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        run: Path,
        *,
        knows_system: bool = True,
        max_batch: int = MAX_BATCH,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self.name, self.run = name, run
        self._model, self._tokenizer, self._knows_system = model, tokenizer, knows_system
        self.vocabulary = Vocabulary.from_tokenizer(tokenizer)
        self.max_length = int(getattr(model.config, "max_position_embeddings", 2048))
        self._max_batch = max_batch
        self._waiting: queue.Queue[Row | None] = queue.Queue(max_waiting)
        self._constraints: OrderedDict[str, Constraint] = OrderedDict()
        self.purses = Purses()
        self._warm = WarmSets.of_environment()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="policykit-engine", daemon=True)
        self._thread.start()

    def prompt_ids(
        self, messages: Sequence[tuple[str, str]], prompt: str | None, *, continues: bool = False
    ) -> list[int]:
        """The tokens of a prompt, or of a chat in the model's template, open at its end if the text ``continues`` it.
        Raises ValueError for a last message that the template does not show."""
        if prompt is not None:
            return cast(list[int], self._tokenizer(prompt)["input_ids"])
        known = [{"role": role, "content": text} for role, text in messages if self._knows_system or role != "system"]
        return cast(
            list[int],
            self._tokenizer.apply_chat_template(
                known,
                add_generation_prompt=not continues,
                continue_final_message=continues,
                tokenize=True,
                return_dict=False,
            ),
        )

    def constraint(self, digest: str) -> Constraint:
        """The masks of a plan in the run directory; slow at first. Raises PolicyError, or Malformed for no digest."""
        path = plan_path(self.run, digest)
        with self._lock:
            found = self._constraints.get(digest)
            if found is None:
                with named(path, f"plan {digest}"):
                    plan = load_proved(path)
                    if plan.digest != digest:
                        raise InternalError(f"what lies there as the plan `{digest}` is another one")
                    found = plan.constraint(self.vocabulary)
                if self._warm is not None:
                    self._warm.meet(plan, found)
                    self._warm.keep_on()
                self._constraints[digest] = found
                while len(self._constraints) > MAX_PLANS:
                    self._constraints.popitem(last=False)
            self._constraints.move_to_end(digest)
            return found

    def start(self, row: Row, payer: str, is_own: bool) -> None:
        """Put a text's mask in its place, in this thread: no step of the others waits for it. ``is_own``: its grammar
        came with the request, and ``payer`` pays for it. Raises PolicyError (PK209) where it takes too long, and
        whatever keeps the text from being written."""
        begins = bool(row.is_attempt or row.begun or (row.in_grammar and row.prefix))
        with self.purses.first_mask(row.constraint.digest, payer, is_own, begins=begins) as row.spent:
            try:
                row.start()
            except InternalError as error:
                if row.constraint.grammar is None:
                    raise
                why = f"no mask can be made of it: {error}"
                raise PolicyError.of("PK209", why, help="make the grammar smaller") from error

    def submit(self, row: Row) -> None:
        """Have a text written. Raises Busy."""
        try:
            self._waiting.put_nowait(row)
        except queue.Full:
            raise Busy from None

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            rows, is_last = [first], False
            while len(rows) < self._max_batch:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    is_last = True
                    break
                rows.append(more)
            self._write(rows)
            if is_last:
                return

    def _write(self, rows: list[Row]) -> None:
        pad_id = self._tokenizer.pad_token_id
        try:
            write(self._model, rows, self.vocabulary.eos_ids[0] if pad_id is None else pad_id)
        except Exception as error:  # the model itself failed: every text of the batch has, and the worker goes on
            for row in rows:
                row.on_error(error)


def load_engine(name: str, run: Path, *, max_batch: int = MAX_BATCH) -> Engine:
    """The model of a folder, a hub id or `embedded`. Raises PolicyError if there is none, or no masks for it.

    The embedded model knows no system prompts, so it is not given any.
    """
    model, tokenizer = adapter.load_model(name)
    return Engine(name, model, tokenizer, run, knows_system=name != embedded.NAME, max_batch=max_batch)
