"""An OpenAI-compatible server over transformers, for development: one worker, small batches, the plan's mask always on.

It is meant to stand behind the guard, as vLLM's own server is, and speaks to it in the same way: a request names its
plan, and the server attests that the mask stands. A request that names none is refused.
"""

from policykit.engines.server.app import EngineApp
from policykit.engines.server.engine import Engine, load_engine

__all__ = ["Engine", "EngineApp", "load_engine"]
