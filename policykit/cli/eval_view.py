"""An evaluation on a terminal: the summary, every rule, and what is wrong."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table as RichTable
from rich.text import Text

from policykit.cli.streams import Streams
from policykit.evaluation.pages import Page, Section, Table
from policykit.evaluation.report import page_of, rate_words
from policykit.evaluation.results import Results


def results_view(
    streams: Streams, results: Results, exceeded: Sequence[str], limit: float | None, folder: Path | None
) -> None:
    """The summary and one line per rule; the rest is in the report."""
    page = page_of(results, (), exceeded=(), limit=None)
    _section(streams, page.sections[0])
    table = _table()
    for rule in results.first.by_rule:
        name = f"{rule.rule} (shadow)" if rule.is_shadow else rule.rule
        table.add_row(name, rate_words(rule.rate))
    streams.out.print(table)
    both = results.agreement
    if both is not None:
        streams.out.print(f"the second verifier alone finds fault with {both.n_second_only} texts")
    for name, one in (("the plan", results.first), ("the second verifier", results.second)):
        for error in one.errors if one else ():
            streams.out.print(Text(f"{name} could not check {error.example}: {error.rule}: {error.message}", "red"))
    if limit is not None and not exceeded:
        streams.out.print(Text(f"at most {limit:.2%} violations: kept", "green"))
    for reason in exceeded:
        streams.out.print(Text(f"limit exceeded: {reason}", "bold red"))
    _wrote(streams, folder)


def compared_view(streams: Streams, page: Page, folder: Path | None) -> None:
    """The tables of a comparison."""
    for section in page.sections:
        _section(streams, section)
    _wrote(streams, folder)


def _section(streams: Streams, section: Section) -> None:
    parts = [part for part in section.parts if isinstance(part, str | Table)]
    if not parts:
        return
    streams.out.print(Text(section.title, "bold"))
    for part in parts:
        if isinstance(part, str):
            streams.out.print(part)
        else:
            table = _table(*part.headings if any(part.headings) else ())
            for row in part.rows:
                table.add_row(*row)
            streams.out.print(table)


def _table(*headings: str) -> RichTable:
    return RichTable(*headings, box=None, show_header=bool(headings), pad_edge=False, padding=(0, 2, 0, 0))


def _wrote(streams: Streams, folder: Path | None) -> None:
    if folder is not None:
        streams.out.print(f"wrote {folder}/report.html, report.md and what they are made of")
