"""What holds for all tests."""

from hypothesis import settings

# An example takes as long as the machine does: speed is measured in `benchmarks/`, and nothing fails for it here.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")
