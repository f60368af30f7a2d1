"""Settings of every test."""

from hypothesis import settings

# Timing never decides a test, and every run draws the same examples.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")
