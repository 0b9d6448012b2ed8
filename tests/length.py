"""How much of the long tests runs: a change is tested within the hour, a release in full.

`POLICYKIT_TESTS=full pytest -m slow` draws all inputs; without it the first of the same inputs are drawn.
"""

import os


def at_length(full: int, usual: int) -> int:
    return full if os.environ.get("POLICYKIT_TESTS") == "full" else usual
