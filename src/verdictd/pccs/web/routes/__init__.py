"""What each route answers. Every one is a handler: it takes an exchange and returns an answer, or raises."""
