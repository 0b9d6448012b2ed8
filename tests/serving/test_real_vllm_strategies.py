"""Strategies that go back on the real vLLM, through the guard inside its server: as on transformers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.audit import Record, SamplingReport, open_reader, parse, verify_log
from policykit.profiles import digest_of_key
from tests.serving import drawn
from tests.serving.real_vllm import Server, vllm_served
from tests.serving.rewarding import made, profile

pytestmark = pytest.mark.vllm
KEYS = f"""\
apiVersion: policykit/v1
kind: Keys
keys:
  - {{id: k, sha256: {digest_of_key(drawn.KEY)}, tenant: acme, profiles: [{", ".join(drawn.PROFILES)}], default: exact}}
"""
BEST = ("mask", "exact")
OWN = ("--override-generation-config", '{"top_k": 1, "repetition_penalty": 4.0, "presence_penalty": 2.0}')
"""Settings as a model's folder may have them, under which every seed has one text."""
MODE = ("--logprobs-mode", "processed_logprobs", "--block-size", "32", *OWN)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    drawn.write(folder)
    digest = made(folder / "helpful")
    for name in BEST:
        (folder / f"best-{name}.profile.yaml").write_text(profile(f"best-{name}", digest, name))
    more = "".join(f", best-{name}" for name in BEST)
    (folder / "test.keys.yaml").write_text(KEYS.replace("], default", f"{more}], default"))
    variables = {"POLICYKIT_ATTEMPTS": "1", "POLICYKIT_REWARDS": f"helpful={folder / 'helpful'}"}
    with vllm_served(folder, MODE, variables=variables) as found:
        yield found


def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=drawn.KEY, max_retries=0, timeout=120)


def last(server: Server) -> tuple[str, tuple[SamplingReport, ...], str]:
    records = [parse(row.record) for row in open_reader(server.folder / "log").rows()]
    record = next(one for one in reversed(records) if isinstance(one, Record))
    return record.outcome.value, record.sampling, record.mask


@pytest.mark.parametrize("name", drawn.NAMES)
def test_answers_hold_the_plan_and_the_record_says_what_they_cost(server: Server, name: str) -> None:
    drawn.check_answers(client(server), name, lambda: last(server))


@pytest.mark.parametrize("name", drawn.NAMES)
def test_almost_no_legal_mass_is_a_fallback_with_a_name_and_a_bound(server: Server, name: str) -> None:
    drawn.check_hopeless(client(server), name, lambda: last(server))


@pytest.mark.parametrize("name", drawn.NAMES)
def test_less_legal_mass_than_the_profile_asks_for_ends_early(server: Server, name: str) -> None:
    drawn.check_least(client(server), name, lambda: last(server))


def test_the_masked_profile_beside_them_is_masked(server: Server) -> None:
    text, _ = drawn.said(client(server), "masked", seed=1)
    assert not drawn.BANNED.search(text + " ")
    assert last(server)[2] == "attested"


@pytest.mark.parametrize("name", BEST)
def test_the_best_of_what_passes_goes_out(server: Server, name: str) -> None:
    from policykit.adapters.reward_model import RewardModel, Text

    judge, n_refused = RewardModel.load(server.folder / "helpful"), 0
    for seed in range(4):
        asked: Any = {"model": f"profile:best-{name}", "messages": drawn.MESSAGES, "seed": seed}
        answer = client(server).chat.completions.create(**asked)
        choice, ((report,), mask) = answer.choices[0], last(server)[1:]
        text, best = choice.message.content or "", report.best
        assert not drawn.BANNED.search(text + " ")
        assert best is not None
        assert best.chosen is not None
        assert len(best.scores) == best.of == 3
        assert best.scores[best.chosen] == max(best.scores)
        assert answer.model_extra["policykit"]["best"][0]["scores"] == list(best.scores)  # type: ignore[index]
        if "days" not in text:  # which a rule may have changed
            (reward,) = judge.rewards([Text(drawn.MESSAGES[0]["content"], text, choice.finish_reason == "stop")])
            assert reward == pytest.approx(max(best.scores), abs=1e-3)
        streamed, _ = drawn.said(client(server), f"best-{name}", seed=seed, stream=True)
        assert streamed == text
        assert mask == ("free" if name == "exact" else "attested")
        n_refused += sum(n for _, n in report.refused)
    assert (n_refused > 0) == (name == "exact")


def test_what_nobody_asks_for_is_not_taken_from_the_model_s_folder(server: Server) -> None:
    for name in ("masked", "reject"):
        assert len({drawn.said(client(server), name, seed=seed, max_tokens=2)[0] for seed in range(8)}) > 1


def test_no_client_asks_for_an_attempt_itself(server: Server) -> None:
    with pytest.raises(openai.BadRequestError, match="vllm_xargs"):
        drawn.said(client(server), "masked", extra_body={"vllm_xargs": {"policykit": "{}"}})


def test_the_log_is_whole(server: Server) -> None:
    drawn.said(client(server), "block", seed=1)
    assert verify_log(open_reader(server.folder / "log")).fault is None


def test_an_engine_that_shows_other_probabilities_does_not_start(tmp_path: Path) -> None:
    folder = tmp_path
    drawn.write(folder)
    (folder / "test.keys.yaml").write_text(KEYS)
    variables = {"POLICYKIT_ATTEMPTS": "1"}
    with pytest.raises(RuntimeError, match="did not start"), vllm_served(folder, variables=variables):
        pass
    assert "--logprobs-mode processed_logprobs" in (folder / "output.txt").read_text("utf-8", "replace")


def test_without_attempts_the_guard_does_not_answer_for_the_profiles(tmp_path: Path) -> None:
    folder = tmp_path
    drawn.write(folder)
    (folder / "test.keys.yaml").write_text(KEYS)
    with pytest.raises(RuntimeError, match="PK722"), vllm_served(folder):
        pass
