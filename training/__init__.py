"""Reward-model training and scoring, usable without Dagster: `python -m training.train`, `python -m training.score`."""

import os

# Must be set before torch is loaded. Threads that wait by spinning make a step of the sample's model take 5 s
# instead of 0.1 s when another process wants the same two cores; sleeping costs nothing measurable otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
