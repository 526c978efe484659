"""What an upload did."""

from dataclasses import dataclass

from verdictd.policy.active import UnusablePair
from verdictd.policy.pair import Document, PolicyPair


@dataclass(frozen=True, slots=True)
class Upload:
    """What an upload that was accepted stored and put in force.

    Attributes:
        documents: what was stored.
        pairs: what is in force now, for each kind of evidence that it concerns; empty for names that judge nothing.
    """

    documents: tuple[Document, ...]
    pairs: tuple[PolicyPair | UnusablePair, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever uploaded should know, in sentences; most often nothing."""
        notes: list[str] = []
        for pair in self.pairs:
            if isinstance(pair, UnusablePair):
                notes.append(f"every peer is refused: {pair.reason}; {pair.remedy}")
                continue
            notes += [
                f"{pair.policy.name} reads data.{name}, which {pair.reference.name} does not have"
                for name in pair.missing_members
            ]
        return tuple(notes)
