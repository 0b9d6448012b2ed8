"""Codes PK840–PK859: evaluation, adapters and pipelines."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK840",
        "a row of data that cannot be read",
        "Data of an evaluation are JSON Lines: one object a line, with `prompt`, for outputs with `output` or "
        "`completion` too, and as the metrics need with `reference`, `citations`, `facts` and `cohort`. A column that "
        "is nearly one of these is taken for a slip: its metric would be missing, and nobody would notice.",
        '{"promt": "Is it safe?"}',
    ),
    CodeEntry(
        "PK841",
        "a base that a model cannot be measured against",
        "The KL divergence and the margins of preference pairs are against the model that training began with: the "
        "model without its adapter, or the one that `--base` names. It has the same vocabulary.",
        "policykit eval --model merged/ --pairs pairs.jsonl …",
    ),
    CodeEntry(
        "PK842",
        "an adapter that was trained under other policies",
        "An adapter's folder says under which policies it was trained. What a plan enforces, it enforces under any "
        "adapter; but an adapter of another bundle has not learnt what this plan forbids, and its evaluation says "
        "nothing about it: evaluating and serving say so, `generate` and `sample` refuse it. The digest stands in the "
        "weights too: pins of other weights are refused everywhere.",
    ),
    CodeEntry(
        "PK843",
        "adapters that cannot be used or composed",
        "Several LoRA adapters become one exactly if their matrices are stacked along the rank (`cat`). Every other "
        "combination changes what they do. Adapters that do more than add a product of two matrices (DoRA, biases, "
        "whole layers), that belong to several base models, or that a server cannot load at their rank are refused.",
        "policykit adapter compose base/ tenant/ -o both/ --method linear",
    ),
    CodeEntry(
        "PK844",
        "a folder that holds no evaluation",
        "`policykit eval -o FOLDER` writes `results.json` and `outputs.jsonl`; a comparison reads both.",
    ),
    CodeEntry(
        "PK845",
        "a pattern for citations that cannot be used",
        "Citations are found by a regex in RE2 syntax, which runs in linear time: no lookaround, no backreferences. "
        "Its first group, or the whole match, is the name of a source. Without a pattern they are found as the plan's "
        "rules demand them, of which there must be one.",
        r"policykit eval --citations '(?<=\[)K\d+' …",
    ),
    CodeEntry(
        "PK846",
        "runs that cannot be compared",
        "Runs are compared prompt by prompt, and by what one plan says about their texts. Runs on other prompts, or "
        "judged by another plan, would differ by that and not by the model. Outputs can be judged anew: they are data.",
        "policykit eval --compare yesterday/ today/",
    ),
    CodeEntry(
        "PK847",
        "a pipeline that does not fit together",
        "A pipeline names its stages' kinds of training, each stage by a name of its own, and one plan for all: what "
        "is trained, composed and evaluated is held against the same policies.",
        "stages: [{name: taught, train: sfft}]",
    ),
    CodeEntry(
        "PK848",
        "a finished stage that was changed",
        "A stage's folder is named after everything that its result depends on, and a finished one is used again. Its "
        "adapter has other bytes now than when it was finished: what follows from it would not be what its name says.",
    ),
)
