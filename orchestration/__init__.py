"""What runs when: definitions, resources, partitions, jobs, schedules, sensors and the command line.

Together with `assets/*/assets.py` the only place that knows Dagster.
"""
