"""The written annotation guidelines: one Markdown file per task category and one for every pair, versioned.

A part of the product: people read them on the annotation page, judges get them without what only people can do.
"""

from assets.guidelines.composing import Guidelines, load_guidelines, without_tools

__all__ = ["Guidelines", "load_guidelines", "without_tools"]
