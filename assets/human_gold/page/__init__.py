"""The annotation page: HTTP, templates and the browser's part of human verification.

Rules and database are `assets.human_gold.desk`'s; here is only how people reach them, and what keeps strangers out.
"""
