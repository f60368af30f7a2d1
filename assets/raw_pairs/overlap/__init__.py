"""Overlap: which texts of the pool agree with which others.

Near duplicates among pairs and prompts, and contamination by benchmarks, both by words and n-grams.
"""
