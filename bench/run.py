"""Measures verdictd beside its peer on the same inputs, prints a table and writes build/bench.json."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dcap_qvl

from attested_handshakes import measure_handshakes
from cli_start import measure_starts
from idle_connections import measure_idle_connections
from inputs import Evidence, load_recorded_evidence, simulate_evidence
from measure import RUNS_IN_TURN, WARM_UP, Contest, Measurement, measure
from measure_enclave import measure_enclaves
from pccs_answers import measure_answers
from verdictd.collateral.collateral_file import parse_collateral_set
from verdictd.collateral.items import join_collateral
from verdictd.core.errors import AppraisalRefusedError
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sgx_ecdsa.verifier import appraise_sgx

_RUNS = 1000
_OUTPUT = Path(__file__).resolve().parents[1] / "build" / "bench.json"
_ACCEPTANCE = Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)
"""The peer reports the status and leaves the rest to its caller; ours accepts it, so that both go all the way."""
_KNOWN_LIMIT, _NEW_LIMIT, _COLD_LIMIT = 0.25, 0.6, 1.75


class Appraisals:
    """The appraisals of one body of evidence by verdictd and by dcap-qvl. Each raises unless it accepts."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._roots = evidence.roots
        self._root_der = evidence.root_der
        self._seconds = int(evidence.at.timestamp())
        self._collateral = read_collateral(evidence.collateral)
        self._peer_collateral = dcap_qvl.QuoteCollateralV3.from_json(evidence.collateral)
        self._memory = FactMemory()

    def known(self, name: str) -> Contest[bytes]:
        """A platform that was seen before shows another quote each time."""
        return self._contest(name, self.evidence.quotes, _KNOWN_LIMIT)

    def new(self, name: str) -> Contest[bytes]:
        """Each time another platform, whose CA and collateral were seen before."""
        return self._contest(name, self.evidence.others, _NEW_LIMIT)

    def cold(self, name: str) -> Contest[bytes]:
        """Nothing was seen before: collateral is read from its text, parsed and verified."""
        return Contest(
            name=name,
            inputs=self.evidence.quotes,
            ours=lambda quote: self._appraise(quote, read_collateral(self.evidence.collateral), FactMemory()),
            peer_name="dcap-qvl from_json + verify",
            peer=lambda quote: self._verify(quote, dcap_qvl.QuoteCollateralV3.from_json(self.evidence.collateral)),
            limit=_COLD_LIMIT,
        )

    def _contest(self, name: str, quotes: tuple[bytes, ...], limit: float) -> Contest[bytes]:
        return Contest(
            name=name,
            inputs=quotes,
            ours=lambda quote: self._appraise(quote, self._collateral, self._memory),
            peer_name="dcap-qvl verify",
            peer=lambda quote: self._verify(quote, self._peer_collateral),
            limit=limit,
        )

    def _appraise(self, quote: bytes, collateral: Collateral, memory: FactMemory) -> None:
        result = appraise_sgx(
            quote,
            collateral=collateral,
            roots=self._roots,
            acceptance=_ACCEPTANCE,
            at=self.evidence.at,
            memory=memory,
        )
        if not result.allowed:
            raise AppraisalRefusedError("; ".join(check.sentence for check in result.refusals))

    def _verify(self, quote: bytes, collateral: dcap_qvl.QuoteCollateralV3) -> None:
        dcap_qvl.verify_with_root_ca(quote, collateral, self._root_der, self._seconds)


def read_collateral(text: str) -> Collateral:
    """Read the form that dcap-qvl's `from_json` reads."""
    return join_collateral({item.kind: item for item in parse_collateral_set(json.loads(text), "benchmark")})


def describe_machine() -> str:
    """Name what the numbers depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"cryptography {version('cryptography')}, dcap-qvl {version('dcap-qvl')}"
    )


def format_table(measurements: list[Measurement]) -> str:
    """Write the measurements for a person."""
    header = ("", "ours", "peer", "ratio", "limit", "", "beside")
    rows = [
        (
            row.name,
            f"{row.ours:.0f} {row.unit}",
            f"{row.peer:.0f} {row.unit}",
            f"{row.ratio:.3f}",
            f"{row.limit:.2f}",
            "within" if row.is_within else "OVER",
            row.peer_name,
        )
        for row in measurements
    ]
    layout = "{:<28}{:>9}{:>9}{:>8}{:>7}  {:<8}{}"
    return "\n".join(layout.format(*row).rstrip() for row in (header, *rows))


def encode_measurements(measurements: list[Measurement]) -> str:
    """Write the measurements for a program."""
    document: list[dict[str, Any]] = [
        {
            "name": row.name,
            "value": round(row.ours, 2),
            "unit": row.unit,
            "peer": row.peer_name,
            "peer_value": round(row.peer, 2),
            "ratio": round(row.ratio, 4),
        }
        for row in measurements
    ]
    return json.dumps(document, indent=1) + "\n"


def main() -> None:
    simulated = Appraisals(simulate_evidence(_RUNS + WARM_UP))
    contests = [
        simulated.known("appraise_sgx_known"),
        simulated.new("appraise_sgx_new"),
        simulated.cold("appraise_sgx_cold"),
    ]
    recorded = load_recorded_evidence()
    if recorded is not None:
        hardware = Appraisals(recorded)
        contests += [hardware.known("appraise_sgx_known_recorded"), hardware.cold("appraise_sgx_cold_recorded")]
    print(describe_machine())
    print(f"medians of {_RUNS} runs, ours and the peer's on the same inputs in turns of {RUNS_IN_TURN}\n")
    measurements = [measure(contest, _RUNS) for contest in contests]
    measurements += [*measure_handshakes(), measure_idle_connections(), *measure_starts(), *measure_enclaves()]
    measurements += measure_answers()
    print(format_table(measurements))
    _OUTPUT.parent.mkdir(exist_ok=True)
    _OUTPUT.write_text(encode_measurements(measurements), encoding="utf-8")
    print(f"\nwritten to {_OUTPUT}")


if __name__ == "__main__":
    main()
