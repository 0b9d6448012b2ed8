import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

torch = pytest.importorskip("torch", reason="the engines need torch and transformers")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def embedded_model():
    from policykit.engines.transformers import load_model

    return load_model("embedded")


@pytest.fixture(scope="session")
def vocabulary():
    from policykit.constraint import Vocabulary
    from policykit.embedded import tokenizer_path

    return Vocabulary.from_file(tokenizer_path())
