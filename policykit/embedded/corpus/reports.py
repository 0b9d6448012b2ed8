"""Product quality reports in JSON, in the shape of the shipped schema: the inspection of one batch."""

from random import Random

from policykit.embedded.corpus.chat import Chat, capitalised
from policykit.embedded.corpus.common import SLOTS
from policykit.embedded.corpus.template import Scene, Slots
from policykit.embedded.corpus.tickets import Json, dumps

_ASKS = ("Write a quality report for this review: ", "Quality report: ", "Report on this batch: ")
_REVIEWS = (
    "The {product} {defect}.",
    "I bought a {product} in {month} and it {defect}. I am [not happy|disappointed].",
    "My {product} {defect} after {few} weeks[, batch {batch}|].",
    "{few} of our {product}s came back, each one {defect}.",
)
_DEFECTS = {
    "kettle": ("leaks at the base", "does not switch off", "smells of plastic"),
    "coat": ("has a torn seam", "loses its colour", "is missing a button"),
    "desk lamp": ("flickers", "does not switch on", "gets too hot"),
    "backpack": ("has a broken zip", "is not waterproof", "has a torn strap"),
    "blender": ("leaks", "has a loose blade", "is too loud"),
    "office chair": ("wobbles", "sinks slowly", "is missing a screw"),
    "coffee machine": ("leaks", "does not heat up", "shows an error"),
    "bike helmet": ("has a crack", "has a loose strap", "is the wrong size"),
}
_SLOTS: Slots = {
    "batch": ("[KT|LM|BX|CM|HQ]-[2026####|19##|20##]",),
    "code": ("[A|B|C|D|S|E][0#|1#|2##]",),
    "minor": ("Small scratch on the [lid|base|side]", "Colour slightly off", "Label printed askew"),
    "action": (
        "Hold batch {batch} and [check|inspect] [all|&00] units.",
        "Replace the [worn tool|wrong part] and inspect again.",
        "Send batch {batch} back to the supplier.",
        "Rework the {product} and test {few} more samples.",
    ),
    "person": ("[M|A|J|K]. [Okafor|Novak|Silva|Berg|Tanaka]",),
}
_MEASURES = (
    ("weight", "kg", 1, 9),
    ("length", "mm", 20, 400),
    ("pull strength", "N", 20, 300),
    ("lid torque", "Nm", 1, 4),
    ("temperature", "degC", 18, 95),
    ("voltage", "V", 4, 240),
    ("moisture", "percent", 2, 20),
    ("time to boil", "s", 90, 240),
)


def report(rng: Random) -> Chat:
    """A quality report on a review; three in ten reviews do not ask for one (see `policykit...tickets.ticket`)."""
    product, defects = rng.choice(tuple(_DEFECTS.items()))
    scene = Scene(rng, {**SLOTS, **_SLOTS, "product": (product,), "defect": defects})
    review = capitalised(scene.one_of(_REVIEWS))
    completion = dumps(rng, _fields(scene))
    if rng.random() < 0.3:
        return Chat("report", review, completion, forced_chars=1)
    return Chat("report", scene.one_of(_ASKS) + review, completion)


def _fields(scene: Scene) -> dict[str, Json]:
    rng = scene.rng
    verdict = rng.choice(("accept", "accept_with_concession", "rework", "reject", "reject"))
    fields: dict[str, Json] = {
        "product": capitalised(scene.value("product")),
        "batch": scene.value("batch"),
        "inspected_on": f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
        "sample_size": rng.choice((20, 50, 80, 100, 200)),
        "defects": _defects(scene, verdict),
        "measurements": [_measurement(rng) for _ in range(rng.choice((1, 1, 2)))],
        "verdict": verdict,
    }
    if verdict in ("rework", "reject"):
        fields["corrective_action"] = scene.value("action")
    if verdict == "accept_with_concession":
        fields["approved_by"] = scene.value("person")
    return fields


def _defects(scene: Scene, verdict: str) -> list[Json]:
    rng = scene.rng
    is_bad = verdict in ("rework", "reject")
    main: Json = {
        "code": scene.write(rng.choice(_SLOTS["code"])),
        "severity": rng.choice(("major", "critical") if is_bad else ("minor", "major")),
        "count": rng.randrange(1, 20),
        "description": capitalised(scene.write("{product} {defect}")),
    }
    minor: Json = {
        "code": scene.write(rng.choice(_SLOTS["code"])),
        "severity": "minor",
        "count": rng.randrange(1, 9),
        "description": scene.value("minor"),
    }
    if verdict == "accept":
        return [minor] if rng.random() < 0.5 else []
    return [main, minor] if rng.random() < 0.3 else [main]


def _measurement(rng: Random) -> Json:
    name, unit, low, high = rng.choice(_MEASURES)
    value = rng.randrange(low * 10, high * 10) / 10
    return {"characteristic": name, "value": value, "unit": unit, "within_tolerance": rng.random() < 0.7}
