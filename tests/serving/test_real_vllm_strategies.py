"""Strategies that go back on the real vLLM, through the guard inside its server: as on transformers."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from policykit.audit import Record, SamplingReport, open_reader, parse, verify_log
from policykit.profiles import digest_of_key
from tests.serving import drawn
from tests.serving.real_vllm import Server, vllm_served

pytestmark = pytest.mark.vllm
KEYS = f"""\
apiVersion: policykit/v1
kind: Keys
keys:
  - {{id: k, sha256: {digest_of_key(drawn.KEY)}, tenant: acme, profiles: [{", ".join(drawn.PROFILES)}], default: exact}}
"""
MODE = ("--logprobs-mode", "processed_logprobs", "--block-size", "32")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    drawn.write(folder)
    (folder / "test.keys.yaml").write_text(KEYS)
    with vllm_served(folder, MODE, variables={"POLICYKIT_ATTEMPTS": "1"}) as found:
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
