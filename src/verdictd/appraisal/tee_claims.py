"""What a policy is given of each kind of evidence, and what reference values it makes."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, Protocol, cast

from verdictd.appraisal.installed_tees import installed_tees, load_tee
from verdictd.core.errors import UnsupportedError
from verdictd.core.result import JSONValue


class TEEClaims(Protocol):
    """What a TEE's module `claims` has, or the TEE of an installed package."""

    @property
    def build_policy_input(self) -> Callable[[Mapping[str, JSONValue], Mapping[str, bytes]], dict[str, JSONValue]]:
        """Makes the `input` of a policy of claims and custom claims."""

    @property
    def build_reference_fields(self) -> Callable[[Mapping[str, JSONValue]], dict[str, JSONValue]]:
        """Makes reference values that evidence of these claims meets."""


TEE_CLAIMS: Final[Mapping[str, str]] = MappingProxyType(
    {tee: f"verdictd.tees.{tee}.claims" for tee in ("sgx_ecdsa", "tdx_ecdsa", "sev_snp", "sev", "csv", "sgx_la")}
)
"""The module by the kind of evidence. Loaded when asked for: whoever reads a quote shall not wait for the others."""


def claims_of(tee: str) -> TEEClaims:
    """Return what a kind of evidence has.

    Raises:
        UnsupportedError: a kind that is not appraised here.
    """
    module = TEE_CLAIMS.get(tee)
    if module is None and tee in installed_tees():
        return load_tee(tee)
    if module is None:
        raise UnsupportedError(f"evidence of kind {tee} is not appraised here, known are {', '.join(TEE_CLAIMS)}")
    return cast(TEEClaims, import_module(module))
