"""The built-in sample: pairs whose right answer is known by construction, with planted faults.

Generated from a seed by `generate.generate_sample`; a hundred pairs written by hand lie in handwritten.jsonl.
"""
