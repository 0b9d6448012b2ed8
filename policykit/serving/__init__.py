"""Serving under profiles: one guard before any OpenAI-compatible server, its own or another."""
