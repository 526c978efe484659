"""What holds for every test."""

import signal

# Whoever starts the tests in the background may have SIGINT ignored, and the programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
