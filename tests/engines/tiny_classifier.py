"""A text-classification model that is trained here, in a second: is a word for borrowing in the text?"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
FINE = ["the", "weather", "is", "nice", "today", "and", "we", "went", "out", "for", "a", "walk", "in", "the", "park"]
SPAM = ["loan", "borrow"]
LENGTH = 16


def tokenizer() -> PreTrainedTokenizerFast:
    words = [*SPECIAL, *dict.fromkeys(FINE), *SPAM]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=LENGTH, **named)


def train(folder: Path, *, several: bool = False, seed: int = 0) -> Path:
    """Train and save; ``several``: the labels are independent of each other."""
    torch.manual_seed(seed)
    tokens = tokenizer()
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=LENGTH, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        id2label={0: "fine", 1: "spam"}, label2id={"fine": 0, "spam": 1},
        problem_type="multi_label_classification" if several else "single_label_classification",
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    dice = torch.Generator().manual_seed(seed)
    for _ in range(250):
        texts, labels = [], []
        for _ in range(16):
            n = int(torch.randint(0, LENGTH - 2, (1,), generator=dice))
            words = [FINE[int(i)] for i in torch.randint(len(FINE), (n,), generator=dice)]
            is_spam = bool(torch.randint(2, (1,), generator=dice))
            if is_spam:
                at = int(torch.randint(n + 1, (1,), generator=dice))
                words.insert(at, SPAM[int(torch.randint(2, (1,), generator=dice))])
            texts.append(" ".join(words))
            labels.append(int(is_spam))
        batch = tokens(texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
        target = torch.nn.functional.one_hot(torch.tensor(labels), 2).float() if several else torch.tensor(labels)
        loss = model(**batch, labels=target).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder
