"""The audit log: an append-only record of what verdictd decided and what was changed, chained by hash.

`lines` says what a line is, `verification` proves that none is missing or changed, `segments` finds the files, `log`
appends to them from any number of processes, and `records` says what is recorded.
"""
