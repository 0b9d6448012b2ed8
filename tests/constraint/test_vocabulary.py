"""Vocabularies from tokenizer files, against what the tokenizers library itself writes for every token."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policykit import embedded
from policykit.constraint import Vocabulary
from policykit.diagnostics import CATALOGUE, PolicyError

tokenizers = pytest.importorskip("tokenizers", reason="the oracle is the tokenizers library")
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

TEXTS = (
    "We offer guaranteed returns, naïve investors and 日本 markets: 12.5 % a year!",
    "tabs\tand\nline breaks,  two spaces, café au lait, emoji 🙂 and ☃",
    "for (int i = 0; i < n; ++i) { total += a[i]; } // done",
)
ADDED = (" naïve x", "Ġfoo", "é", "日本語", "ab", "▁bar")
"""Added tokens that are not special; the decoder reads their names like any other token's."""


def byte_level() -> Tokenizer:
    """A small byte-level BPE as GPT-2's: 256 bytes and merges, trained here."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|endoftext|>", "<|user|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    return made


def byte_fallback() -> Tokenizer:
    """A small BPE as Llama 2's: characters and merges, bytes for the rest, `▁` for the space."""
    characters = [*sorted(set("".join(TEXTS[0].split())) - set("日本ï")), "▁"]
    merges = [("g", "u"), ("▁", "a"), ("r", "e")]
    words = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *characters, *("".join(m) for m in merges)]
    vocab = {word: i for i, word in enumerate(words)}
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


def write(folder: Path, tokenizer: Tokenizer, **beside: object) -> Path:
    """The tokenizer as a file, with the named JSON files beside it."""
    path = folder / "tokenizer.json"
    path.write_text(tokenizer.to_str(), "utf-8")
    for name, content in beside.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return path


def edited(folder: Path, tokenizer: Tokenizer, change: Callable[[Any], None]) -> Path:
    data = json.loads(tokenizer.to_str())
    change(data)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(data), "utf-8")
    return path


# ---- what the tokens write


@pytest.mark.parametrize("make", [byte_level, byte_fallback])
def test_every_token_writes_what_the_library_decodes(make: Callable[[], Tokenizer], tmp_path: Path) -> None:
    tokenizer = make()
    tokenizer.add_tokens([AddedToken(name, special=False) for name in ADDED])
    vocabulary = Vocabulary.from_file(write(tmp_path, tokenizer))
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    assert vocabulary.size == tokenizer.get_vocab_size()
    assert vocabulary.special_ids == special
    assert vocabulary.is_complete
    anchor = tokenizer.token_to_id("g")
    for i in range(vocabulary.size):
        decoded = tokenizer.decode([anchor, i], skip_special_tokens=True)
        assert decoded == "g" + vocabulary.tokens[i].decode("utf-8", "replace"), tokenizer.id_to_token(i)


@pytest.mark.parametrize("make", [byte_level, byte_fallback])
def test_the_tokens_of_a_text_write_the_text(make: Callable[[], Tokenizer], tmp_path: Path) -> None:
    tokenizer = make()
    vocabulary = Vocabulary.from_file(write(tmp_path, tokenizer))
    rng = random.Random(1)
    texts = [*TEXTS, *("".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xA0, 0x3000), 0x1F642]))
                               for _ in range(20)) for _ in range(50))]  # fmt: skip
    for text in texts:
        assert vocabulary.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text.encode("utf-8")


def test_the_embedded_tokenizer_is_read_as_the_library_reads_it() -> None:
    tokenizer = Tokenizer.from_file(str(embedded.tokenizer_path()))
    vocabulary = Vocabulary.from_file(embedded.tokenizer_path())
    assert vocabulary.size == tokenizer.get_vocab_size()
    assert [tokenizer.id_to_token(i) for i in vocabulary.eos_ids] == ["<|end|>"]
    for i in set(range(vocabulary.size)) - vocabulary.special_ids:
        assert tokenizer.decode([i]) == vocabulary.tokens[i].decode("utf-8", "replace")


