"""Raw pairs: preference pairs as their sources gave them, in canonical form, with ids.

Everything a source row can become ends here: a pair and its label event, or a dead letter with a reason.
"""
