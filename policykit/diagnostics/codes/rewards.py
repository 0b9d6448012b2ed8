"""Codes PK760–PK779: rewards and training."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK760",
        "a scale of rewards that cancels λ",
        "With rewards divided by the deviation of their group, a group in which only the cost varies has the same "
        "advantages for every λ: the weight of a rule would mean nothing.",
        'GRPOConfig(scale_rewards="group")',
    ),
    CodeEntry(
        "PK761",
        "a reward that cannot be used",
        "A reward function gives one finite number, or None, for every completion; a share of unsupported claims lies "
        "between 0 and 1. A batch of another length would give completions the rewards of others.",
    ),
    CodeEntry(
        "PK762",
        "data of another bundle",
        "The data were made under policies with another digest than those of the plan that is trained with. What "
        "training unlearns would not be what serving forbids.",
    ),
    CodeEntry(
        "PK763",
        "too many rewards could not be computed",
        "A row with a check that failed has no reward and teaches nothing. Where too many rows are lost, what is left "
        "is no sample of the model any more, and the run stops.",
    ),
    CodeEntry(
        "PK764",
        "costs that do not fit the plan",
        "Every rule of the plan that is enforced on outputs is in exactly one group of costs, with a weight of 0 "
        "or more; a name that the plan does not know, a rule in two groups and one in none are refused. So is a rule "
        "in shadow: a weight alone never enforces a rule.",
    ),
    CodeEntry(
        "PK765",
        "a controller that cannot be used",
        "Limits lie between 0 and 1, the window of a Lagrangian controller holds the 3/limit samples without which "
        "the limit cannot be told from zero, and a checkpoint is of the same kind of controller with the same groups.",
    ),
    CodeEntry(
        "PK766",
        "masks that are not those of the sampler",
        "The masks that training replays from plan and tokens must be those under which the tokens were sampled: every "
        "token is allowed by its mask, and log-probabilities under it agree with the engine's within 0.05 nat on "
        "average. Otherwise plan, tokenizer, temperature or sampling (top-p, top-k) differ, and gradients are wrong.",
    ),
    CodeEntry(
        "PK767",
        "rollouts of several modes in one group",
        "Free, masked and rejected rollouts are samples of different distributions. A baseline over two of them is one "
        "of neither.",
    ),
    CodeEntry(
        "PK768",
        "a run of rewards that cannot be exact",
        "Masked rollouts need the constraint that masks them, rejected ones the plan that accepts them and one step a "
        "sample, a baseline two completions; TRL's versions are those whose inner functions were read. What would "
        "train on another distribution than it samples is refused before the first step.",
    ),
    CodeEntry(
        "PK769",
        "training that has diverged",
        "The KL to the reference is above the run's limit, or a gradient is no number. What follows would be no better "
        "for going on: the last checkpoint is from before.",
    ),
)
