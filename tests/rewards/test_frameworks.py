"""Reward files, loaded and called as OpenRLHF's executor and verl's reward managers load and call them.

Each caller below does with a function what the framework does: how it finds it in a file, what it passes by position
or by name, in how many threads, and what it reads of the answer. They are written from reading the frameworks (verl's
`naive`, `batch`, `prime` and reward-loop managers; OpenRLHF's executor of single turns, and what it was before), and
share nothing with the adapters.
"""

import asyncio
import importlib.util
import inspect
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from policykit import rewards as rw

from .test_rewards import BAD, GOOD, PLAN, refused

torch = pytest.importorskip("torch", reason="both frameworks are of torch")

FILE = """\
import torch
import policykit as pk
from policykit import rewards

reward = rewards.PolicyReward(pk.load_plan("{plan}"), rewards.Fixed({{"guarantees": 1.0, "risk": 0.0}}))


def task(prompt, completion, answer):
    return float(answer in completion)


reward_func = rewards.openrlhf_reward(reward, task, torch.tensor, ["</s>"])
compute_score = rewards.verl_compute_score(reward, task)
compute_scores = rewards.verl_compute_scores(reward, task)


def number(data_source, solution_str, ground_truth, extra_info=None):
    return compute_score(data_source, solution_str, ground_truth, extra_info)["score"]
"""
WANTED = {BAD: 0.0, GOOD: 0.5}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    PLAN.save(tmp_path / "plan.json")
    path = tmp_path / "reward.py"
    path.write_text(FILE.format(plan=tmp_path / "plan.json"))
    return path


def loaded(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Verl:
    """A function named by `custom_reward_function.path` and `.name`, with `.reward_kwargs` added to every call."""

    def __init__(self, path: Path, name: str, **reward_kwargs: Any) -> None:
        function = getattr(loaded(path, "custom_module"), name)
        assert not inspect.iscoroutinefunction(function)
        self.function = function
        self.call = lambda **kw: function(**kw, **reward_kwargs)

    def naive(self, rows: list[dict[str, Any]]) -> tuple[list[float], dict[str, list[Any]]]:
        """One call a row; the score goes to the last token, every entry to a list."""
        rewards, kept = [], defaultdict[str, list[Any]](list)
        for row in rows:
            extra = {**row.get("extra_info", {}), "num_turns": None, "rollout_reward_scores": {}}
            named = {"data_source": row["data_source"], "solution_str": row["text"]}
            found = self.call(**named, ground_truth=row["ground_truth"], extra_info=extra)
            rewards.append(found["score"])
            for name, value in found.items():
                kept[name].append(value)
        return rewards, kept

    def batch(self, rows: list[dict[str, Any]]) -> tuple[list[float], dict[str, list[Any]]]:
        """One call for all; sources come as an array of numpy."""
        extras = [{**row.get("extra_info", {}), "rollout_reward_scores": {}} for row in rows]
        found = self.call(
            data_sources=np.array([row["data_source"] for row in rows], dtype=object),
            solution_strs=[row["text"] for row in rows],
            ground_truths=[row["ground_truth"] for row in rows],
            extra_infos=np.array(extras, dtype=object),
        )
        kept = {name: [one[name] for one in found] for name in found[0]}
        return [one["score"] for one in found], kept

    def prime(self, rows: list[dict[str, Any]]) -> list[float]:
        """A call a row, by position and in other processes; whatever comes of it but a number is 0."""

        async def one(row: dict[str, Any], pool: ProcessPoolExecutor) -> object:
            named = (row["data_source"], row["text"], row["ground_truth"], row.get("extra_info"))
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, partial(self.function, *named))
            except Exception:
                return None

        async def all_of() -> list[object]:
            with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
                return list(await asyncio.gather(*(one(row, pool) for row in rows)))

        return [float(found) if isinstance(found, int | float) else 0.0 for found in asyncio.run(all_of())]

    async def reward_loop(self, rows: list[dict[str, Any]]) -> list[float]:
        """A call a row, in threads, with what reward models would be asked by."""
        loop = asyncio.get_running_loop()
        more = {"reward_router_address": "localhost:1", "reward_model_tokenizer": None}

        def one(row: dict[str, Any]) -> float:
            named = {"data_source": row["data_source"], "solution_str": row["text"]}
            return self.call(**named, ground_truth=row["ground_truth"], extra_info={"num_turns": 1}, **more)["score"]

        with ThreadPoolExecutor(8) as threads:
            return list(await asyncio.gather(*(loop.run_in_executor(threads, one, row) for row in rows)))


def rows(n: int = 2) -> list[dict[str, Any]]:
    extra = {"index": 1, "bundle_digest": PLAN.bundle_digest}
    return [
        {"data_source": "d", "text": (BAD, GOOD)[i % 2], "ground_truth": "It", "extra_info": extra} for i in range(n)
    ]


