"""Bundles: policies, grammars and profiles as one reproducible, signed archive."""
