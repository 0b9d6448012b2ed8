"""What the kinds that learn from pairs have in common: their columns, and settings that say what pairs come to."""

from policykit.policy.shapes import Choice, Field, Flag, Number
from policykit.training.rows import Column, ColumnType

COLUMNS = (
    Column("prompt", ColumnType.PROMPT),
    Column("chosen", ColumnType.TEXT, required=False),
    Column("rejected", ColumnType.TEXT, required=False),
    Column("candidates", ColumnType.TEXTS, required=False),
    Column("chosen_cost", ColumnType.NOT_NEGATIVE, required=False),
    Column("rejected_cost", ColumnType.NOT_NEGATIVE, required=False),
    Column("chosen_finish", ColumnType.TEXT, required=False),
    Column("rejected_finish", ColumnType.TEXT, required=False),
    Column("tie", ColumnType.FLAG, required=False),
    Column(
        "margin", ColumnType.NUMBER, required=False, instead="say `margin` in the training file: it is per unit of cost"
    ),
    Column("weight", ColumnType.NOT_NEGATIVE, required=False),
    Column("facts", ColumnType.OBJECT, required=False),
)


def pair_fields(only: str = "") -> tuple[Field, ...]:
    """Fields of a section; ``only`` says for which loss the first two are."""
    return (
        Field("labelSmoothing", Number(0.0, 0.5), f"how often a label is wrong{only}; 0 if not said"),
        Field("margin", Number(0.0, 1000.0), f"per unit of cost between the two{only}; 0 if not said"),
        Field("relabel", Flag(), "true: where the chosen one alone breaks the plan, the two are swapped"),
        Field("ties", Choice(("drop", "half")), "`drop` (default), or `half`: learned as preferred half the time"),
        Field("bothBad", Choice(("drop", "keep")), "pairs that both break the plan: `drop` (default), or `keep`"),
    )
