"""The guard against reference values that name nobody: with them verdictd refuses everyone, and says what to do."""

from verdictd.daemon.settings import Settings
from verdictd.ratstls.evidence import EvidenceKind


def explain_open_reference(settings: Settings, *, is_open: bool) -> str | None:
    """What to do while the reference values let in any enclave (`is_open`); ``None`` where they do not, or may."""
    judges_sgx = EvidenceKind.SGX_ECDSA in settings.enforced_verifier.kinds
    if not is_open or settings.allow_any_enclave or not judges_sgx:
        return None
    return (
        f"name yours: verdict --client-api {settings.client_api} reference ENCLAVE --set sgxData"
        " (a signed enclave, a package with it, or a quote of it); or start verdictd with --allow-any-enclave"
    )
