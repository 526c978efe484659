"""The bounded history of attestations."""

from datetime import UTC, datetime

from verdictd.daemon.records import AttestationHistory, AttestationRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(
    history: AttestationHistory, identifier: str = "00000000", *, number: int = 1, accepted: bool = True
) -> AttestationRecord:
    made = AttestationRecord(
        number=number,
        attestation_id=identifier,
        at=NOW,
        peer="192.0.2.1:1",
        accepted=accepted,
        sentence="as the test says",
        result=None,
        decision=None,
        duration_s=0.5,
    )
    history.add(made)
    return made


def numbers(records: tuple[AttestationRecord, ...]) -> list[int]:
    return [record.number for record in records]


def test_the_oldest_are_forgotten_and_still_counted() -> None:
    history = AttestationHistory(3)
    for number in range(1, 11):
        record(history, number=number, accepted=number % 2 == 0)
    assert numbers(history.find("", 0)) == [8, 9, 10]
    assert history.counts() == {"accepted": 5, "refused": 5}


def test_the_newest_are_found_by_the_beginning_of_their_id_the_oldest_first() -> None:
    history = AttestationHistory(10)
    for number, identifier in enumerate(("aa11", "bb11", "aa22", "aa11"), 1):
        record(history, identifier, number=number)
    assert numbers(history.find("aa", 0)) == [1, 3, 4]
    assert numbers(history.find("aa", 2)) == [3, 4]
    assert numbers(history.find("aa11", 0)) == [1, 4]
    assert history.find("cc", 5) == ()
