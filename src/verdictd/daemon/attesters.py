"""From settings to what makes our own evidence."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from verdictd.core.attester import Attester
from verdictd.core.errors import ConfigError
from verdictd.daemon.settings import AttesterName
from verdictd.ratstls.evidence import INTEL_QUOTE_TAG, REPORT_TAGS, EvidenceKind
from verdictd.simulator.attester import SimulatedAttester, SimulatedTDAttester
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.guests import GuestSpec, load_csv_attester, load_snp_attester
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.trust_domain import TrustDomainSpec
from verdictd.tees.csv.evidence import parse_csv_evidence
from verdictd.tees.kernel.attester import CheckedEvidence, GuestAttester, find_snp_attester, find_tdx_attester
from verdictd.tees.sgx_ecdsa.attester import find_sgx_attester
from verdictd.tees.sgx_ecdsa.attester_command import CommandSource, parse_quote_command

EVIDENCE_TAGS: Final = {
    AttesterName.NULL: INTEL_QUOTE_TAG,
    AttesterName.SGX_ECDSA: INTEL_QUOTE_TAG,
    AttesterName.TDX_ECDSA: INTEL_QUOTE_TAG,
    AttesterName.SEV_SNP: REPORT_TAGS[EvidenceKind.SEV_SNP],
    AttesterName.CSV: REPORT_TAGS[EvidenceKind.CSV],
}
"""The CBOR tag of what each attester makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedWorkload:
    """What a simulated platform measures, by the kind of its evidence.

    Attributes:
        enclave: of SGX.
        domain: of TDX.
        guest: of SEV-SNP and CSV.
    """

    enclave: EnclaveSpec = field(default_factory=EnclaveSpec)
    domain: TrustDomainSpec = field(default_factory=TrustDomainSpec)
    guest: GuestSpec = field(default_factory=GuestSpec)


def open_attester(
    name: AttesterName,
    *,
    quote_command: str | None,
    simulate: Path | None,
    workload: SimulatedWorkload | None = None,
) -> Attester | None:
    """Open what makes our evidence; ``None`` for `nullattester`.

    Args:
        name: which attester.
        quote_command: a program that makes evidence, in the place of this machine's device.
        simulate: directory of a simulated platform, in the place of this machine's device.
        workload: what the simulated platform measures.
    Raises:
        ConfigError: there is no source of evidence; says what was looked for.
    """
    if name is AttesterName.NULL:
        return None
    if simulate is not None:
        return _simulate(name, simulate, workload or SimulatedWorkload())
    match name:
        case AttesterName.TDX_ECDSA:
            return find_tdx_attester(quote_command=quote_command)
        case AttesterName.SEV_SNP:
            return find_snp_attester(quote_command=quote_command)
        case AttesterName.CSV:
            return _find_csv_attester(quote_command)
        case _:
            return find_sgx_attester(quote_command=quote_command)


def _simulate(name: AttesterName, directory: Path, workload: SimulatedWorkload) -> Attester:
    try:
        match name:
            case AttesterName.TDX_ECDSA:
                return SimulatedTDAttester(SimulatedPlatform.load(directory), workload.domain)
            case AttesterName.SEV_SNP:
                workload.guest.measured(48)
                return load_snp_attester(directory, workload.guest)
            case AttesterName.CSV:
                return load_csv_attester(directory, workload.guest)
            case _:
                return SimulatedAttester(SimulatedPlatform.load(directory), workload.enclave)
    except ValueError as error:
        raise ConfigError(f"the simulated guest cannot be: {error}") from error


def check_csv_evidence(data: bytes) -> CheckedEvidence:
    """Check that these are a CSV report, with HSK and CEK or without.

    Raises:
        MalformedError, UnsupportedError: they are not.
    """
    return CheckedEvidence(data, parse_csv_evidence(data).report.user_data)


def _find_csv_attester(quote_command: str | None) -> GuestAttester:
    if quote_command is None:
        raise ConfigError(
            "no source of CSV reports was found: Hygon's device for them is not used by itself",
            remedy="name a program that makes them with --quote-command, or simulate a platform with --simulate DIR",
        )
    return GuestAttester(CommandSource(parse_quote_command(quote_command)), check_csv_evidence)
