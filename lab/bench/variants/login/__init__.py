"""The part `login`: the price of logins, refreshes and the check for revoked sessions.

`part` runs the others one after the other. Each of them measures one thing and adds its figures to
the findings of the bench.
"""
