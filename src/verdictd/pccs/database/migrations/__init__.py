"""How the tables came to be as they are, step by step. A step that was released is never changed."""
