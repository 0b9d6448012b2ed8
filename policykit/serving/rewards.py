"""The reward models of a server: named by its options, held against what its profiles pin, loaded before it listens."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from policykit.adapters.reward import check_reward_file, read_reward_file, reward_digest
from policykit.decoding import Answer, Finish
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.plan import Plan
from policykit.policy.checked import Json
from policykit.profiles import Best, Profile
from policykit.serving.deployment import Deployment
from policykit.serving.errors import Refused
from policykit.serving.reward import Reward, RewardFailed, Score

REWARDS = "POLICYKIT_REWARDS"
"""Reward models as `NAME=FOLDER`, separated as in PATH."""
DEVICE = "POLICYKIT_REWARD_DEVICE"
"""Where they run; `cpu` if not said."""
Load = Callable[[Path, Plan, str], Score]
"""A folder's rewards under a plan, on a device. Raises PolicyError."""


@dataclass(frozen=True, slots=True)
class RewardFiles:
    """Folders of reward models by name, and the device that they run on: an accelerator is the served model's."""

    folders: Mapping[str, Path] = field(default_factory=dict[str, Path])
    device: str = "cpu"

    @staticmethod
    def of(named: Sequence[str], device: str | None = None) -> "RewardFiles":
        """Of texts `NAME=FOLDER`. Raises PolicyError (PK721)."""
        folders: dict[str, Path] = {}
        for text in named:
            name, sign, folder = text.partition("=")
            if not (name and sign and folder):
                raise PolicyError.of("PK721", f"`{text}` names no reward model", help="give `NAME=FOLDER`")
            if name in folders:
                raise PolicyError.of("PK721", f"two reward models are called `{name}`", help="rename one of the two")
            folders[name] = Path(folder)
        return RewardFiles(folders, device or "cpu")

    def variables(self) -> dict[str, str]:
        """The environment that says the same."""
        if not self.folders:
            return {}
        said = os.pathsep.join(f"{name}={folder}" for name, folder in self.folders.items())
        return {REWARDS: said, DEVICE: self.device}

    @staticmethod
    def read(variables: Mapping[str, str]) -> "RewardFiles":
        """What the environment says. Raises PolicyError (PK721)."""
        named = [text for text in (variables.get(REWARDS) or "").split(os.pathsep) if text]
        return RewardFiles.of(named, variables.get(DEVICE))

    def check(self, deployment: Deployment) -> None:
        """Raises PolicyError with every profile whose reward model is not there, is another one (PK724), or does not go
        with its policies (PK786). Loads nothing, and compiles the plans of these profiles."""
        wrong: list[Diagnostic] = []
        for profile in deployment.profiles:
            if (best := profile.decoding.best) is not None:
                try:
                    self._check(profile, best, deployment)
                except PolicyError as error:
                    wrong.extend(error.diagnostics)
        if wrong:
            raise PolicyError(dict.fromkeys(wrong))

    def _check(self, profile: Profile, best: Best, deployment: Deployment) -> None:
        folder = self.folders.get(best.reward)
        if folder is None:
            message = f"answers are chosen by the reward model `{best.reward}`, and the server has none of that name"
            raise PolicyError.of("PK724", message, profile.place, f"start it with `--reward {best.reward}=FOLDER`")
        file = read_reward_file(folder)
        digest = reward_digest(folder)
        if digest != best.digest:
            message = f"the reward model `{best.reward}` in `{folder}` is {digest}, and {best.digest} is pinned"
            help = "serve the one that is pinned, or pin this one in `decoding.best`"
            raise PolicyError.of("PK724", message, profile.place, help)
        if file.features != "none" and profile.client_grammar:
            message = f"the features of the reward model `{best.reward}` are of one plan, and requests bring grammars"
            help = "use a reward model without features, or leave `clientGrammar` out"
            raise PolicyError.of("PK724", message, profile.place, help)
        for plan in plans_of(profile, deployment):
            check_reward_file(file, plan, folder)


def plans_of(profile: Profile, deployment: Deployment) -> Iterator[Plan]:
    """The plan of every key that may use a profile. Slow at first."""
    for grant in deployment.keys.grants.values():
        if profile.name in grant.profiles and profile.admits(grant.tenant):
            yield deployment.plan(profile, grant.tenant, locale=grant.locale, jurisdiction=grant.jurisdiction)


class Rewards:
    """The reward models that are loaded. What a request is served by was checked before: with the profiles that pin it
    when the server began, or before they were swapped in."""

    def __init__(self, files: RewardFiles, load: Load | None = None) -> None:
        self._files = files
        self._load = load or _loaded
        self._found: dict[tuple[str, str], Reward] = {}
        self._pinned: set[tuple[str, str]] = set()

    def prepare(self, deployment: Deployment) -> None:
        """Have everything that the deployment's profiles choose by. Slow. Raises PolicyError as
        :meth:`RewardFiles.check`, and PK786 for a model that cannot be loaded, or that gives no number for an answer to
        a prompt of a profile's form."""
        self._files.check(deployment)
        for profile in deployment.profiles:
            best, plan = profile.decoding.best, next(plans_of(profile, deployment), None)
            if best is None or plan is None:  # without a plan nobody may use it
                continue
            folder, pinned = self._files.folders[best.reward], (best.reward, best.digest)
            if pinned not in self._found:
                score = self._load(folder, plan, self._files.device)
                if reward_digest(folder) != best.digest:
                    message = f"the reward model `{best.reward}` was written while it was loaded"
                    raise PolicyError.of("PK724", message, Place(str(folder)), "start the server again")
                self._found[pinned] = Reward(best.reward, best.digest, score)
            _try(self._found[pinned], profile, plan, folder)
        self._let_go(deployment)

    def _let_go(self, deployment: Deployment) -> None:
        """Of what neither this deployment nor the one before it chooses by."""
        bests = [profile.decoding.best for profile in deployment.profiles]
        pinned = {(best.reward, best.digest) for best in bests if best is not None}
        kept = pinned | self._pinned
        self._found = {name: reward for name, reward in self._found.items() if name in kept}
        self._pinned = pinned

    def reward(self, best: Best) -> Reward:
        """Raises Refused (503) for one that is not there."""
        found = self._found.get((best.reward, best.digest))
        if found is None:
            message = f"the server does not have the reward model `{best.reward}` that the profile pins"
            raise Refused(503, "policykit_reward_missing", message)
        return found


def _try(reward: Reward, profile: Profile, plan: Plan, folder: Path) -> None:
    """Raises PolicyError (PK786) where the model has no number for an answer to a prompt as the profile has them."""
    prompt: Json = "Is it safe?"
    if profile.system_prompt is not None:
        first: Json = {"role": "system", "content": profile.system_prompt.text}
        prompt = [first, {"role": "user", "content": prompt}]
    answer = Answer("Yes.", "Yes.", (), Finish.END, None, None, None, plan.verify("Yes."))
    try:
        reward.of(prompt, (answer,), time.monotonic() + profile.limits.timeout_s)
    except RewardFailed as error:
        why = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        message = f"the profile `{profile.name}` cannot be served: {why}"
        help = "train it again, with messages as the profile has them"
        raise PolicyError.of("PK786", message, Place(str(folder)), help) from error


def _loaded(folder: Path, plan: Plan, device: str) -> Score:
    from policykit.adapters.reward_model import RewardModel

    return RewardModel.load(folder, plan, device).of_answers
