"""Pipelines: several trainings and an evaluation as one resumable run, from one file."""
