"""Filtered mixture: which pairs of the wild pool a reward model may learn from, and why.

Error-driven retrieval, pair scores, consistency decisions, the mixture and its identity.
"""
