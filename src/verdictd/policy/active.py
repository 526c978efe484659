"""Which policy and which reference are in force for each kind of evidence, as whoever decides sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from verdictd.policy.pair import PolicyPair


@dataclass(frozen=True, slots=True)
class PairNames:
    """Which policy is used with which reference."""

    policy: str
    reference: str


@dataclass(frozen=True, slots=True)
class UnusablePair:
    """Why nothing can be decided about a kind of evidence, and what to do about it."""

    names: PairNames
    reason: str
    remedy: str


class ActivePairs(Protocol):
    """What is in force, asked at any time and from any thread: the store, or a copy of what it says."""

    def active(self, tee: str) -> PolicyPair | UnusablePair:
        """What is in force for a kind of evidence, at this instant.

        Raises:
            KeyError: there is no such kind.
        """


class PairBoard:
    """What is in force, as another process said it last. It has no files and checks nothing.

    The process that has the store sends all pairs with each change (`PolicyStore`, `encode_pairs`); this one puts them
    up with `replace`. Whoever asks sees all pairs of one change or all of the next.
    """

    def __init__(self, pairs: Mapping[str, PolicyPair | UnusablePair] = MappingProxyType({})) -> None:
        """Make a board of what is in force for each kind of evidence. Before `replace` it may know of none."""
        self._pairs = dict(pairs)

    def active(self, tee: str) -> PolicyPair | UnusablePair:
        """What is in force; see `ActivePairs`."""
        return self._pairs[tee]

    def replace(self, pairs: Mapping[str, PolicyPair | UnusablePair]) -> None:
        """Put other pairs in force, all at once. When it returned, nobody is told the old ones any more."""
        self._pairs = dict(pairs)
