"""Deployment profiles: which policies, grammar, model and limits a request is served under, and which key may use which."""
