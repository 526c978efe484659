"""What policies decided, kept for the same question: the same policy, the same reference and the same input.

Only for policies that call nothing which could answer otherwise another time (`PolicyPair.is_repeatable`), and only
what a policy decided, never that it could not. What is kept is the value of ``allow`` as the worker process gave it; a
decision is made of it each time, for the input that is asked about, so that it is the one that a worker would have
given. Nothing of an input is kept but its SHA-256.
"""

import hashlib
import threading
from collections import OrderedDict

from verdictd.policy.pair import PolicyPair

MAX_ENTRIES = 4096
MAX_BYTES = 4 * 1024 * 1024
"""Of keys and values together, with `ENTRY_BYTES` for each."""
ENTRY_BYTES = 512
"""What an entry takes beside its value: its key of 96 bytes, and what Python needs for both."""

Answer = tuple[bytes, ...]
"""The value of ``allow`` as JSON; nothing where it is undefined."""


def decision_key(pair: PolicyPair, text: bytes) -> bytes:
    """96 bytes that tell a question from every other.

    Args:
        pair: the policy and the reference.
        text: the input, as it is given to the engine.
    """
    return pair.key + hashlib.sha256(text).digest()


class DecisionMemory:
    """The answers asked for last, within bounds; the one that was not asked for longest goes first.

    Any number of threads may use it. Peers choose inputs and can fill it: then others are asked for again, which costs
    time and nothing else.
    """

    def __init__(self, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        """Make an empty memory.

        Args:
            max_entries: how many answers it keeps.
            max_bytes: how many bytes they may take.
        """
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def size(self) -> int:
        """How many bytes the answers take, by the measure of `max_bytes`."""
        return self._bytes

    def recall(self, key: bytes) -> Answer | None:
        """The answer to a question; ``None`` where it is not known."""
        with self._lock:
            answer = self._answers.get(key)
            if answer is not None:
                self._answers.move_to_end(key)
            return answer

    def remember(self, key: bytes, answer: Answer) -> None:
        """Keep what a policy decided. One that is too large by itself is not kept."""
        size = _measure(answer)
        if size > self._max_bytes:
            return
        with self._lock:
            known = self._answers.pop(key, None)
            self._bytes += size - (0 if known is None else _measure(known))
            self._answers[key] = answer
            while len(self._answers) > self._max_entries or self._bytes > self._max_bytes:
                _, oldest = self._answers.popitem(last=False)
                self._bytes -= _measure(oldest)


def _measure(answer: Answer) -> int:
    return ENTRY_BYTES + sum(map(len, answer))
