"""vLLM 0.32 and 0.33: policies as a structured-output backend that is always on.

vLLM has no hook for backends, so :func:`policykit.engines.vllm.plugin.install`, its `vllm.general_plugins` entry
point, changes ten places (:mod:`policykit.engines.vllm.contracts` names them and what is relied on). The backend has
its own name, so that an engine without the plugin does not start. Importing this package imports no vLLM and no torch.

Departures: special tokens other than an end of text have a place only where a structural tag wants their names written
and the text shows them; structural tags about tokens are refused; the CPU runs vLLM's first model runner only, the
second one (the default on a GPU) was read and not run.
"""

BACKEND = "policykit"
"""The backend's name: ``--structured-outputs-config.backend policykit``."""
