"""One customer message and one reply, about four in ten of which break a policy."""

from dataclasses import dataclass
from random import Random

from policykit.embedded.corpus import common
from policykit.embedded.corpus.banking import BANKING
from policykit.embedded.corpus.clinic import CLINIC
from policykit.embedded.corpus.domain import Domain, Intent, Lines, Thread
from policykit.embedded.corpus.shop import SHOP
from policykit.embedded.corpus.telecom import TELECOM
from policykit.embedded.corpus.template import Scene
from policykit.embedded.corpus.travel import TRAVEL

DOMAINS: tuple[Domain, ...] = (BANKING, TELECOM, SHOP, CLINIC, TRAVEL)
P_UNLAWFUL = 0.48
P_LAWFUL_TWIN = 0.4  # of the replies that break nothing
P_NAMED = 0.5


@dataclass(frozen=True, slots=True)
class Chat:
    """A prompt and its completion. ``forced_chars`` first characters of the completion carry no loss: they are
    written only where a grammar forces them."""

    domain: str
    prompt: str
    completion: str
    forced_chars: int = 0


@dataclass(slots=True)
class Situation:
    """A customer with something to say: what chats and structured tasks are written from."""

    domain: Domain
    intent: Intent
    thread: Thread
    scene: Scene
    named: bool
    message: str


def situation(rng: Random, domain: Domain | None = None) -> Situation:
    """A customer of the domain (of any, by default) and the message that they send."""
    domain = domain or rng.choice(DOMAINS)
    intent = rng.choice(domain.intents)
    thread = rng.choice(intent.threads)
    scene = Scene(rng, {**common.SLOTS, **domain.slots})
    named = rng.random() < P_NAMED
    greeting = scene.one_of(common.GREETINGS) if named else ""
    return Situation(domain, intent, thread, scene, named, greeting + scene.one_of(thread.asks))


def reply(case: Situation) -> str:
    """One to five sentences in answer to the situation's message."""
    rng, scene = case.scene.rng, case.scene
    answers = case.thread.answers
    substance = [scene.write(line) for line in rng.sample(answers, min(len(answers), rng.choice((1, 1, 2))))]
    line = _policy_line(case)
    if line:
        substance.insert(rng.choice((0, len(substance), len(substance))), line)
    openers = common.OPENERS_NAMED if case.named else common.OPENERS
    first = [scene.one_of(openers[case.thread.tone])] if rng.random() < 0.75 else []
    last = [scene.one_of(common.CLOSINGS)] if rng.random() < 0.5 else []
    return " ".join(capitalised(sentence) for sentence in (*first, *substance, *last))


def chat(rng: Random, domain: Domain | None = None) -> Chat:
    """A plain chat."""
    case = situation(rng, domain)
    return Chat(case.domain.name, case.message, reply(case))


def capitalised(sentence: str) -> str:
    """The sentence with its first character in upper case and the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def _policy_line(case: Situation) -> str:
    rng = case.scene.rng
    draw = rng.random()
    breach = rng.choice(case.intent.breaches)
    lines: Lines = case.domain.lines.get(breach) or common.LINES[breach]
    if draw < P_UNLAWFUL:
        return case.scene.one_of(lines.unlawful)
    if draw < P_UNLAWFUL + (1 - P_UNLAWFUL) * P_LAWFUL_TWIN:
        return case.scene.one_of(lines.lawful)
    return ""
