"""What all routes share: how a request is read within limits, and how it is answered or refused."""
