"""Reward models: trained on the mixture, measured, registered and promoted.

The training and the measuring themselves live in `training` and `evaluation`.
"""
