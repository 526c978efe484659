"""Enclaves as files: their signatures, their images, and the reference values that follow from them."""
