"""Verification of SM2 signatures over SM3 digests, which Hygon's certificates and reports carry.

No library that is well kept verifies SM2. What is here needs no secret: nothing signs, and nothing has to take the
same time for every input.
"""
