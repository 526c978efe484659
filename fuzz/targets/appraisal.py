"""From a certificate to its verdict, with whatever bytes: what the fuzzer changed is never accepted."""

from functools import cache

from fuzz.certificates import make_certificate
from fuzz.parts import at_start
from fuzz.simulated import NOW, appraiser, collateral
from fuzz.target import CORPUS, FuzzTarget
from fuzz.verdicts import check_result
from verdictd.appraisal.verifiers import NULL_VERIFIER, SGX_VERIFIER
from verdictd.core.checks import CheckResult
from verdictd.core.errors import VerdictdError
from verdictd.ratstls.certificate import parse_certificate


def check(data: bytes) -> None:
    """A certificate is accepted only if its signed bytes are those of one that was made for it."""
    result = appraiser().appraise_certificate(data, SGX_VERIFIER, NOW)
    check_result(result)
    if result.allowed:
        assert parse_certificate(data).tbs in _genuine(), "a certificate that nobody made is accepted"
    unjudged = appraiser().appraise_certificate(data, NULL_VERIFIER, NOW)
    check_result(unjudged)
    assert not unjudged.allowed or CheckResult.NOT_MADE in {each.result for each in unjudged.checks}


@cache
def _genuine() -> frozenset[bytes]:
    """The signed bytes of the certificates among the seeds."""
    found = set()
    for path in (CORPUS / "appraisal").iterdir():
        try:
            found.add(parse_certificate(path.read_bytes()).tbs)
        except VerdictdError:
            continue
    return frozenset(found)


def seeds() -> dict[str, bytes]:
    versions = {f"v{version}": make_certificate(quote_version=version) for version in (3, 4, 5)}
    return {**versions, "debug": make_certificate(debug=True), "endorsed": make_certificate(endorsements=collateral())}


PATH = (
    "verdictd.appraisal.appraiser",
    "verdictd.ratstls.certificate",
    "verdictd.ratstls.binding",
    "verdictd.ratstls.evidence",
    "verdictd.ratstls.endorsements",
    "verdictd.tees.sgx_ecdsa.verifier",
    "verdictd.tees.sgx_ecdsa.claims",
    "verdictd.tees.dcap.quote",
    "verdictd.tees.dcap.quote_checks",
    "verdictd.tees.dcap.pck_checks",
    "verdictd.tees.dcap.platform",
    "verdictd.tees.dcap.document_checks",
    "verdictd.tees.dcap.tcb_checks",
    "verdictd.tees.dcap.tcb_level",
    "verdictd.tees.dcap.context",
    "verdictd.tees.dcap.endorsements",
)
"""The modules on the path."""

TARGET = FuzzTarget(name="appraisal", modules=PATH, check=check, seeds=seeds, max_bytes=40_000, structure=at_start)
