"""From settings to what makes our own evidence."""

from pathlib import Path

from verdictd.core.attester import Attester
from verdictd.daemon.settings import AttesterName
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.sgx_ecdsa.attester import find_sgx_attester


def open_attester(
    name: AttesterName, *, quote_command: str | None, simulate: Path | None, enclave: EnclaveSpec | None = None
) -> Attester | None:
    """Open what makes our evidence; ``None`` for `nullattester`.

    Args:
        name: which attester.
        quote_command: a program that makes quotes, in the place of this machine's device.
        simulate: directory of a simulated platform, in the place of this machine's device.
        enclave: which enclave the simulated platform quotes.
    Raises:
        ConfigError: there is no source of quotes; says what was looked for.
    """
    if name is AttesterName.NULL:
        return None
    if simulate is not None:
        return SimulatedAttester(SimulatedPlatform.load(simulate), enclave or EnclaveSpec())
    return find_sgx_attester(quote_command=quote_command)
