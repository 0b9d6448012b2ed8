"""Every kind of training example: chats, and structured answers to the same customers.

Tickets and reports in JSON, cited answers and queries are there so that a grammar which forces such a structure meets
a model that has something sensible to put into it.
"""

from random import Random

from policykit.embedded.corpus.chat import Chat, capitalised, chat, situation
from policykit.embedded.corpus.common import SLOTS
from policykit.embedded.corpus.reports import report
from policykit.embedded.corpus.template import Scene
from policykit.embedded.corpus.tickets import ticket

_QUERIES = (
    (
        "[Which|Show me all] [open |]tickets [with high priority|that are urgent].",
        "SELECT id, [summary|category] FROM tickets WHERE priority = '[high|urgent]'[ AND status = 'open'|]"
        "[ ORDER BY created_at DESC|] LIMIT [10|20|50]",
    ),
    (
        "How many [tickets|orders] are there per [month|team]?",
        "SELECT [team|category|status], COUNT(*) FROM [tickets|orders] GROUP BY [team|category|status]",
    ),
    (
        "[List|Show] the [last|newest] {few} orders[ of {name}|].",
        "SELECT id, [customer|product], amount FROM orders[ WHERE customer = '{name}'|] ORDER BY created_at DESC"
        " LIMIT &",
    ),
    (
        "Which customers [spent|paid] more than £&00?",
        "SELECT customer, SUM(amount) FROM orders WHERE amount > &00 GROUP BY customer",
    ),
)


def example(rng: Random) -> Chat:
    """One training example: two in three are plain chats."""
    kind = rng.choices((chat, ticket, report, _cited, _query), weights=(68, 14, 8, 6, 4))[0]
    return kind(rng)


def _cited(rng: Random) -> Chat:
    """A chat whose sentences of substance name their source."""
    case = situation(rng)
    answers = case.thread.answers
    sentences = [
        capitalised(case.scene.write(line)) for line in rng.sample(answers, min(len(answers), rng.choice((1, 2))))
    ]
    cited = [f"{line[:-1]} [{rng.randrange(1, 4)}]{line[-1]}" for line in sentences]
    return Chat("cited", f"Answer with sources: {case.message}", " ".join(cited))


def _query(rng: Random) -> Chat:
    ask, answer = rng.choice(_QUERIES)
    scene = Scene(rng, SLOTS)
    return Chat("query", scene.write(f"Write a query: {ask}"), scene.write(answer))
