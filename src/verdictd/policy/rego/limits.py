"""Upper bounds on a policy beside its size. Real policies stay far below them."""

MAX_NESTING = 16
"""Brackets inside brackets in a policy's text. The engine's parser needs twice the time for each level."""

MAX_TREE_DEPTH = 100
"""Expressions inside expressions in a syntax tree, which also grows with a chain such as ``a + b + c``."""

MAX_LINE_LENGTH = 16 * 1024
MAX_LINES = 64 * 1024
