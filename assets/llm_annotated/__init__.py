"""LLM-annotated pairs (silver): pairs labelled by judges guided by gold.

Preference attributes, few-shot examples, judges, and how their votes become one verdict.
"""
