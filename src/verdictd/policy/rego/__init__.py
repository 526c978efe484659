"""What a Rego policy says, read from the engine's syntax tree, and whether it may be trusted with decisions.

`syntax_reader` turns the engine's tree into the values of `syntax` and refuses every node it does not know.
`static_check` then applies the rules: `rules` (what is defined), `names` (what is referred to and called, and by whom),
`safety` (that every variable gets a value). All of it is pure: no engine, no I/O, no clock.
"""
