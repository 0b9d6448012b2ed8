"""What a real engine wrote under the guard is in the log, and is computed again: every token was in its mask."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openai
import pytest
from tokenizers import Tokenizer

from policykit import embedded
from policykit.audit import Keeping, Record, SpanForm, open_log, open_reader, parse, replay_masks
from policykit.cli.main import main
from policykit.engines.attest import plan_path
from policykit.plan import load_plan
from policykit.profiles import Grant, Keyring, digest_of_key, load_profiles
from policykit.serving import Deployment, Serving
from policykit.serving.run import around, on_transformers
from policykit.serving.switch import FileSwitch
from tests.serving.running import served

TOKENIZER = embedded.model_path() / "tokenizer.json"
POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: house, version: 1.0.0, owner: a@example.org, why: a test with a real engine}
rules:
  - {id: never, match: {phrases: [thank you, thanks, sorry, good question, fair question]}, action: {block: {}}}
"""
BRIEF = """\
  - id: brief
    match: {length: {unit: characters, atLeast: 40}}
    action: {block: {}}
    except: [{id: E1, when: user.role == "author", approvedBy: board, reason: books, expires: 2999-01-01}]
"""
"""What reads facts is in no mask: such an answer is written, rejected, and asked for again."""
PROFILE = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: NAME, version: 1.0.0, owner: a@example.org, why: a test with a real engine}
task: answer
policies: [NAME.policy.yaml]
decoding: {maxTemperature: 2.0, maxTokens: 60, maxChoices: 4}
limits: {timeoutSeconds: 60, attempts: 3}
fallback: Please ask a colleague.
"""


@dataclass
class House:
    url: str
    folder: Path

    @property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="key", max_retries=0, timeout=60)

    def record(self, request: str) -> Record:
        found = [parse(row.record) for row in open_reader(self.folder / "log").rows()]
        (record,) = (one for one in found if isinstance(one, Record) and one.request == request)
        return record


@contextmanager
def house(folder: Path, keeping: Keeping) -> Iterator[House]:
    for name, more in (("plain", ""), ("short", BRIEF)):
        (folder / f"{name}.policy.yaml").write_text(POLICY.replace("house", name) + more)
        (folder / f"{name}.profile.yaml").write_text(PROFILE.replace("NAME", name))
    keys = Keyring({digest_of_key("key"): Grant("k1", "acme", ("plain", "short"), "plain")})
    serving = Serving(Deployment(load_profiles(folder), keys, model="embedded"))
    model = on_transformers("embedded", folder / "run")
    app = around(serving, model, open_log(folder / "log"), folder / "run", FileSwitch(None), keeping)
    with served(app) as url:
        yield House(url, folder)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("kept"), Keeping(SpanForm.CLEAR, replay=True)) as found:
        yield found


def ask(of: House, **more: Any) -> tuple[list[str], Record, str]:
    """The texts of the choices, the record, and everything that the client was sent."""
    message: Any = {"role": "user", "content": "My card was charged twice."}
    asked: dict[str, Any] = {"model": "profile:plain", "max_tokens": 30, "seed": 3, **more}
    made = of.client.chat.completions.create(messages=[message], **asked)
    events: list[Any] = list(made) if more.get("stream") else [made]
    texts: dict[int, str] = {}
    for choice in (choice for event in events for choice in event.choices):
        said = choice.delta if more.get("stream") else choice.message
        texts[choice.index] = texts.get(choice.index, "") + (said.content or "")
    about = next(e.model_extra["policykit"] for e in events if "policykit" in e.model_extra)
    sent = "".join(event.model_dump_json() for event in events)
    return [text for _, text in sorted(texts.items())], of.record(about["record"]), sent


def replayed(of: House, record: Record, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    plan = plan_path(of.folder / "run", str(record.plan_digest))
    given = [str(of.folder / "log"), "--plan", str(plan), "--tokenizer", str(TOKENIZER), "--format", "json"]
    code = main(["audit", "replay", *given, "--request", record.request])
    found = json.loads(capsys.readouterr().out)
    assert code == 0, found
    assert all(one["permitted"] and one["agrees"] is True for one in found["choices"])
    return found["choices"]


def written(record: Record) -> dict[tuple[int, int], str]:
    """What the recorded tokens say, by another tokenizer library: attempt and choice, text."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    return {(one.attempt, one.choice): tokenizer.decode(list(one.token_ids)) for one in record.replay}


