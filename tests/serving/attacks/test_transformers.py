"""The same attacks against the embedded model on transformers, with the guard before it."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from policykit.audit import open_log, open_reader, verify_log
from policykit.serving import Serving
from policykit.serving.run import around, on_transformers
from policykit.serving.switch import FileSwitch
from tests.serving.attacks.cases import Case, load
from tests.serving.attacks.house import attacked
from tests.serving.attacks.sending import send, wrong_with
from tests.serving.running import served

pytestmark = pytest.mark.slow
AT_ONCE = 4
GOOD = Case("good", "good", "/v1/chat/completions", "served", body={"messages": [{"role": "user", "content": "Hello"}]})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "profiles").mkdir()
    serving = Serving(replace(attacked(folder / "profiles"), model="embedded"))
    model = on_transformers("embedded", folder / "run")
    app = around(serving, model, open_log(folder / "log"), folder / "run", FileSwitch(None))
    with served(app) as url:
        yield url, folder


def test_nothing_forbidden_goes_out_and_the_engine_lives(house: tuple[str, Path]) -> None:
    url, folder = house

    def attack(case: Case) -> tuple[Case, int, list[str]]:
        answer = send(url, case)
        if case.route == "/openapi.json":  # here the server's own description, which names what is let through
            case = replace(case, expect="either")
        return case, answer.status, wrong_with(case, answer)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(attack, load()))
    outcomes = Counter((case.family, status) for case, status, _ in found)
    print("\n".join(f"{family} {status}: {n}" for (family, status), n in sorted(outcomes.items())))
    assert [f"{case.id}: {line}" for case, _, lines in found for line in lines] == []
    assert sum(n for (_, status), n in outcomes.items() if status == 200) >= 300
    assert send(url, GOOD).status == 200
    assert verify_log(open_reader(folder / "log")).fault is None
