"""What the secure processors of AMD's and Hygon's SEV firmware share: the certificate of a platform's key.

Specification: AMD 55766, SEV Key Management API, appendix C. Hygon's firmware writes the same container, with SM2 keys.
"""
