"""Two tenants of one real vLLM, with policies, adapters and keys of their own, at the same time: nothing crosses."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from policykit.audit import Record, open_reader, parse, verify_log
from policykit.profiles import digest_of_key
from tests.engines.vllm.apart import write_adapter
from tests.serving.real_vllm import Server, vllm_served
from tests.serving.test_real_vllm import ACME, FORBIDDEN, GLOBEX, POLICY, PROFILE, forbidden

pytestmark = pytest.mark.vllm
TENANTS = {"acme": (ACME, "answer"), "globex": (GLOBEX, "other")}
QUESTIONS = ("What returns can I expect?", "Where is my order?", "Is it safe?", "Thank you for the answer!")
N_AT_ONCE = 12


def write(folder: Path) -> list[str]:
    """Profiles, keys and adapters; the server's options."""
    lines, modules = ["apiVersion: policykit/v1", "kind: Keys", "keys:"], []
    for seed, (tenant, (key, name)) in enumerate(TENANTS.items()):
        phrases = ", ".join(FORBIDDEN[name])
        (folder / f"{name}.policy.yaml").write_text(POLICY.replace("NAME", name).replace("PHRASES", phrases))
        more = f"adapter: lora-{tenant}\ntenants: [{tenant}]"
        text = PROFILE.replace("NAME", name).replace("POLICY", name).replace("MORE", more)
        (folder / f"{name}.profile.yaml").write_text(text)
        lines.append(f"  - {{id: {tenant}, sha256: {digest_of_key(key)}, tenant: {tenant}, profiles: [{name}]}}")
        (folder / f"lora-{tenant}").mkdir()
        write_adapter(folder / f"lora-{tenant}", seed)
        modules.append(f"lora-{tenant}={folder / f'lora-{tenant}'}")
    lines += ["admins:", f"  - {{id: ops, sha256: {digest_of_key('key-ops')}}}", ""]
    (folder / "all.keys.yaml").write_text("\n".join(lines))
    return ["--enable-lora", "--max-lora-rank", "8", "--max-loras", "2", "--lora-modules", *modules]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tenants")
    with vllm_served(folder, write(folder)) as found:
        yield found


def ask(server: Server, tenant: str, question: str, **more: Any) -> tuple[str, dict[str, Any]]:
    key, name = TENANTS[tenant]
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=120)
    asked: dict[str, Any] = {"model": f"profile:{name}", "max_tokens": 40, "temperature": 0.0, **more}
    message: Any = {"role": "user", "content": question}
    answer: Any = client.chat.completions.create(messages=[message], **asked)
    events = list(answer) if more.get("stream") else [answer]
    about = next(event.model_extra["policykit"] for event in events if "policykit" in event.model_extra)
    if more.get("stream"):
        return "".join(event.choices[0].delta.content or "" for event in events if event.choices), about
    return answer.choices[0].message.content, about


def test_nothing_of_one_tenant_is_in_what_the_other_gets(server: Server) -> None:
    alone = {(tenant, q): ask(server, tenant, q)[0] for tenant in TENANTS for q in QUESTIONS}
    assert any(alone["acme", q] != alone["globex", q] for q in QUESTIONS), "or the adapters do the same"
    work = [(tenant, q, at % 3 == 0) for at in range(4) for q in QUESTIONS for tenant in TENANTS]

    def one(item: tuple[str, str, bool]) -> tuple[str, str, dict[str, Any]]:
        tenant, question, stream = item
        text, about = ask(server, tenant, question, stream=stream)
        assert text == alone[tenant, question], "greedy answers of an adapter are the same under load"
        assert about["profile"] == TENANTS[tenant][1]
        hot, _ = ask(server, tenant, question, temperature=1.5, stream=stream)
        assert not forbidden(hot, TENANTS[tenant][1])
        return tenant, about["record"], about

    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        said = list(pool.map(one, work))
    digests = {tenant: {about["digest"] for of, _, about in said if of == tenant} for tenant in TENANTS}
    assert all(len(found) == 1 for found in digests.values())
    assert digests["acme"] != digests["globex"]
    _check_log(server, {record: tenant for tenant, record, _ in said})
    _check_metrics(server)


def _check_log(server: Server, asked: dict[str, str]) -> None:
    reader = open_reader(server.folder / "log")
    assert verify_log(reader).fault is None
    found = {body.request: body for row in reader.rows() if isinstance(body := parse(row.record), Record)}
    assert {request: found[request].tenant for request in asked} == asked
    for record in found.values():
        if record.outcome.value == "refused":
            continue
        tenant = str(record.tenant)
        assert (record.profile, record.adapter) == (TENANTS[tenant][1], f"lora-{tenant}")
        assert (record.mask, {mask.plan_digest for mask in record.masks}) == ("attested", {record.plan_digest})


def _check_metrics(server: Server) -> None:
    text = httpx.get(f"{server.url}/metrics", headers={"authorization": "Bearer key-ops"}).text
    pairs = Counter(re.findall(r'tenant="(\w+)",profile="?(\w+)|profile="(\w+)".*?tenant="(\w+)"', text))
    whose = {(a or d, b or c) for a, b, c, d in pairs}
    served = {pair for pair in whose if "none" not in pair}
    assert served == {("acme", "answer"), ("globex", "other")}


@pytest.mark.parametrize("model", ["profile:other", "lora-globex", "lora-acme", "other"])
def test_a_tenant_names_no_adapter_and_no_profile_but_its_own(server: Server, model: str) -> None:
    with pytest.raises(openai.PermissionDeniedError) as refused:
        ask(server, "acme", "Hello?", model=model)
    assert "lora-" not in str(refused.value).replace(model, "")
