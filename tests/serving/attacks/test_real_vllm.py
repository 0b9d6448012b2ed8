"""The same attacks against the real `vllm serve`, with the plugin and the guard inside it."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policykit.profiles import digest_of_key
from tests.serving.attacks.cases import Case, load
from tests.serving.attacks.house import write
from tests.serving.attacks.sending import send, wrong_with
from tests.serving.real_vllm import Server, spawned, vllm_served
from tests.serving.running import KEYS

pytestmark = pytest.mark.vllm
AT_ONCE = 12
GOOD = Case("good", "good", "/v1/chat/completions", "served", body={"messages": [{"role": "user", "content": "Hello"}]})


def write_keys(folder: Path) -> None:
    """The keys of the other tests of the guard, as a file; but for one that grants what no server would start with."""
    lines = [
        f"  - {{id: {grant.key_id}, sha256: {digest_of_key(key)}, tenant: {grant.tenant},"
        f" profiles: [{', '.join(grant.profiles)}], default: {grant.default}}}"
        for key, grant in KEYS.items()
        if key != "key-foreign"
    ]
    (folder / "all.keys.yaml").write_text("\n".join(["apiVersion: policykit/v1", "kind: Keys", "keys:", *lines, ""]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("attacked")
    write(folder)
    write_keys(folder)
    calls = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
    with vllm_served(folder, calls, begin=spawned) as found:  # all processes as users have them
        yield found


def test_nothing_forbidden_goes_out_and_the_engine_lives(server: Server) -> None:
    cases = load()

    def attack(case: Case) -> tuple[Case, int, list[str]]:
        answer = send(server.url, case)
        return case, answer.status, wrong_with(case, answer)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(attack, cases))
    outcomes = Counter((case.family, status) for case, status, _ in found)
    print("\n".join(f"{family} {status}: {n}" for (family, status), n in sorted(outcomes.items())))
    assert [f"{case.id}: {line}" for case, _, lines in found for line in lines] == []
    assert sum(n for (_, status), n in outcomes.items() if status == 200) >= 300
    assert server.is_healthy
    assert send(server.url, GOOD).status == 200
