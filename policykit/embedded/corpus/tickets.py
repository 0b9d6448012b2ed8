"""Support tickets in JSON, in the shape of the shipped routing schema, and shorter ones."""

import json
from random import Random

from policykit.embedded.corpus import common
from policykit.embedded.corpus.chat import Chat, Situation, capitalised, reply, situation
from policykit.embedded.corpus.domain import Breach, Tone

Json = str | int | float | bool | list["Json"] | dict[str, "Json"]

_ASKS = ("Write a [support |]ticket for this message: ", "[Make|Open] a ticket: ", "Route this message: ")
_ENTITIES = {
    "order": "order_number",
    "reference": "order_number",
    "flight": "order_number",
    "product": "product",
    "device": "product",
    "plan": "product",
    "fund": "product",
    "date": "date",
    "amount": "amount",
    "city": "location",
    "town": "location",
    "place": "location",
    "country": "location",
}
_HOURS = {"low": (72, 120), "normal": (24, 48, 72), "high": (8, 12, 24), "urgent": (1, 2, 4)}
_REASONS = ("asked_for_human", "repeat_contact", "vulnerable_customer", "legal_threat")
P_QUOTED = 0.25  # summaries that repeat what a careless colleague said


def ticket(rng: Random) -> Chat:
    """A ticket for a customer's message. Half of the messages do not ask for one: then only a grammar makes the
    answer a ticket, and its first brace is the grammar's choice, not the model's."""
    case = situation(rng)
    fields = _routing(case) if rng.random() < 0.65 else _short(case)
    if rng.random() < 0.5:
        return Chat("ticket", case.message, dumps(rng, fields), forced_chars=1)
    return Chat("ticket", case.scene.one_of(_ASKS) + case.message, dumps(rng, fields))


def dumps(rng: Random, fields: dict[str, Json]) -> str:
    """JSON, mostly compact."""
    separators = (",", ":") if rng.random() < 0.75 else (", ", ": ")
    return json.dumps(fields, ensure_ascii=False, separators=separators)


def _routing(case: Situation) -> dict[str, Json]:
    rng, is_trouble = case.scene.rng, case.thread.tone is Tone.TROUBLE
    priority = rng.choice(case.intent.priorities)
    needs_human = is_trouble and rng.random() < 0.5
    fields: dict[str, Json] = {
        "category": case.intent.category,
        "priority": priority,
        "summary": _summary(case),
        "sentiment": rng.choice(
            ("negative", "negative", "angry") if is_trouble else ("neutral", "neutral", "positive")
        ),
        "language": rng.choice(("en", "en", "en-GB")),
        "needs_human": needs_human,
    }
    if needs_human:
        is_fraud = case.intent.category == "fraud"
        fields["escalation_reason"] = "fraud_suspected" if is_fraud else rng.choice(_REASONS)
    fields["entities"] = _entities(case)
    if rng.random() < 0.4:
        fields["respond_within_hours"] = rng.choice(_HOURS[priority])
    return fields


def _short(case: Situation) -> dict[str, Json]:
    rng = case.scene.rng
    fields: dict[str, Json] = {
        "category": case.intent.category,
        "priority": rng.choice(case.intent.priorities),
        "summary": _summary(case),
    }
    if rng.random() < 0.3:
        fields["team"] = case.intent.team
    if rng.random() < 0.3:
        fields["reply"] = reply(case)
    return fields


def _summary(case: Situation) -> str:
    rng = case.scene.rng
    summary = capitalised(case.scene.write(case.thread.summary)) + "."
    if rng.random() >= P_QUOTED:
        return summary
    breach = rng.choice([b for b in case.intent.breaches if b is not Breach.NUMBER] or [Breach.REFUSAL])
    lines = case.domain.lines.get(breach) or common.LINES[breach]
    return f"{summary} They were told: {capitalised(case.scene.one_of(lines.unlawful))}"


def _entities(case: Situation) -> list[Json]:
    found: list[Json] = []
    for slot, kind in _ENTITIES.items():
        value = case.scene.bound.get(slot)
        if value is not None and value in case.message and all(value not in str(entry) for entry in found):
            found.append({"type": kind, "value": value})
    return found
