"""What an operator has to know of the settings before the first peer comes: what is trusted, what is not checked."""

from collections.abc import Iterator

from verdictd.configuration.trust_files import INTEL
from verdictd.daemon.settings import AttesterName, Settings, TLSName
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus


def warnings(settings: Settings) -> list[str]:
    """Return a sentence for each setting that makes verdictd accept more, or check less, than it could.

    Only the settings are looked at: that the reference values are still the shipped ones, say, is for others to tell.
    """
    sentences = [*_warn_of_judgement(settings), *_warn_of_roots(settings)]
    if not settings.enforced_verifier.is_null:
        sentences += _warn_of_acceptance(settings.acceptance)
    if settings.allow_any_enclave:
        sentences.append(
            "While the reference values name no enclave and no signer, any enclave of anybody is accepted"
            " (--allow-any-enclave)."
        )
    if settings.metrics is not None and not settings.metrics.is_loopback:
        sentences.append(
            f"The metrics on {settings.metrics} can be read from other machines: how many attest, and why they are"
            " refused."
        )
    if settings.simulate is not None and settings.attester is not AttesterName.NULL:
        sentences.append(
            f"Our own evidence is made by the simulated platform in {settings.simulate}: it proves nothing to anyone"
            " who does not trust that platform's root."
        )
    return sentences


def _warn_of_judgement(settings: Settings) -> Iterator[str]:
    if settings.tls is TLSName.NULL:
        yield "There is no TLS (nulltls): whatever peers and verdictd send can be read and changed on the way."
    if settings.verifier is None:
        yield f"No verifier is named, so {settings.enforced_verifier} is enforced."
    if not settings.enforced_verifier.is_null:
        return
    if settings.tls is TLSName.NULL:
        yield "No peer is asked who it is: anyone who connects is served (nullverifier, nulltls)."
    elif settings.mutual:
        yield "Peers present a certificate whose evidence nobody checks: anyone who has a key is served (nullverifier)."
    else:
        yield "No peer is asked for a certificate: anyone who connects is served (nullverifier, without --mutual)."


def _warn_of_roots(settings: Settings) -> Iterator[str]:
    if settings.enforced_verifier.is_null:
        return
    for root in settings.trust_roots:
        if root != INTEL:
            yield (
                f"The root in {root} is trusted beside or instead of Intel's: whoever holds its key can make up"
                " evidence for any enclave."
            )
    if INTEL not in settings.trust_roots:
        yield f"Intel's own root is not trusted by name ({INTEL!r}): genuine hardware may be refused."


def _warn_of_acceptance(acceptance: Acceptance) -> Iterator[str]:
    further = sorted(acceptance.tcb_statuses - {TCBStatus.UP_TO_DATE})
    if further:
        yield f"Platforms with known weaknesses are accepted: TCB status {', '.join(further)}."
    if TCBStatus.UP_TO_DATE not in acceptance.tcb_statuses:
        yield "Platforms that are up to date are refused: UpToDate is not among the accepted TCB statuses."
    if acceptance.allow_debug:
        yield "Debug enclaves are accepted: their host can read and change everything in them (--allow-debug)."
    if acceptance.allow_expired_collateral:
        yield (
            "Expired collateral and certificates are accepted: a revocation or a newer TCB may go unnoticed"
            " (--allow-expired-collateral)."
        )
