"""What the settings of all programs have in common: how a value is read, and how it is named where it is wrong.

`values` reads single ones, `layers` whole files and sets of flags; `address`, `log_choice` and `trust_files` are of
settings that several programs have.
"""
