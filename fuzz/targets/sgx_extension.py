"""The SGX extension of PCK certificates, which has a fast reader and a thorough one."""

from dataclasses import replace

from fuzz.parts import at_start
from fuzz.simulated import platform
from fuzz.target import FuzzTarget, attempt
from verdictd.simulator.sgx_extension import encode_sgx_extension
from verdictd.tees.dcap import pck


def check(data: bytes) -> None:
    """Where the fast reader reads the extension, the thorough one reads the same."""
    usual = pck._parse_usual_form(data)  # noqa: SLF001 - the two readers are what is compared
    thorough = attempt(pck._parse_any_form, data)  # noqa: SLF001
    assert usual is None or usual == thorough
    assert attempt(pck.parse_sgx_extension, data) == thorough


def seeds() -> dict[str, bytes]:
    spec = platform().sgx_extension_spec()
    return {"usual": encode_sgx_extension(spec), "high": encode_sgx_extension(replace(spec, pce_svn=300))}


TARGET = FuzzTarget(
    name="sgx_extension",
    modules=("verdictd.tees.dcap.pck", "verdictd.core.der"),
    check=check,
    seeds=seeds,
    max_bytes=1024,
    structure=at_start,
)
