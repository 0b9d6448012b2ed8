"""What the first stream of a plan would build while it reads, built ahead."""

from collections.abc import Iterable, Iterator
from string import ascii_lowercase

from policykit.streaming.joint import Cursor
from policykit.streaming.phrases import TaggedPhrases
from policykit.streaming.program import Program, Watch

MOST = 200_000
"""Characters that are read at most."""
_PLAIN = "Dear Ms Example, it's 9 % (of $1,200) - see https://a.example/b?c=d; so! 01/02/2003, 12:30, A-1_2 *x*.\n"


def warm(program: Program) -> None:
    """Have the automata of a program read text that is made of its phrases. What they find is let go."""
    for watch in (*program.watches, *program.observed):
        n = 0
        for text in _texts(watch):
            n += len(text)
            if n > MOST:
                break
            Cursor(watch.joint, watch.joint.start).read(watch.joint.symbols(text))


def _texts(watch: Watch) -> Iterator[str]:
    """Harmless text, the words of all phrases as they stand in sentences, and every other letter behind the first."""
    yield _PLAIN
    phrases = [slot.names for slot, part in zip(watch.slots, watch.joint.parts, strict=True) if _is_phrases(part)]
    split = [phrase.split() for phrase in dict.fromkeys(name for names in phrases for name in names)]
    yield from _in_sentences(dict.fromkeys(word for words in split for word in words))
    for first in dict.fromkeys(words[0] for words in split if len(words) > 1):
        yield "".join(f"{first} {letter}  " for letter in ascii_lowercase + "AI(1")


def _is_phrases(part: object) -> bool:
    return isinstance(part, TaggedPhrases)


def _in_sentences(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        yield f" {word} {word[:-1]} {word.capitalize()} {word}. {word}, {word}s "
