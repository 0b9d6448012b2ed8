"""Codes PK600–PK629: deployment profiles and keys."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK600",
        "no files of this kind",
        "A directory is searched for `**/*.profile.yaml` or `**/*.keys.yaml`. One without any is more likely a wrong "
        "path than a deployment without profiles or keys.",
        "policykit check empty-folder/",
    ),
    CodeEntry(
        "PK601",
        "the file would be left out",
        "The name looks like a profile's or a key file's but does not end as those do, so a directory would load "
        "without it.",
        "answer.profile.yml",
    ),
    CodeEntry("PK602", "duplicate profile name", "Keys, requests and logs name a profile by its name."),
    CodeEntry(
        "PK603",
        "no path from this file",
        "A profile names files by their path from its own folder, so that it means the same wherever the folder is "
        "copied to, and can be packed into a bundle.",
        "grammar: /etc/policykit/answer.lark",
    ),
    CodeEntry(
        "PK604",
        "a default above its maximum",
        "What a request gets if it does not say must not be more than what it may ask for.",
        "decoding: {temperature: 1.2, maxTemperature: 0.8}",
    ),
    CodeEntry(
        "PK605",
        "two grammars",
        "A grammar of the profile holds for every output. If requests could bring their own, it would hold for none "
        "of those that do.",
        "grammar: answer.lark\nclientGrammar: true",
    ),
    CodeEntry(
        "PK606",
        "does not fit the task",
        "To extract needs a grammar, which says what. Only an agent calls tools.",
        "task: extract",
    ),
    CodeEntry("PK607", "duplicate tool name", "A call names its tool by its name."),
    CodeEntry(
        "PK608",
        "a policy that would never apply",
        "The policy's scope names other profiles, so the profile would look as if it were under the policy and would "
        "not be.",
        "metadata: {name: retail}\npolicies: [only-for-agents.policy.yaml]",
    ),
    CodeEntry(
        "PK609",
        "the fallback breaks the profile's own plan",
        "The fallback is shown where no attempt was fit to be shown, so it must itself be what the plan lets pass: "
        "under its rules, and in its grammar.",
        "fallback: Our fund has guaranteed returns, but I cannot say more.",
    ),
    CodeEntry("PK610", "a key grants an unknown profile", "There is no profile of this name in the deployment."),
    CodeEntry(
        "PK611",
        "a key grants a profile that its tenant may not use",
        "The profile lists its tenants, and the key's is not among them.",
    ),
    CodeEntry(
        "PK612",
        "no default profile",
        "A request that names no profile is served under the key's default, which must be one of those it grants.",
        "profiles: [answer, summarize]",
    ),
    CodeEntry("PK613", "duplicate key", "Logs and metrics name a key by its id, and a key belongs to one entry."),
    CodeEntry(
        "PK614",
        "not a SHA-256",
        "A key file holds the SHA-256 of each key, so that whoever reads the file has no key.",
        "sha256: my-secret-key",
    ),
    CodeEntry(
        "PK617",
        "a strategy that does not fit the profile",
        "Strategies that go back draw one text from all that the model would say, and take it up again inside of it. "
        "Calls of tools and reasoning come beside a text, a cut of the distribution takes its meaning from what has "
        "failed, and settings of one strategy mean nothing to another.",
        "decoding: {strategy: block, topP: 0.9}",
    ),
    CodeEntry(
        "PK619",
        "a choice by reward that does not fit the profile",
        "`decoding.best` has several outputs drawn, of which the one with the highest reward is the answer. The reward "
        "is of a text and of nothing beside it; at a temperature of 0 there is one output and no choice; and the "
        "reward model is pinned by its digest, so that no other one chooses.",
        "decoding: {best: {of: 4, reward: helpful, digest: latest}}",
    ),
    CodeEntry(
        "PK620",
        "a limit on tools that the profile does not take",
        "How many tools a request may define, and how large, is said beside `clientTools: allow`. Without that every "
        "tool that the profile does not list itself is refused, whatever the limit says.",
        "limits: {clientTools: 4}",
    ),
    CodeEntry(
        "PK616",
        "a grammar that the profile does not take",
        "A request brought a grammar of its own, and the profile does not say `clientGrammar: true`.",
    ),
    CodeEntry(
        "PK618",
        "a rule that no profile meets",
        "Its scope admits none of the profiles that name its policy, or it is about a tool that none of them has and "
        "that is written nearly as one of theirs. It looks as if it were on, and never is.",
        "scope: {profiles: [anwser]}",
    ),
)