def validated(rewards: list[float], kept: dict[str, list[Any]]) -> None:
    """Validation keeps rewards under a name of its own, beside all entries, each as long as the data."""
    columns: dict[str, list[Any]] = defaultdict(list)
    columns["reward"].extend(rewards)
    for name, values in kept.items():
        columns[name].extend(values)
    assert {len(values) for values in columns.values()} == {len(rewards)}


@pytest.mark.parametrize("kwargs", [{}, {"penalty": 2}])
def test_verl_scores_one_by_one_and_in_batches(file: Path, kwargs: dict[str, Any]) -> None:
    one = Verl(file, "compute_score", **kwargs).naive(rows(4))
    many = Verl(file, "compute_scores", **kwargs).batch(rows(4))
    assert one[0] == many[0] == [0.0, 0.5, 0.0, 0.5]
    assert one[1] == many[1]
    assert one[1]["cost/guarantees"] == [1.0, 0.0, 1.0, 0.0]
    validated(*one)
    validated(*many)


def test_verls_reward_loop_scores_from_threads(file: Path) -> None:
    found = asyncio.run(Verl(file, "compute_score").reward_loop(rows(64)))
    assert found == [0.0, 0.5] * 32


def test_verls_prime_needs_a_function_of_the_file_that_gives_a_number(file: Path) -> None:
    """Which is why the adapter says that it is not for it: there all rewards would be 0, and nobody would be told."""
    assert Verl(file, "compute_score").prime(rows(4)) == [0.0] * 4
    assert Verl(file, "number").prime(rows(4)) == [0.0, 0.5, 0.0, 0.5]


def test_verl_data_of_another_bundle_and_lists_of_other_lengths_are_refused(file: Path) -> None:
    other = [{**rows()[0], "extra_info": {"bundle_digest": "sha256:0"}}]
    for manager in (Verl(file, "compute_score").naive, Verl(file, "compute_scores").batch):
        with refused("PK762"):
            manager(other)
    function = loaded(file, "custom_module").compute_scores
    with refused("PK761"):
        function(data_sources=["d"], solution_strs=[GOOD, BAD], ground_truths=["It"], extra_infos=[{}])


async def openrlhf(path: Path, prompt: str, texts: list[str], label: str) -> list[dict[str, Any]]:
    """One completion a call, by position and in a thread; a reward and its logs become tensors of one number."""
    function = loaded(path, "reward_func").reward_func
    found: list[dict[str, Any]] = []
    for text in texts:
        info = await asyncio.to_thread(function, [f"{prompt}{text}</s>"], [prompt], [label])
        score = info.get("scores") or info.get("rewards")
        logs = {name: value.flatten()[0].item() for name, value in (info.get("extra_logs") or {}).items()}
        found.append({"reward": torch.tensor([info["rewards"]]), "score": torch.tensor([score]), **logs})
    return found


def test_openrlhf_gets_a_number_for_each_completion(file: Path) -> None:
    found = asyncio.run(openrlhf(file, "<s>Ask ", [BAD, GOOD], "It"))
    for info, text in zip(found, (BAD, GOOD), strict=True):
        assert info["reward"].shape == info["score"].shape == (1,)
        assert float(info["reward"]) == WANTED[text]
        assert float(info["score"]) == 1.0
        assert info["policy/violation_rate/guarantees"] == float(text == BAD)


def test_earlier_openrlhf_sends_the_function_to_workers(file: Path) -> None:
    """By value, as Ray does with functions of a file that no worker can import."""
    cloudpickle = pytest.importorskip("cloudpickle")
    spec = importlib.util.spec_from_file_location("reward_func", str(file))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)  # in no list of modules, as there
    spec.loader.exec_module(module)
    sent = cloudpickle.dumps(module.reward_func)
    program = (
        "import pickle, sys; found = pickle.loads(sys.stdin.buffer.read())"
        f"(['Ask {BAD}</s>', 'Ask {GOOD}'], ['Ask ', 'Ask '], ['It', 'It'], extra=1); "
        "print(found['rewards'].tolist(), found['scores'].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True, check=True)
    assert done.stdout.decode() == "[0.0, 0.5] [1.0, 1.0]\n"


def test_a_list_is_no_number_to_openrlhf() -> None:
    """Why the adapter wants `torch.tensor`: a list of one gives the reward a dimension too many."""
    fixed = rw.PolicyReward(PLAN, rw.Fixed({"guarantees": 1.0, "risk": 0.0}))
    info = rw.openrlhf_reward(fixed, lambda p, c, y: 1.0, list)(["Ask it"], ["Ask "], ["It"])
    assert torch.tensor([info["rewards"]]).shape == (1, 1)
