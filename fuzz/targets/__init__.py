"""One harness for each target; `fuzz.registry` lists them."""
