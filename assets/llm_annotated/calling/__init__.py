"""Calling language models: requests sent at most once, never beyond the budget, whatever the server does."""
