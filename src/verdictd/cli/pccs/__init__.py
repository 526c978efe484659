"""The subcommands of `pccs`, a module each with `add_parser`; `main` is the entry point."""
