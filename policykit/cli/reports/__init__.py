"""Diagnostics, test reports and verdicts as machines read them; each is a pure function to text."""
