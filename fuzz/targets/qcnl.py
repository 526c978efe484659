"""``sgx_default_qcnl.conf``, in both of its forms."""

from fuzz.target import FuzzTarget, attempt
from verdictd.collateral.pccs_urls import parse_pccs_url
from verdictd.collateral.qcnl import parse_qcnl


def check(data: bytes) -> None:
    """Settings are of their types, and what is said about them can be written."""
    settings = attempt(parse_qcnl, data, "qcnl.conf")
    if settings is None:
        return
    for sentence in (*settings.warnings, *settings.ignored):
        sentence.encode("utf-8")
    for number in (settings.retry_times, settings.retry_delay):
        assert number is None or number >= 0
    address = attempt(parse_pccs_url, settings.collateral_url)
    assert address is None or parse_pccs_url(str(address)) == address


def seeds() -> dict[str, bytes]:
    return {
        "json": b'{\n// a comment\n"pccs_url": "https://localhost:8081/sgx/certification/v4/", /* another */\n'
        b'"use_secure_cert": false, "retry_times": 6, "retry_delay": 10, "tcb_update_type": "early",\n'
        b'"local_pck_url": "http://localhost", "collateral_service": "https://pcs.invalid/sgx/certification/v4/"}\n',
        "old": b"# comment\nPCCS_URL=https://localhost:8081/sgx/certification/v3/\nUSE_SECURE_CERT=FALSE\n"
        b"RETRY_TIMES=6\nRETRY_DELAY=10\nTCB_UPDATE_TYPE=standard\nCOLLATERAL_SERVICE=alibaba:cn-beijing\n",
    }


TARGET = FuzzTarget(
    name="qcnl",
    modules=("verdictd.collateral.qcnl", "verdictd.collateral.pccs_urls"),
    check=check,
    seeds=seeds,
    max_bytes=2048,
)
