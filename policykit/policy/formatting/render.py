"""A layout as text: two spaces a level, fields in the order of the field table, comments with what they are about."""

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from policykit.policy.formatting.layout import (
    Block,
    BlockMapping,
    BlockSequence,
    Empty,
    Field,
    Item,
    Layout,
    Leaf,
    Remark,
)
from policykit.policy.shapes import Either, Many, Record, Ref, Row, Shape
from policykit.policy.table import RECORDS

_STEP = 2


def render(layout: Layout, shape: Shape) -> str:
    """The text of ``layout``, whose root has the form ``shape``. It ends with one line break."""
    above, root = _head(layout.root)
    lines = [*layout.head, *_remarks(above, 0), *_block(root, 0, shape), *_remarks(layout.tail, 0)]
    return "\n".join(_spaced(lines)) + "\n"


def _head(root: Block) -> tuple[Sequence[Remark], Block]:
    """Comments above the first blank line are about the file and stay at its top, whichever field comes first."""
    if not isinstance(root, BlockMapping):
        return (), root
    lead = root.fields[0].key.anchor.lead
    end = max((number for number, remark in enumerate(lead, 1) if not remark.text), default=0)
    above = lead[:end]
    del lead[:end]
    return above, root


def _spaced(lines: Iterable[str]) -> Iterator[str]:
    """No blank line at the top or at the end, and no two in a row; lines inside of values hold their own breaks."""
    waiting, started = False, False
    for line in lines:
        if not line:
            waiting = True
            continue
        if waiting and started:
            yield ""
        waiting, started = False, True
        yield line


def _remarks(remarks: Iterable[Remark], indent: int) -> list[str]:
    return [" " * indent + remark.text if remark.text else "" for remark in remarks]


def _block(block: Block, indent: int, shape: Shape | None) -> list[str]:
    match block:
        case Leaf():
            return [*_remarks(block.anchor.lead, indent), _leaf(block, indent, -1)]
        case Empty():
            return []
        case BlockSequence():
            lines = [line for item in block.items for line in _item(item, indent, _inside(shape))]
            lines += _remarks(block.tail, indent)
        case BlockMapping():
            lines = [line for part in _ordered(block, shape) for line in _field(part, indent, shape)]
            lines += _remarks(block.tail, indent)
        case _:
            assert_never(block)
    return lines


def _leaf(leaf: Leaf, indent: int, parent_indent: int) -> str:
    """The leaf's source. Its further lines move with the block that holds it, so folding and literals stay the same."""
    first, *more = leaf.source.split("\n")
    shift = parent_indent - leaf.parent_column
    rest = "".join("\n" + _shifted(line, shift) for line in more)
    return " " * indent + first + rest + leaf.anchor.comment


def _shifted(line: str, shift: int) -> str:
    held = len(line) - len(line.lstrip(" "))
    return " " * max(held + shift, 0) + line[held:] if line else line


def _field(part: Field, indent: int, shape: Shape | None) -> list[str]:
    anchor, value = part.key.anchor, part.value
    lines = [*_remarks(anchor.lead, indent), " " * indent + part.key.source + ":" + anchor.comment]
    match value:
        case Leaf() if value.anchor.breaks:
            lines += [*_remarks(value.anchor.lead, indent + _STEP), _leaf(value, indent + _STEP, indent)]
        case Leaf():
            lines[-1] += " " + _leaf(value, 0, indent)
        case _:
            inner = _block(value, indent + _STEP, _of(shape, part.key.text))
            while inner and not inner[0]:
                del inner[0]
            lines += inner
    return lines


def _item(item: Item, indent: int, shape: Shape | None) -> list[str]:
    """A list's item begins on the line of its dash; comments between the two go above the dash."""
    above = _remarks(item.dash.lead, indent)
    if item.dash.comment:
        above.append(" " * indent + item.dash.comment.strip())
    match item.value:
        case Empty():
            return [*above, " " * indent + "-"]
        case Leaf() as leaf:
            above += _remarks(leaf.anchor.lead, indent)
            return [*above, " " * indent + "- " + _leaf(leaf, 0, indent)]
        case _:
            inner = _block(item.value, indent + _STEP, shape)
            first = next(number for number, line in enumerate(inner) if _is_code(line))
            above += [line and " " * indent + line.lstrip(" ") for line in inner[:first]]
            return [*above, " " * indent + "- " + inner[first].lstrip(" "), *inner[first + 1 :]]


def _is_code(line: str) -> bool:
    return bool(line) and not line.lstrip(" ").startswith("#")


# -- the order of fields ------------------------------------------------------------------------------------------


def _record(shape: Shape | None) -> Record | None:
    match shape:
        case Ref(name):
            return RECORDS[name]
        case Either(_, Ref(name)) | Row(Ref(name), _):
            return RECORDS[name]
        case _:
            return None


def _of(shape: Shape | None, name: str) -> Shape | None:
    record = _record(shape)
    field = record and record.field(name)
    return field.shape if field else None


def _inside(shape: Shape | None) -> Shape | None:
    return shape.item if isinstance(shape, Many) else None


def _ordered(block: BlockMapping, shape: Shape | None) -> Sequence[Field]:
    """As the table has them; what is data, and fields that it does not know, stay as they stand."""
    record = _record(shape)
    if record is None:
        return block.fields
    rank = {name: number for number, name in enumerate(record.names)}
    return sorted(block.fields, key=lambda part: rank.get(part.key.text, len(rank)))
