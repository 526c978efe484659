"""Whatever happens in a stand-in for configfs, a guest gets its own report or an error of ours, and leaves no entry."""

import errno
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.kernel.configfs_fake import Entry, FakeConfigfs, failure
from tests.unit.tees.kernel.inputs import OTHER_REPORT_DATA, REPORT_DATA, TABLE, snp_report
from verdictd.core.errors import AuthenticityError, VerdictdError
from verdictd.tees.kernel.attester import find_snp_attester

CALLS = 40
ERRORS = (errno.EBUSY, errno.EAGAIN, errno.EIO, errno.ENOENT, errno.ETIMEDOUT, errno.ENXIO, errno.EEXIST)
QUIET = st.none()
LOUD = st.sampled_from([*ERRORS, "write", "vanish", "replace"])


@dataclass
class Adversary:
    """Does one thing before each of the first system calls, and leaves the rest alone.

    Attributes:
        acts: an error of the kernel; or what another user with the same rights does to the entry.
        is_spoiled: whether removing an entry was made to fail, so that one may stay.
    """

    acts: list[int | str | None]
    configfs: FakeConfigfs
    is_spoiled: bool = False

    def __call__(self, call: str, name: str, entry: Entry | None) -> None:
        act = self.acts.pop(0) if self.acts else None
        if isinstance(act, int):
            self.is_spoiled |= call == "rmdir"
            raise failure(act, name)
        for held, state in list(self.configfs.entries.items()):
            if act == "write":
                state.inblob = OTHER_REPORT_DATA
                state.generation += 1
            elif act == "vanish":
                self.configfs.forget(held)
            elif act == "replace":
                # Under the same name, with the number of writes that we expect.
                self.configfs.forget(held)
                self.configfs.entries[held] = Entry(inblob=OTHER_REPORT_DATA, generation=state.generation)


@given(st.lists(st.one_of(QUIET, QUIET, QUIET, QUIET, QUIET, LOUD), max_size=CALLS))
def test_whatever_happens_the_report_is_our_own_or_there_is_an_error(acts: list[int | str | None]) -> None:
    configfs = FakeConfigfs(
        lambda data, level: (snp_report(data, level), TABLE), provider="sev_guest", piece_bytes=1 << 20
    )
    attester = find_snp_attester(files=configfs, sleep=lambda seconds: None)
    adversary = Adversary(list(acts), configfs)
    configfs.disturb = adversary
    try:
        evidence = attester.quote(REPORT_DATA)
    except VerdictdError:
        evidence = None
    assert evidence == snp_report() + TABLE or (evidence is None and any(acts))
    assert adversary.is_spoiled or not configfs.entries


def test_an_entry_that_was_replaced_under_its_name_gives_no_report_of_another() -> None:
    """Nothing in the fake configfs tells the two apart but the report data."""
    configfs = FakeConfigfs(lambda data, level: (snp_report(data, level), TABLE), provider="sev_guest")
    attester = find_snp_attester(files=configfs)

    def replace(call: str, name: str, entry: Entry | None) -> None:
        if (call, name) == ("open", "outblob"):
            ((held, state),) = configfs.entries.items()
            configfs.forget(held)
            configfs.entries[held] = Entry(inblob=OTHER_REPORT_DATA, generation=state.generation)

    configfs.disturb = replace
    with pytest.raises(AuthenticityError, match=f"carries the report data {OTHER_REPORT_DATA.hex()}"):
        attester.quote(REPORT_DATA)
