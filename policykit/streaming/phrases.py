"""Phrases with the starts of what is begun: the trie of the finder, read with tags."""

from policykit.automata.alphabet import PHRASE_WORD
from policykit.automata.phrases import ANYWHERE, AT_BOUNDARY, ENDS, ENDS_AT_BOUNDARY, PhraseTrie
from policykit.streaming.tags import UNSET, Completed, Tag, TagState, TagStates, TagStep, tags_of


class TaggedPhrases:
    """Finds every phrase of a trie, each with its start; of two starts at one node the older is kept."""

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
        trie, before = self._trie, bool(state.before)
        threads = tags_of(state)
        completed: list[Completed] = []
        for j, symbol in enumerate(classes):
            word = self._is_word[symbol]
            if word != before:
                self._ended(threads, ENDS_AT_BOUNDARY, j, completed)
            ahead: dict[int, Tag] = {}
            roots = ((ANYWHERE, (j, UNSET)), (AT_BOUNDARY, (j, UNSET))) if word != before else ((ANYWHERE, (j, UNSET)),)
            for node, tag in (*threads.items(), *roots):
                for to in trie.moves((node,), symbol):
                    if tag < ahead.get(to, (UNSET, UNSET)):
                        ahead[to] = tag
            threads, before = ahead, word
            self._ended(threads, ENDS, j + 1, completed)
            threads = {node: tag for node, tag in threads.items() if self._goes_on[node]}
        return self.states.aged(int(before), state.n_registers, threads, tuple(completed))

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
