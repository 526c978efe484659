"""The steps, each in a module named by its revision."""