def test_a_unigram_model_is_read(tmp_path: Path) -> None:
    words = ["<unk>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "▁returns", "guaranteed"]
    tokenizer = Tokenizer(models.Unigram([(word, -1.0) for word in words], unk_id=0, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    vocabulary = Vocabulary.from_file(write(tmp_path, tokenizer))
    assert vocabulary.tokens[-2:] == (b" returns", b"guaranteed")
    assert tokenizer.decode([len(words) - 1, len(words) - 2]) == "guaranteed returns"


def test_a_space_mark_stays_where_no_step_replaces_it(tmp_path: Path) -> None:
    tokenizer = byte_fallback()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    vocabulary = Vocabulary.from_file(write(tmp_path, tokenizer))
    i = tokenizer.token_to_id("▁a")
    assert vocabulary.tokens[i].decode() == tokenizer.decode([i]) == "▁a"


def test_ids_without_a_token_write_nothing(tmp_path: Path) -> None:
    tokenizer = byte_level()
    vocabulary = Vocabulary.from_file(write(tmp_path, tokenizer), size=512)
    assert vocabulary.size == 512
    assert set(vocabulary.tokens[tokenizer.get_vocab_size() :]) == {b""}
    assert Vocabulary.from_file(tmp_path / "tokenizer.json", size=10).size == tokenizer.get_vocab_size()


def test_a_fast_tokenizer_gives_the_vocabulary_of_its_file() -> None:
    transformers = pytest.importorskip("transformers", reason="the tokenizer of the engine")
    tokenizer = transformers.AutoTokenizer.from_pretrained(embedded.model_path())
    assert Vocabulary.from_tokenizer(tokenizer).tokens == Vocabulary.from_file(embedded.tokenizer_path()).tokens


# ---- where the text ends


def test_the_end_of_text_is_found(tmp_path: Path) -> None:
    tokenizer = byte_level()
    end, user = tokenizer.token_to_id("<|endoftext|>"), tokenizer.token_to_id("<|user|>")
    path = write(tmp_path, tokenizer)
    assert Vocabulary.from_file(path).eos_ids == (end,)
    assert Vocabulary.from_file(path, eos_token="<|user|>").eos_ids == (user,)
    assert Vocabulary.from_file(path, eos_token=["<|user|>", "<|endoftext|>"]).eos_ids == (user, end)
    write(tmp_path, tokenizer, tokenizer_config={"eos_token": {"content": "<|user|>"}})
    assert Vocabulary.from_file(path).eos_ids == (user,)
    write(tmp_path, tokenizer, generation_config={"eos_token_id": [end, user]})
    assert set(Vocabulary.from_file(path).eos_ids) == {end, user}
    write(tmp_path, tokenizer, generation_config={"eos_token_id": [True, -1, 10**9, user]})
    assert Vocabulary.from_file(path).eos_ids == (user,)


def test_an_end_of_text_that_is_no_special_token_becomes_one() -> None:
    tokens = [bytes([b]) for b in range(256)]
    vocabulary = Vocabulary.from_tokens([*tokens, b"<end>"], [256])
    assert vocabulary.special_ids == {256}
    assert vocabulary.tokens[256] == b""


# ---- mistakes


def no_end(folder: Path) -> object:
    def change(data: Any) -> None:
        data["added_tokens"] = []

    return Vocabulary.from_file(edited(folder, byte_level(), change))


def unknown_end(folder: Path) -> object:
    return Vocabulary.from_file(write(folder, byte_level()), eos_token="<|stop|>")


def two_ends(folder: Path) -> object:
    tokenizer = byte_level()
    tokenizer.add_special_tokens(["</s>"])
    return Vocabulary.from_file(write(folder, tokenizer))


def end_before_the_first(folder: Path) -> object:
    return Vocabulary.from_file(write(folder, byte_level(), generation_config={"eos_token_id": -1}))


def end_is_a_truth_value(folder: Path) -> object:
    return Vocabulary.from_file(write(folder, byte_level(), config={"eos_token_id": True}))


def end_behind_the_last(folder: Path) -> object:
    config = {"eos_token_id": [10**6]}
    return Vocabulary.from_file(write(folder, byte_level(), config=config, tokenizer_config={"eos_token": "<|no|>"}))


def cleans_up(folder: Path) -> object:
    config = {"clean_up_tokenization_spaces": True}
    return Vocabulary.from_file(write(folder, byte_level(), tokenizer_config=config))


def cleans_up_in_memory(folder: Path) -> object:
    transformers = pytest.importorskip("transformers", reason="its tokenizers have the switch")
    loaded = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token="<|endoftext|>")
    loaded.clean_up_tokenization_spaces = True
    return Vocabulary.from_tokenizer(loaded)


def unknown_step(folder: Path) -> object:
    tokenizer = byte_fallback()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.CTC()])
    return Vocabulary.from_file(write(folder, tokenizer))


def other_replacement(folder: Path) -> object:
    tokenizer = byte_fallback()
    tokenizer.decoder = decoders.Sequence([decoders.Replace("a", "b"), decoders.ByteFallback()])
    return Vocabulary.from_file(write(folder, tokenizer))


