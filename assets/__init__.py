"""Curation artifacts, one folder each, and the core they share: identity, tables, lake, settings.

In every folder `assets.py` is the Dagster glue; every other module is pure of Dagster.
"""
