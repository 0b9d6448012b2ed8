"""Codes PK400–PK499: vocabularies, constraints and engines."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK400",
        "no end of text",
        "A mask decides when a text may end, so it must know the token that ends it. It is read from "
        "`generation_config.json`, `config.json`, `tokenizer_config.json` or `special_tokens_map.json` beside "
        "`tokenizer.json`, or is the one well-known name among the special tokens. None was found, or several.",
        "Vocabulary.from_file('tokenizer.json', eos_token='<|no such token|>')",
    ),
    CodeEntry(
        "PK401",
        "the tokenizer edits text when it decodes",
        "A mask speaks about the bytes of the tokens. If decoding then cleans up spaces, or changes the text in any "
        "other way, the reader gets a text that no mask has seen.",
        '{"clean_up_tokenization_spaces": true}',
    ),
    CodeEntry(
        "PK402",
        "the vocabulary cannot spell every text",
        "Where a byte of UTF-8 has no token of its own, some legal continuation may have no spelling, and a text could "
        "run into a dead end that no plan foresees.",
    ),
    CodeEntry(
        "PK403",
        "unknown kind of tokenizer",
        "Two encodings of bytes are known: byte-level (GPT-2) and byte fallback (SentencePiece), over BPE or Unigram. "
        "Others, such as WordPiece, do not say which bytes a token writes.",
        '{"model": {"type": "WordPiece"}, "decoder": {"type": "WordPiece"}}',
    ),
    CodeEntry(
        "PK404",
        "the tokenizer cannot be read",
        "A vocabulary comes from a `tokenizer.json` and the configuration files beside it. One is missing or not "
        "JSON, or the tokenizer is a slow one, which has none.",
        "Vocabulary.from_file('missing/tokenizer.json')",
    ),
    CodeEntry(
        "PK405",
        "a rule on the start of the text, and a tokenizer that edits it",
        "Decoders of SentencePiece models drop one space at the start of what they decode. A rule that is anchored "
        "there would read another text than the mask: ` foo` is written, `foo` is shown.",
        "match: {regex: ['^foo']} with a Llama 2 tokenizer",
    ),
    CodeEntry(
        "PK450",
        "no model in this folder",
        "A model folder holds at least `config.json`, the weights and `tokenizer.json`, as `save_pretrained` writes "
        "them. The path names no folder, or a folder without a model.",
        "policykit generate --model ./no-such-model",
    ),
    CodeEntry(
        "PK451",
        "the model cannot be loaded",
        "What was named is neither a local folder nor could it be had from the hub: the name is unknown, there is no "
        "network, or HF_HUB_OFFLINE forbids fetching; or the folder's files are damaged or of an unknown architecture.",
        "HF_HUB_OFFLINE=1 policykit generate --model some/model",
    ),
    CodeEntry(
        "PK452",
        "a model that takes no mask",
        "A plan is held while a model writes by masking the scores of its tokens. A model behind an API, or one whose "
        "scores come in another kind of tensor, gives no access to them.",
        "policykit.engines.outlines.generator(outlines.from_openai(client, name), plan)",
    ),
    CodeEntry(
        "PK453",
        "a tokenizer with more tokens than the model",
        "The tokenizer has ids that the model has no scores for: tokens were added to it (one for padding, say) and "
        "the model was not resized, or it is another model's. The model could not read such a token, and what is "
        "proved of masks, that there is always a way on, would not hold of tokens that it cannot write.",
        "policykit sample --model model-with-a-token-too-many ...",
    ),
    CodeEntry(
        "PK470",
        "an unknown decoding strategy",
        "How a model is made to write what the plan admits has a name: mask, reject, exact, block, auto or weighted.",
        "policykit sample --strategy exakt",
    ),
    CodeEntry(
        "PK471",
        "the engine cannot run the strategy",
        "Weights are products of the legal mass at every place. An engine that shows chosen tokens only cannot give "
        "them, and weights that are made up would be worse than none. Strategies also take texts back to an earlier "
        "place, which a model whose layers keep one running state (linear attention) cannot do.",
        "sample(a_server, prompt, plan, Weighted())",
    ),
    CodeEntry(
        "PK472",
        "masks and verdicts of two plans",
        "What is drawn under one plan and judged by another is enforced by neither. The constraint must be the plan's.",
        "sample(engine, prompt, plan, Mask(), constraint=another_plan.constraint(vocabulary))",
    ),
    CodeEntry(
        "PK473",
        "settings with which nothing can be drawn",
        "A text has at least one token, a temperature is a positive number, a seed is 0 or more, a share of the mass "
        "lies between 0 and 1, and the best of n are chosen among at least as many as are wanted. Anything else would "
        "draw nothing, or never end.",
        "sample(engine, prompt, plan, Weighted(stride=0))",
    ),
    CodeEntry(
        "PK474",
        "a model without probabilities",
        "What a strategy draws, remembers and weighs are the model's probabilities. NaN is none, as logits that "
        "overflow in a narrow type give, and neither is a distribution that does not sum to 1.",
        "a model in float16 whose logits are infinite",
    ),
    CodeEntry(
        "PK740",
        "a request without a plan",
        "On vLLM every request is decoded under a plan: the one that the guard names, or the engine's default one. "
        "There was neither, and a text without a mask is never written.",
        "a request straight to the engine, with no POLICYKIT_DEFAULT_PLAN",
    ),
    CodeEntry(
        "PK741",
        "no such plan in the run directory",
        "The guard saves each plan in the run directory, and the engine loads it from there by its digest. It was not "
        "there, or the file holds another plan.",
        "guard and engine started with different POLICYKIT_RUN",
    ),
    CodeEntry(
        "PK743",
        "an output grammar that is not taken",
        "vLLM takes output grammars in several notations. JSON Schema, regular expressions, choices, Lark, GBNF and "
        "structural tags are masked; others are refused rather than left to another backend.",
        '{"structured_outputs": {"choice": [1]}}',
    ),
    CodeEntry(
        "PK744",
        "an untested vLLM version",
        "The plugin takes hold of vLLM's source at ten places, which move between versions. On a version that it was "
        "not tested with it does not start.",
        "policykit beside vllm==0.31",
    ),
    CodeEntry(
        "PK745",
        "vLLM's source has changed",
        "What the plugin relies on is looked up in vLLM's source when it is installed. Something does not stand there "
        "any more, so the mask could be bypassed.",
        "a vLLM in which `StructuredOutputManager._create_grammar` has another name",
    ),
    CodeEntry(
        "PK746",
        "a malformed request for a mask",
        "Which plan a request is decoded under is written into its extra arguments by the guard. What stands there is "
        "not what the guard writes.",
        '{"vllm_xargs": {"policykit": "{}"}}',
    ),
    CodeEntry(
        "PK747",
        "no mask can be made",
        "The engine runs without its tokenizer, or making the mask failed in a way that was not foreseen. The request "
        "or the start fails.",
        "vllm serve --skip-tokenizer-init --structured-outputs-config.backend policykit",
    ),
    CodeEntry(
        "PK748",
        "a message that cannot be continued",
        "An answer that continues a message is masked from the end of that message on. The prompt that the chat's "
        "template has made does not end with it, so that mask and model would not stand at the same place.",
        'continue_final_message behind `"content": "Certainly! "`, with a template that trims white space',
    ),
    CodeEntry(
        "PK749",
        "an attempt that the engine does not draw",
        "Strategies that go back draw without the mask, and the guard judges what came before any of it is shown. An "
        "engine does so only where it was started for it, because nothing else may send it requests then.",
        "decoding: {strategy: block}, on a vLLM that was started without POLICYKIT_ATTEMPTS=1",
    ),
)
