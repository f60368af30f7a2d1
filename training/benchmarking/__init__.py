"""Benchmarking: training and scoring measured beside other trainers, each in a process of its own on the same tokens.

`python -m training.benchmark` is the command.
"""
