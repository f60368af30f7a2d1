"""Settings of every test."""

from hypothesis import settings

# Timing never decides a test, and every run draws the same examples.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


# Files that wait for whole runs: begun first, so that no worker is left waiting for another's at the end.
_LONGEST = ("test_end_to_end.py", "test_killed_calls.py", "test_judge_qualification.py")


def pytest_collection_modifyitems(items):
    """Put the longest files first; within them, and among the others, the order stays."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)
