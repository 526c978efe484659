"""What an attested peer may ask for: the EAA protocol."""