@pytest.mark.parametrize("stream", [False, True])
def test_every_token_of_an_answer_was_permitted(kept: House, stream: bool, capsys: pytest.CaptureFixture[str]) -> None:
    texts, record, sent = ask(kept, n=3, stream=stream)
    assert written(record) == {(1, choice): text for choice, text in enumerate(texts)}
    found = replayed(kept, record, capsys)
    assert [one["choice"] for one in found] == [0, 1, 2]
    assert any(one["closed"] for one in found), "some place must have closed some token, or nothing is compared"
    assert "token_ids" not in sent


def test_a_text_that_ends_at_a_stop_text_has_the_tokens_behind_it_too(
    kept: House, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, record, _ = ask(kept, stop=["."])
    assert written(record)[1, 0].startswith(texts[0] + ".")
    replayed(kept, record, capsys)


@pytest.mark.parametrize("stream", [False, True])
def test_attempts_that_were_rejected_are_there_under_their_choice(
    kept: House, stream: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected: dict[tuple[int, int], str | None] = {}
    for _ in range(20):  # an answer is sometimes short, and is not rejected then
        texts, record, _ = ask(kept, model="profile:short", n=2, stream=stream, temperature=1.5, seed=None)
        judged = (j for j in record.judgements if j.channel == "content" and not j.counts)
        if rejected := {(j.attempt, j.choice): j.text for j in judged}:
            break
    assert rejected, "every answer was short: the test says nothing"
    said = written(record)
    assert {of: said[of][: len(text or "")] for of, text in rejected.items()} == rejected
    went_out = {j.choice: j for j in record.judgements if j.channel == "content" and j.counts}
    for choice, text in enumerate(texts):
        if text != "Please ask a colleague.":
            assert said[went_out[choice].attempt, choice] == text
    assert {(m.attempt, m.choice) for m in record.masks} == set(said)
    replayed(kept, record, capsys)


def test_the_end_of_a_prompt_is_the_prefix(kept: House, capsys: pytest.CaptureFixture[str]) -> None:
    made = kept.client.completions.create(model="profile:plain", prompt="I say thank you", max_tokens=6, temperature=0)
    record = kept.record(made.model_extra["policykit"]["record"])  # type: ignore[index]
    assert (record.replay[0].prefix, record.replay[0].in_grammar) == ("I say thank you", False)
    (found,) = replayed(kept, record, capsys)
    assert found["steps"][0]["closers"] == ["plain#never"]


def test_a_token_that_the_mask_would_not_let_through_is_found(kept: House) -> None:
    """The same record with tokens that spell a phrase: a replay that finds nothing here would find nothing at all."""
    _, record, _ = ask(kept)
    plan = load_plan(plan_path(kept.folder / "run", str(record.plan_digest)))
    spelled = Tokenizer.from_file(str(TOKENIZER)).encode(" thank you.", add_special_tokens=False).ids
    forged = replace(record, replay=(replace(record.replay[0], token_ids=tuple(spelled)),))
    (found,) = replay_masks(forged, plan, TOKENIZER)
    assert not found.permitted


def test_without_replay_no_token_is_kept_nor_asked_for(tmp_path: Path) -> None:
    with house(tmp_path, Keeping()) as plain:
        texts, record, _ = ask(plain)
    assert texts[0]
    assert (record.mask, record.replay) == ("attested", ())
    assert texts[0] not in repr(record)
