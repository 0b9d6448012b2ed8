"""What a prompt ends with: the text that the output goes on from, read off the tokens that the model reads."""

from collections.abc import Sequence
from typing import Any

from policykit.constraint import Vocabulary
from policykit.diagnostics import PolicyError


def check_continued(begun: bytes, token_ids: Sequence[int], vocabulary: Vocabulary) -> None:
    """Raises PolicyError (PK748) unless the prompt ends with ``begun``, and with nothing special in it: the mask would
    stand behind another text than the model does."""
    if not tail_of_prompt(token_ids, vocabulary.tokens, vocabulary.special_ids).endswith(begun):
        message = "the prompt does not end with the message that is to be continued"
        help = "templates trim white space and drop parts: end the message with a word, and put no special tokens in"
        raise PolicyError.of("PK748", message, help=help)


def prompt_ids(tokenizer: Any, prompt: str, chat: bool | None = None) -> tuple[int, ...]:
    """A prompt's token ids: in the tokenizer's chat template with ``chat``, by default where it has one."""
    in_template = tokenizer.chat_template is not None if chat is None else chat
    if in_template:
        messages = [{"role": "user", "content": prompt}]
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tuple(tokenizer(prompt, add_special_tokens=not in_template)["input_ids"])


def tail_of_prompt(token_ids: Sequence[int], tokens: Sequence[bytes], special_ids: frozenset[int]) -> bytes:
    """What the prompt writes after its last special token: text that may begin a match which the output completes."""
    start = len(token_ids)
    while start and token_ids[start - 1] not in special_ids:
        start -= 1
    data = b"".join(tokens[i] for i in token_ids[start:] if i < len(tokens))
    return data.decode("utf-8", "ignore").encode() if _broken(data) else data


def _broken(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end < len(data) or error.reason != "unexpected end of data"
    return False
