"""How far a long command is: a bar per stage on a terminal, nothing elsewhere."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import Progress, TaskID

from policykit.cli.streams import Streams


@contextmanager
def stages(streams: Streams) -> Generator[Callable[[str, int, int], None]]:
    """Gives a function of (what is done, how many are done, of how many); each stage gets a bar when it begins."""
    with Progress(console=streams.err, transient=True, disable=not streams.err.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show
