"""verdictd: wires everything, serves RATS-TLS and the client API."""
