"""`verdict`: the tool of the policy's and the reference values' owner. One module for each subcommand."""
