"""The functions of a task, as the loops here call them: what goes wrong is told at the place that names them."""

import asyncio
from collections.abc import Callable, Iterable
from inspect import isawaitable
from pathlib import Path
from traceback import extract_tb
from typing import Any, cast

from policykit.diagnostics import Place, PolicyError
from policykit.rewards.trl import Rewards, Term


def named(function: Callable[..., Any], said: str, place: Place) -> Term:
    """A function of TRL's contract, which may have to be waited for, by what the file calls it.

    Raises PolicyError (PK761) for whatever the function raises, also where it would end the process.
    """
    loops: list[asyncio.AbstractEventLoop] = []  # one for all calls: what a function keeps open belongs to its loop

    def waited(found: Any) -> Any:
        if not loops:
            loops.append(asyncio.new_event_loop())
        return loops[0].run_until_complete(found)

    def asked(prompts: object, completions: object, **columns: Any) -> Rewards:
        try:
            found: Any = function(prompts=prompts, completions=completions, **columns)
            found = waited(found) if isawaitable(found) else found
            is_list = isinstance(found, Iterable) and not isinstance(found, str | bytes)
            return list(cast("Iterable[float | None]", found)) if is_list else cast("Rewards", found)
        except PolicyError:
            raise
        except (Exception, SystemExit) as error:
            frames = extract_tb(error.__traceback__)
            at = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if len(frames) > 1 else ""
            help = "mend it: it gets the columns of the rows by name, must take others, and empty completions too"
            raise PolicyError.of("PK761", f"`{said}` failed: {told(error)}{at}", place, help) from error

    return asked


def told(error: BaseException) -> str:
    """An exception of a user's function in one line."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
