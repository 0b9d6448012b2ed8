"""A configuration that names our backend, in a process of its own: `python -m tests.engines.vllm.configured`."""

import os

import vllm

if __name__ == "__main__":
    vllm.__version__ = os.environ.get("POLICYKIT_TEST_VERSION", vllm.__version__)
    from vllm.plugins import load_general_plugins

    load_general_plugins()
    from vllm.config import StructuredOutputsConfig

    print("configured", StructuredOutputsConfig(backend="policykit"))
