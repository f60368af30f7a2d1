"""The annotation desk: the database of what people are asked and what they answered, and the rules of asking.

Knows nothing of HTTP, of the lake or of Dagster: pages, bridges and simulated people all work through it.
"""
