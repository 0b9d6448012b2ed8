"""Tokens as a trie over symbol classes, and the walks that turn an automaton's state into a mask.

Built level by level with numpy, without sorting strings. A trie can be *reduced* by a coarser alphabet: nodes that
an automaton cannot tell apart fall together, so a regular expression over 15 classes walks a few thousand nodes
where the vocabulary has hundreds of thousands.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Wide = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenTrie:
    """Nodes are numbered by level; the children of a node are contiguous.

    ``parent[n]``, ``symbol[n]``; ``levels`` are half-open node ranges below the root; ``first_child[n]`` to
    ``first_child[n + 1]`` are the children of ``n``. ``token_node[i]`` is the node of the i-th listed token.
    Tokens in depth-first order: the subtree of ``n`` holds ``order[begin[n] : begin[n] + size[n]]``.
    """

    parent: Ints
    symbol: Ints
    levels: tuple[tuple[int, int], ...]
    first_child: Ints
    token_node: Ints
    order: Ints
    begin: Ints
    size: Ints

    @property
    def n(self) -> int:
        return len(self.parent)


def build(symbols: Ints, offsets: Ints, token_ids: Ints, n_symbols: int) -> TokenTrie:
    """The trie of token images: image i is ``symbols[offsets[i]:offsets[i + 1]]``."""
    lengths = np.diff(offsets)
    at = np.zeros(len(lengths), np.int64)
    parents, labels = [np.zeros(1, np.int64)], [np.full(1, -1, np.int64)]
    levels: list[tuple[int, int]] = []
    n, active = 1, np.arange(len(lengths))
    for depth in range(int(lengths.max(initial=0))):
        active = active[lengths[active] > depth]
        key = at[active] * n_symbols + symbols[offsets[active] + depth]
        distinct, inverse = np.unique(key, return_inverse=True)
        parents.append(distinct // n_symbols)
        labels.append(distinct % n_symbols)
        at[active] = n + inverse
        levels.append((n, n + len(distinct)))
        n += len(distinct)
    return _finish(np.concatenate(parents), np.concatenate(labels), tuple(levels), at, token_ids)


def reduce(trie: TokenTrie, symbol_map: Ints, n_symbols: int, token_ids: Ints) -> TokenTrie:
    """The same tokens over a coarser alphabet; a symbol mapped to -1 is erased."""
    node = np.zeros(trie.n, np.int64)
    parents, labels = [np.zeros(1, np.int64)], [np.full(1, -1, np.int64)]
    levels: list[tuple[int, int]] = []
    depth = np.zeros(trie.n, np.int64)
    mapped = np.concatenate(([-1], symbol_map[trie.symbol[1:]]))
    for a, b in trie.levels:
        depth[a:b] = depth[trie.parent[a:b]] + (mapped[a:b] >= 0)
    keep = mapped >= 0
    # An erased edge joins a node with its parent, so reduced levels are not the trie's levels: go by reduced depth,
    # and within it let every node look up its nearest ancestor that is kept.
    anchor = np.arange(trie.n)
    for a, b in trie.levels:
        anchor[a:b] = np.where(keep[a:b], np.arange(a, b), anchor[trie.parent[a:b]])
    kept = np.flatnonzero(keep)
    by_depth = kept[np.argsort(depth[kept], kind="stable")]
    bounds = np.searchsorted(depth[by_depth], np.arange(1, int(depth.max(initial=0)) + 2))
    n = 1
    for i in range(len(bounds) - 1):
        nodes = by_depth[bounds[i] : bounds[i + 1]]
        key = node[anchor[trie.parent[nodes]]] * n_symbols + mapped[nodes]
        distinct, inverse = np.unique(key, return_inverse=True)
        parents.append(distinct // n_symbols)
        labels.append(distinct % n_symbols)
        node[nodes] = n + inverse
        levels.append((n, n + len(distinct)))
        n += len(distinct)
    at = node[anchor[trie.token_node]]
    return _finish(np.concatenate(parents), np.concatenate(labels), tuple(levels), at, token_ids)


def _finish(
    parent: Wide, symbol: Wide, levels: tuple[tuple[int, int], ...], token_node: Wide, token_ids: Ints
) -> TokenTrie:
    n = len(parent)
    own = np.bincount(token_node, minlength=n).astype(np.int64)
    size = own.copy()
    for a, b in reversed(levels):
        np.add.at(size, parent[a:b], size[a:b])
    children = np.bincount(parent[1:], minlength=n)
    first_child = np.concatenate(([1], 1 + np.cumsum(children)))
    begin = np.zeros(n, np.int64)
    for a, b in levels:
        before = np.cumsum(size[a:b]) - size[a:b]
        up = parent[a:b]
        begin[a:b] = begin[up] + own[up] + before - before[first_child[up] - a]
    order = token_ids[np.argsort(begin[token_node].astype(np.int32), kind="stable")]
    return TokenTrie(
        parent=parent.astype(np.int32),
        symbol=symbol.astype(np.int32),
        levels=levels,
        first_child=first_child.astype(np.int32),
        token_node=token_node.astype(np.int32),
        order=order.astype(np.int32),
        begin=begin.astype(np.int32),
        size=size.astype(np.int32),
    )
