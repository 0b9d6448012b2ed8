"""Phrases with the starts of what is begun: the trie of the finder, read with tags."""

from collections.abc import Iterable

from policykit.automata.alphabet import PHRASE_WORD
from policykit.automata.phrases import ANYWHERE, AT_BOUNDARY, ENDS, ENDS_AT_BOUNDARY, PhraseTrie
from policykit.streaming.tags import UNSET, Completed, Tag, TagState, TagStates, TagStep, tags_of


class TaggedPhrases:
    """Finds every phrase of a trie, each with its start; of two starts at one node the older is kept."""

    is_varied = True

    def __init__(self, trie: PhraseTrie) -> None:
        self.alphabet = trie.alphabet
        self._trie = trie
        self._is_word = tuple(bool(f & PHRASE_WORD) for f in trie.alphabet.flags)
        self._goes_on = tuple(
            final == ENDS_AT_BOUNDARY or bool(trie.read_by((node,))) for node, final in enumerate(trie.final)
        )
        self.states = TagStates()
        self.start = self.states.state(0, (), 0)

    def step(self, state: TagState, classes: tuple[int, ...]) -> TagStep:
        """Read one character of the text, given by the classes of its image."""
        if len(classes) == 1 and state.threads and self._leaves(state, classes[0]):
            fresh = self.states.state(state.before, (), 0)
            known = fresh.memo.get(classes)
            if known is None:
                known = fresh.memo[classes] = self.step(fresh, classes)
            return known
        before = bool(state.before)
        threads = tags_of(state)
        completed: list[Completed] = []
        for j, symbol in enumerate(classes):
            word = self._is_word[symbol]
            if word != before:
                self._ended(threads, ENDS_AT_BOUNDARY, j, completed)
            ahead: dict[int, Tag] = {}
            threads.setdefault(ANYWHERE, (j, UNSET))
            if word != before:
                threads.setdefault(AT_BOUNDARY, (j, UNSET))
            for node, tag in threads.items():
                for to in self._moves(node, symbol):
                    if to not in ahead or tag < ahead[to]:
                        ahead[to] = tag
            before = word
            self._ended(ahead, ENDS, j + 1, completed)
            threads = {node: tag for node, tag in ahead.items() if self._goes_on[node]}
        return self.states.aged(int(before), state.n_registers, threads, tuple(completed))

    def _leaves(self, state: TagState, symbol: int) -> bool:
        """Whether nothing that is begun goes on with the symbol, nor is complete before it: then the step is that of a
        state without threads, which is known from elsewhere."""
        trie = self._trie
        if state.n_registers or trie.also or symbol == trie.separator:
            return False
        ends = bool(state.before) != self._is_word[symbol]
        for node, _, _ in state.threads:
            if symbol in trie.children[node] or (ends and trie.final[node] == ENDS_AT_BOUNDARY):
                return False
        return True

    def _moves(self, node: int, symbol: int) -> Iterable[int]:
        if symbol != self._trie.separator and not self._trie.also:
            to = self._trie.children[node].get(symbol)
            return () if to is None else (to,)
        return self._trie.moves((node,), symbol)

    def finish(self, state: TagState) -> tuple[Completed, ...]:
        """What the end of the text completes."""
        completed: list[Completed] = []
        if state.before:
            self._ended(tags_of(state), ENDS_AT_BOUNDARY, 0, completed)
        return tuple(completed)

    def _ended(self, threads: dict[int, Tag], kind: int, at: int, completed: list[Completed]) -> None:
        for node, (start, _) in threads.items():
            if self._trie.final[node] == kind:
                completed.append(Completed(self._trie.owners[node][0], start, at, at))
