"""What the decision log says of requests: one record each, in a real log, which verifies."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.audit import Keeping, Outcome, Record, Result, SpanForm, open_log, open_reader, parse, verify_log
from policykit.serving import Guard, Serving
from policykit.serving.log import AuditBook
from policykit.serving.upstream_app import AppUpstream
from tests.serving.peer import Peer, Say
from tests.serving.running import deployment, served

ASK: Any = [{"role": "user", "content": "My number is 123456."}]


class Logged:
    """A guard that keeps a log in a folder."""

    def __init__(self, folder: Path, keeping: Keeping) -> None:
        self.folder, self.peer = folder / "log", Peer()
        self.log = open_log(self.folder)
        (folder / "profiles").mkdir()
        book = AuditBook(self.log, keeping, engine="peer", engine_version="1")
        self.guard = Guard(Serving(deployment(folder / "profiles")), AppUpstream(self.peer), book)

    def records(self) -> list[Record]:
        reader = open_reader(self.folder)
        try:
            found = [parse(row.record) for row in reader.rows()]
        finally:
            reader.close()
        return [record for record in found if isinstance(record, Record)]


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[tuple[Logged, openai.OpenAI]]:
    house = Logged(tmp_path, Keeping(SpanForm.MASKED))
    with served(house.guard) as url:
        yield house, openai.OpenAI(base_url=f"{url}/v1", api_key="key-acme", max_retries=0)
    house.log.close()


def test_a_record_says_what_was_judged_and_how_it_ended(logged: tuple[Logged, openai.OpenAI]) -> None:
    house, client = logged
    answers = [Say(("guaranteed returns",)), Say(("Use code 1234.",))]
    house.peer.answer = lambda body: answers.pop(0)
    answer = client.chat.completions.create(model="", messages=ASK, temperature=2.0)
    (record,) = house.records()
    assert record.request == answer.model_extra["policykit"]["record"]
    assert (record.outcome, record.tenant, record.key) == (Outcome.TRANSFORMED, "acme", "k1")
    assert (record.profile, record.engine, record.strategy) == ("plain", "peer", "mask")
    assert record.plan_digest == answer.model_extra["policykit"]["digest"]
    assert [attempt.failed for attempt in record.attempts] == ["block: no-promises", None]
    assert record.clamped == ("temperature",)
    told = [(j.channel, j.attempt, j.counts, j.decision.value) for j in record.judgements]
    assert told == [
        ("input", 0, True, "transform"),
        ("content", 1, False, "block"),
        ("content", 2, True, "transform"),
    ]
    rules = {rule.rule: rule for rule in record.judgements[0].rules}
    assert rules["mask-numbers-in-questions"].result is Result.FIRED
    assert rules["mask-numbers-in-questions"].spans[0].value == "999999"
    assert rules["no-orders"].result is Result.PASSED
    assert "123456" not in repr(record)


@pytest.mark.parametrize("stream", [False, True])
def test_every_end_has_one_record(logged: tuple[Logged, openai.OpenAI], stream: bool) -> None:
    house, client = logged
    says = [
        Say(("Fine.",)),
        Say(("of project aurora",)),
        Say(("guaranteed returns",)),
        Say(("guaranteed returns",)),
        Say(("guaranteed returns",)),
        Say(status=500),
    ]
    house.peer.answer = lambda body: says.pop(0)
    wanted = [Outcome.SERVED, Outcome.BLOCKED, Outcome.FALLBACK, Outcome.ERRORED, Outcome.REFUSED]
    for outcome in wanted:
        try:
            more: Any = {"extra_body": {"echo": True}} if outcome is Outcome.REFUSED else {}
            plain: Any = [{"role": "user", "content": "Hello?"}]
            answer = client.chat.completions.create(model="", messages=plain, stream=stream, **more)
            _ = list(answer) if stream else answer
        except openai.APIError:
            assert outcome in (Outcome.ERRORED, Outcome.REFUSED)
    assert [record.outcome for record in house.records()] == wanted
    house.log.close()
    reader = open_reader(house.folder)
    assert verify_log(reader).n_entries == len(wanted)
    reader.close()


def test_a_log_that_is_closed_lets_nothing_out(logged: tuple[Logged, openai.OpenAI]) -> None:
    house, client = logged
    house.log.close()
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="", messages=ASK)
    assert raised.value.code == "policykit_log_unavailable"


def test_keeping_nothing_of_texts(tmp_path: Path) -> None:
    house = Logged(tmp_path, Keeping(SpanForm.OMITTED, key=os.urandom(32)))
    with served(house.guard) as url:
        openai.OpenAI(base_url=f"{url}/v1", api_key="key-acme").chat.completions.create(model="", messages=ASK)
    (record,) = house.records()
    assert {span.form for j in record.judgements for rule in j.rules for span in rule.spans} == {SpanForm.OMITTED}
    assert all(judgement.text_hash is None for judgement in record.judgements)
    house.log.close()
