"""Human gold: pairs whose label was verified by people.

Tasks for people, the providers that bring their votes, and how far the votes agree.
"""