def strips_more(folder: Path) -> object:
    tokenizer = byte_fallback()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Strip(" ", 2, 0)])
    return Vocabulary.from_file(write(folder, tokenizer))


def word_suffix(folder: Path) -> object:
    def change(data: Any) -> None:
        data["model"]["end_of_word_suffix"] = "</w>"

    return Vocabulary.from_file(edited(folder, byte_fallback(), change))


def missing_byte(folder: Path) -> object:
    def change(data: Any) -> None:
        data["model"]["vocab"].pop("<0x7F>")

    return Vocabulary.from_file(edited(folder, byte_fallback(), change))


def wordpiece(folder: Path) -> object:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    return Vocabulary.from_file(write(folder, tokenizer))


def byte_level_and_more(folder: Path) -> object:
    tokenizer = byte_level()
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    return Vocabulary.from_file(write(folder, tokenizer))


def unknown_model(folder: Path) -> object:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer.decoder = decoders.ByteLevel()

    def change(data: Any) -> None:
        data["model"] = {"type": "Characters"}

    return Vocabulary.from_file(edited(folder, tokenizer, change))


def missing_file(folder: Path) -> object:
    return Vocabulary.from_file(folder / "tokenizer.json")


def not_json(folder: Path) -> object:
    (folder / "tokenizer.json").write_text("{")
    return Vocabulary.from_file(folder / "tokenizer.json")


def nested_json(folder: Path) -> object:
    (folder / "tokenizer.json").write_text("[" * 100_000)
    return Vocabulary.from_file(folder / "tokenizer.json")


def not_an_object(folder: Path) -> object:
    (folder / "tokenizer.json").write_text("[]")
    return Vocabulary.from_file(folder / "tokenizer.json")


def malformed_ids(folder: Path) -> object:
    def change(data: Any) -> None:
        data["added_tokens"] = [{"content": "<x>"}]

    return Vocabulary.from_file(edited(folder, byte_level(), change))


def config_not_json(folder: Path) -> object:
    (folder / "config.json").write_text("{")
    return Vocabulary.from_file(write(folder, byte_level()))


def slow_tokenizer(folder: Path) -> object:
    class Slow:
        backend_tokenizer = None
        eos_token_id = 0

    return Vocabulary.from_tokenizer(Slow())


MISTAKES = [
    ("PK400", no_end, "names no end of text"),
    ("PK400", unknown_end, "`<|stop|>`"),
    ("PK400", two_ends, "`<|endoftext|>`, `</s>`"),
    ("PK400", end_before_the_first, "tokens: `-1`"),
    ("PK400", end_is_a_truth_value, "tokens: `true`"),
    ("PK400", end_behind_the_last, "tokens: `1000000`, `<|no|>`"),
    ("PK401", cleans_up, "`clean_up_tokenization_spaces`"),
    ("PK401", cleans_up_in_memory, "`clean_up_tokenization_spaces`"),
    ("PK401", unknown_step, "`CTC`"),
    ("PK401", other_replacement, "`Replace`"),
    ("PK401", strips_more, "`Strip`"),
    ("PK401", word_suffix, "suffix"),
    ("PK402", missing_byte, "`0x7F`"),
    ("PK403", wordpiece, "`WordPiece`"),
    ("PK403", byte_level_and_more, "`Sequence`"),
    ("PK403", unknown_model, "`Characters`"),
    ("PK404", missing_file, "cannot read the tokenizer"),
    ("PK404", not_json, "cannot read the tokenizer"),
    ("PK404", nested_json, "cannot read the tokenizer"),
    ("PK404", not_an_object, "malformed"),
    ("PK404", malformed_ids, "malformed"),
    ("PK404", config_not_json, "`config.json`"),
    ("PK404", slow_tokenizer, "no tokenizer.json"),
]


@pytest.mark.parametrize(("code", "load", "message"), MISTAKES, ids=lambda part: getattr(part, "__name__", None))
def test_a_tokenizer_that_no_mask_can_use_is_refused(
    code: str, load: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.place is not None) == (code, True)
    assert message in found.message
    assert not found.message.endswith(".")
    assert found.help
    assert code in CATALOGUE


def test_an_incomplete_vocabulary_can_be_asked_for() -> None:
    tokens = [b"a", b"b", b""]
    with pytest.raises(PolicyError) as caught:
        Vocabulary.from_tokens(tokens, [2])
    assert [d.code for d in caught.value.diagnostics] == ["PK402"]
    assert not Vocabulary.from_tokens(tokens, [2], allow_incomplete=True).is_complete
