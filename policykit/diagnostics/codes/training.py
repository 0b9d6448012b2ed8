"""Codes PK780–PK799: training files, their data, and runs."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK780",
        "settings that do not go together",
        "Each setting of the training file is right by itself, but not beside the others: a warm-up that is longer "
        "than the run, a setting that the chosen loss does not read, policies beside a plan that has its own. A "
        "setting that has no effect is refused like any other mistake.",
        "run: {steps: 10, ...}\noptimizer: {warmup: 50}",
    ),
    CodeEntry(
        "PK781",
        "a row that cannot be used",
        "Every line of the data is a JSON object with the columns that the kind of training reads, each of its type. "
        "Rows are never left out silently: what was trained on would not be what the file holds.",
        '{"promt": "Is it safe?", "completion": "The value can fall."}',
    ),
    CodeEntry(
        "PK782",
        "a row that is too long",
        "A prompt and its completion have more tokens than `data.maxTokens`. Cut in the middle, a completion would "
        "teach to stop there. `tooLong: drop` leaves such rows out and counts them.",
    ),
    CodeEntry(
        "PK783",
        "a run that has diverged",
        "A loss or a gradient is no number any more, the loss is many times what it was, or the model is further from "
        "its reference than `guards.maxKl`. What comes after would only cost time. The run folder has what was logged "
        "up to there; the exit status is 1.",
        "optimizer: {rate: 5.0}",
    ),
    CodeEntry(
        "PK784",
        "a run folder that does not fit",
        "A run begins in a folder that is empty or not there, and goes on (`--resume`) only with the settings, data "
        "and plan that it began with. Otherwise its metrics would be of two runs.",
        "policykit train sft support.yaml && policykit train sft support.yaml",
    ),
    CodeEntry(
        "PK785",
        "an adapter that does not fit",
        "The model has no linear layer of a name in `lora.modules`, or an adapter that is to be merged first is of "
        "another model. What PEFT would leave out silently is refused.",
        "lora: {modules: [q_proj, vproj]}",
    ),
    CodeEntry(
        "PK786",
        "a reward model that cannot be used",
        "A folder of `policykit train rm` says what its weights belong to, and under which policies they were trained. "
        "It goes with plans of the same bundle; with features, which are costs of that plan's rules, with that plan "
        "alone. A reward that was learned under other rules would teach what serving does not ask for.",
        "policykit sample --best-of 8 --reward-model other-run/reward-model ...",
    ),
    CodeEntry(
        "PK787",
        "completions that break the plan",
        "`sft` makes its completions more likely, and some of them the plan would not let pass, or could not judge. "
        "Taught by them, a model learns what serving forbids. `sft: {violations: drop}` leaves out those that break it "
        "and counts them; `violations: keep` learns from all, and the run, the adapter's pins and its model card "
        "say how many they were.",
        'policies: [promises.policy.yaml]   # and in the rows: {"completion": "Guaranteed returns!", ...}',
    ),
)
