"""Bridges: a round's tasks go to tools that a team has already, and the answers come back to the desk.

Both bridges export by `tasks` and take answers in by `intake`; none of them knows the lake or Dagster.
"""
