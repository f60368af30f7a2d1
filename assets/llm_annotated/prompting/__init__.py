"""Prompts: what judges and attribute writers are shown, how data stand apart from instructions, how replies are read.

The texts are Markdown files in this folder, versioned by `lock`; their hash stands in every label they lead to.
"""
