"""policykit: one declarative policy, compiled once into masks, verifiers and rewards."""
