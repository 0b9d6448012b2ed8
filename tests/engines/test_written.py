"""What an engine wrote comes back from its parts, whatever its length; parts that do not follow are none."""

import base64
import json
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from transformers import AutoTokenizer

import policykit as pk
from policykit import embedded
from policykit.engines import attest
from policykit.engines.written import PART_BYTES, Parts, Written

IDS = st.lists(st.integers(0, 2**31)).map(tuple)
WRITTEN = st.builds(
    Written, st.text(max_size=9), st.text(max_size=9), st.integers(0, 2**20), IDS, st.text(), st.booleans(), IDS
)


def arrived(parts: list[attest.Part]) -> Written | None:
    found, said = Parts(), None
    for part in parts:
        message = attest.parse(attest.render(part))
        assert isinstance(message, attest.Part)
        assert said is None
        said = found.add(message)
    return said


@given(WRITTEN)
def test_it_comes_back(written: Written) -> None:
    assert arrived(written.parts("r", "0_x")) == written


@pytest.mark.parametrize("n", [30_000, 120_000])
def test_long_texts_come_in_several_datagrams(n: int) -> None:
    chosen = random.Random(n)
    ids = tuple(chosen.randrange(200_000) for _ in range(n))
    written = Written("sha256:a", "sha256:b", 200_000, (1,), "before", False, ids)
    parts = written.parts("r", "0_x")
    assert len(parts) > 1
    assert all(len(attest.render(part)) <= attest.MAX_DATAGRAM for part in parts)
    assert arrived(parts) == written
    assert arrived(parts[:-1]) is None
    with pytest.raises(attest.Malformed):
        arrived(parts[1:])
    with pytest.raises(attest.Malformed):
        arrived([parts[0], *parts])


@pytest.mark.parametrize(
    "data",
    [
        "no base64!",
        base64.b64encode(b"no zlib").decode(),
        *(
            base64.b64encode(zlib.compress(json.dumps(found).encode())).decode()
            for found in ([], {}, {"digest": 1}, {"token_ids": None})
        ),
    ],
)
def test_what_says_nothing_is_malformed(data: str) -> None:
    with pytest.raises(attest.Malformed):
        Parts().add(attest.Part("r", "0", 0, 1, data))


@pytest.mark.parametrize("change", [{"token_ids": [1.5]}, {"token_ids": [True]}, {"token_ids": [-1]}, {"prefix": 1}])
def test_fields_have_their_types(change: dict[str, object]) -> None:
    (part,) = Written("d", "v", 3, (1,), "", False, (1, 2)).parts("r", "0")
    found = json.loads(zlib.decompress(base64.b64decode(part.data)))
    data = base64.b64encode(zlib.compress(json.dumps(found | change).encode())).decode()
    assert len(data) < PART_BYTES
    with pytest.raises(attest.Malformed):
        Parts().add(attest.Part("r", "0", 0, 1, data))


def test_a_vocabulary_has_one_digest_from_its_file_and_from_the_tokenizer(tmp_path: Path) -> None:
    file = embedded.model_path() / "tokenizer.json"
    of_file = pk.Vocabulary.from_file(file)
    of_engine = pk.Vocabulary.from_tokenizer(AutoTokenizer.from_pretrained(str(embedded.model_path())))
    assert of_file.digest == of_engine.digest
    padded = pk.Vocabulary.from_file(file, size=of_file.size + 64, eos_ids=[1, 2])
    assert len({of_file.digest, padded.digest, pk.Vocabulary.from_file(file, size=of_file.size + 64).digest}) == 3
    tokens = list(of_file.tokens)
    tokens[300], tokens[301] = tokens[301], tokens[300]
    swapped = pk.Vocabulary.from_tokens(tokens, of_file.eos_ids, of_file.special_ids)
    assert swapped.digest != of_file.digest
