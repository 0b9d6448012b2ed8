"""The text that the embedded model is trained on: deterministic, made here, about nobody."""

from policykit.embedded.corpus.chat import DOMAINS, Chat, chat
from policykit.embedded.corpus.tasks import example

__all__ = ["DOMAINS", "Chat", "chat", "example"]
