"""The nouns of RFC 9334 as plain values, and the errors. No I/O, no clock, no third-party code."""
