"""Tokens that a Lark grammar names, held against a vocabulary: which of them it does not have, and where they stand."""

from bisect import bisect_left, bisect_right

from policykit.diagnostics import Diagnostic, PolicyError
from policykit.diagnostics.suggest import did_you_mean
from policykit.grammar.token_table import TokenTable
from policykit.ir.grammar import GrammarSpec
from policykit.ir.lark import lark_string

MAX_LISTED = 8


def check_named(spec: GrammarSpec, table: TokenTable) -> None:
    """Raises PolicyError (PK219) with every token that the grammar names and that cannot be written here, each at the
    first place where it is named."""
    if not spec.tokens:
        return
    known, found = _Known(table), list[Diagnostic]()
    for name in {name.text: name for name in reversed(spec.tokens)}.values():
        wrong = known.wrong_name(name.text) if name.ids is None else known.wrong_ids(name.ids, name.excludes)
        if wrong is not None:
            why, help = wrong
            found.append(Diagnostic("PK219", f"`{name.text}` {why}", spec.place_in(name.at, len(name.text)), help))
    if found:
        raise PolicyError(found)


_ENDS = ("ends the text, and nothing comes behind that", "leave it out: a text ends where its grammar does")


class _Known:
    """What can be named in a vocabulary: special tokens by name, and ids of tokens that write something."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        self._ends = frozenset(table.eos_ids)
        self._by_name: dict[str, list[int]] = {}
        for token_id in sorted(table.special_ids | self._ends):
            self._by_name.setdefault(table.tokens[token_id].decode("utf-8", "replace"), []).append(token_id)
        is_named = table.special_ids - self._ends
        self._usable = [i for i, token in enumerate(table.tokens) if i not in self._ends and (token or i in is_named)]

    def wrong_name(self, name: str) -> tuple[str, str] | None:
        """Why a special token cannot be named so, and what to do; None where it can."""
        match self._by_name.get(name, []):
            case []:
                return self._unknown(name)
            case [one]:
                return _ENDS if one in self._ends else None
            case several:
                listed = ", ".join(f"`<[{one}]>`" for one in several)
                return f"is the name of {len(several)} special tokens", f"name one by its id: {listed}"

    def _unknown(self, name: str) -> tuple[str, str]:
        text = f"what is to be read is a text: {lark_string(name)}"
        if name.encode() in self._table.tokens:
            return "is an ordinary token of this vocabulary, and no special one", text
        known = [one for one, (first, *_) in self._by_name.items() if first not in self._ends]
        listed = ", ".join(f"`{one}`" for one in known[:MAX_LISTED]) + (", …" if len(known) > MAX_LISTED else "")
        meant = did_you_mean(name, known) or (f"it has {listed};" if known else "it has none that can be named;")
        return "is no special token of this vocabulary", f"{meant} {text}"

    def wrong_ids(self, ids: tuple[tuple[int, int], ...], excludes: bool) -> tuple[str, str] | None:
        """The same for ids: ranges of those that are meant, or of those that are not."""
        size = len(self._table.tokens)
        last = max((high for _, high in ids), default=0)
        if last >= size:
            return f"names the token {last}, and this vocabulary has {size}", f"use ids from 0 to {size - 1}"
        counts = [self._n_usable(low, high) for low, high in _merged(ids)]
        if sum(counts) < len(self._usable) if excludes else any(counts):
            return None
        if not excludes and all(i in self._ends for low, high in ids for i in range(low, min(high, low + size) + 1)):
            return _ENDS
        return "leaves no token that writes something", "name tokens that the vocabulary uses"

    def _n_usable(self, low: int, high: int) -> int:
        return bisect_right(self._usable, high) - bisect_left(self._usable, low)


def _merged(ranges: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """The same numbers in ranges that do not overlap."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found
