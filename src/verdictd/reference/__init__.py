"""Reference values from what the user built: what is in the files, whether it holds, and what follows from it."""
