"""A report as values, and the same report as Markdown and as one HTML file without anything outside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from policykit.evaluation.page_style import STYLE


@dataclass(frozen=True, slots=True)
class Table:
    """A heading for each column, and rows of as many cells."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing with the name of its file."""

    name: str
    title: str
    svg: str


Part = str | Table | Plot


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and what stands below it: paragraphs, tables and plots."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report."""

    title: str
    sections: tuple[Section, ...]

    @property
    def plots(self) -> tuple[Plot, ...]:
        return tuple(part for section in self.sections for part in section.parts if isinstance(part, Plot))


def markdown(page: Page) -> str:
    """GitHub's Markdown; plots are files in `plots/` beside it."""
    lines = [f"# {_in_text(page.title)}", ""]
    for section in page.sections:
        lines += [f"## {_in_text(section.title)}", ""]
        for part in section.parts:
            match part:
                case str():
                    lines += [_in_text(part), ""]
                case Table(headings, rows):
                    lines += [_line(headings), _line(["---"] * len(headings)), *map(_line, rows), ""]
                case Plot(name, title, _):
                    lines += [f"![{_in_text(title)}](plots/{name}.svg)", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_in_text(cell).replace("|", "\\|") for cell in cells) + " |"


def _in_text(words: str) -> str:
    """Names from files stay what they are: no markup, no tags, one line."""
    plain = " ".join(words.split())
    for sign in "\\`*_[]<>":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def html(page: Page) -> str:
    """One file: styles and plots are inside it, and nothing is loaded or run."""
    body = [f"<h1>{escape(page.title)}</h1>"]
    for section in page.sections:
        body.append(f"<section><h2>{escape(section.title)}</h2>")
        body += [_part(part) for part in section.parts]
        body.append("</section>")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(page.title)}</title>'
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body><main>\n'
        + "\n".join(body)
        + ("\n</main></body></html>\n")
    )


def _part(part: Part) -> str:
    match part:
        case str():
            return f"<p>{escape(part)}</p>"
        case Table(headings, rows):
            head = "".join(f"<th>{escape(cell)}</th>" for cell in headings)
            body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        case Plot(_, _, svg):
            return f"<figure>{svg}</figure>"


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{escape(cell)}</td>" for cell in row)


def save_page(folder: Path, page: Page, name: str = "report") -> None:
    """Write `NAME.md` with its plots in `plots/`, and `NAME.html`, which needs nothing beside it."""
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    for plot in page.plots:
        (folder / "plots" / f"{plot.name}.svg").write_text(plot.svg, "utf-8")
    (folder / f"{name}.md").write_text(markdown(page), "utf-8")
    (folder / f"{name}.html").write_text(html(page), "utf-8")
