"""TCB info and QE identity: as the PCS answers, and what was signed."""

from fuzz.parts import after_selector, selector
from fuzz.simulated import collateral, platform
from fuzz.target import FuzzTarget, attempt
from verdictd.tees.dcap.collateral import DocumentMember, SignedDocument, encode_signed_document, parse_signed_document
from verdictd.tees.dcap.qe_identity import parse_qe_identity
from verdictd.tees.dcap.tcb_info import COMPONENTS, parse_tcb_info

_MEMBERS: tuple[DocumentMember, DocumentMember] = ("tcbInfo", "enclaveIdentity")


def check(data: bytes) -> None:
    """A document is cut out of an answer exactly as it stands there; levels have all their components."""
    choice, value = selector(data, 4)
    if choice < len(_MEMBERS):
        member = _MEMBERS[choice]
        document = attempt(parse_signed_document, value, member, issuer_chain=b"", source="it")
        if document is not None:
            assert document.body in value
            written = encode_signed_document(document, member)
            assert parse_signed_document(written, member, issuer_chain=b"", source="it") == document
    elif choice == 2:
        info = attempt(parse_tcb_info, value)
        assert info is None or {len(level.components) for level in info.levels} == {COMPONENTS}
    else:
        identity = attempt(parse_qe_identity, value)
        assert identity is None or (len(identity.mr_signer) == 32 and identity.levels)


def seeds() -> dict[str, bytes]:
    def body(document: SignedDocument | None) -> bytes:
        assert document is not None
        return document.body

    tcb_info, qe_identity = collateral().tcb_info, collateral().qe_identity
    assert tcb_info is not None
    assert qe_identity is not None
    level = b'{"tcb":{"isvsvn":1},"tcbDate":"2026-01-01T00:00:00Z","tcbStatus":"UpToDate"}'
    before, _, after = body(qe_identity).partition(b'"tcbLevels":[')
    assert after
    return {
        "tcb_answer": b"\x00" + encode_signed_document(tcb_info, "tcbInfo"),
        "qe_answer": b"\x01" + encode_signed_document(qe_identity, "enclaveIdentity"),
        "tcb_info": b"\x02" + body(tcb_info),
        "tcb_info_v2": b"\x02" + body(platform().collateral(platform().created_at, tcb_info_version=2).tcb_info),
        "qe_identity": b"\x03" + body(qe_identity),
        "qe_identity_short": b"\x03" + before + b'"tcbLevels":[' + level + b"]}",
    }


TARGET = FuzzTarget(
    name="documents",
    modules=(
        "verdictd.tees.dcap.collateral",
        "verdictd.tees.dcap.json_reader",
        "verdictd.tees.dcap.tcb_info",
        "verdictd.tees.dcap.qe_identity",
    ),
    check=check,
    seeds=seeds,
    structure=after_selector,
)
