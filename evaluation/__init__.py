"""Evaluation of reward models, usable without Dagster: `python -m evaluation.run`."""
