"""Reward-model training and scoring, usable without Dagster: `python -m training.train`, `python -m training.score`."""
