"""The TEEs of packages that are installed beside this one, found by their entry points.

A package's code runs with all the rights of this process, so none is loaded but those that the operator names.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import ConfigError
from verdictd.core.result import AppraisalResult
from verdictd.core.tee import ENTRY_POINTS, TEE
from verdictd.ratstls.evidence import KNOWN_TAGS, EvidenceKind
from verdictd.tees.dcap.acceptance import Acceptance

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_RESERVED: Final = frozenset({*EvidenceKind, "any", "none", "nullverifier", "nullattester", "sgx_ecdsa_qve"})


@cache
def installed_tees() -> tuple[str, ...]:
    """The names of the TEEs of installed packages, sorted. None of them is loaded."""
    names = {point.name for point in entry_points(group=ENTRY_POINTS)}
    return tuple(sorted(name for name in names - _RESERVED if _NAME.fullmatch(name)))


@cache
def load_tee(name: str) -> TEE:
    """Load the TEE of an installed package.

    Raises:
        ConfigError: there is none of that name or several, it cannot be loaded, or is not what it should be.
    """
    points = entry_points(group=ENTRY_POINTS, name=name)
    packages = sorted({point.dist.name if point.dist else "?" for point in points})
    if name not in installed_tees():
        raise ConfigError(f"no installed package brings a TEE {name}", remedy=f"install one, see {ENTRY_POINTS}")
    if len(packages) > 1:
        raise ConfigError(
            f"several packages bring a TEE {name}: {', '.join(packages)}", remedy="uninstall all but the one you trust"
        )
    found = _load(name, *points, package=packages[0])
    if not isinstance(found, TEE) or found.name != name:
        raise ConfigError(f"what {packages[0]} brings as {name} is no TEE of that name", remedy="see its manual")
    if found.evidence_tag in KNOWN_TAGS:
        raise ConfigError(
            f"the TEE {name} of {packages[0]} claims the evidence tag {found.evidence_tag}, which is another's",
            remedy="update that package",
        )
    return found


def _load(name: str, point: EntryPoint, *_: EntryPoint, package: str) -> object:
    try:
        return point.load()
    except Exception as error:  # whatever somebody else's module raises, the operator is to learn which one it was
        raise ConfigError(
            f"the TEE {name} of {package} cannot be loaded: {type(error).__name__}: {error}",
            remedy="reinstall or update that package",
        ) from error


def load_tees(names: Iterable[str]) -> dict[str, TEE]:
    """Load those of the names that installed packages bring; names of TEEs that are built in are left out.

    Raises:
        ConfigError: one cannot be loaded, or two claim the same tag.
    """
    tees = {name: load_tee(name) for name in names if name in installed_tees()}
    by_tag: dict[int, str] = {}
    for tee in tees.values():
        other = by_tag.setdefault(tee.evidence_tag, tee.name)
        if other != tee.name:
            raise ConfigError(
                f"the TEEs {other} and {tee.name} claim the same evidence tag {tee.evidence_tag}",
                remedy="name only one of them",
            )
    return tees


def appraise_installed(tee: TEE, evidence: bytes, acceptance: Acceptance, at: datetime) -> AppraisalResult:
    """Appraise evidence by a package's TEE. Where the package fails, that refuses."""
    try:
        result: object = tee.appraise(
            evidence,
            at=at,
            allow_debug=acceptance.allow_debug,
            allow_expired_collateral=acceptance.allow_expired_collateral,
        )
        if isinstance(result, AppraisalResult) and result.tee == tee.name and result.at == at:
            return result
        found = "no result of an appraisal of this evidence"
    except Exception as error:  # noqa: BLE001 - it is not known what somebody else's module raises; it must refuse
        found = f"{type(error).__name__}: {error}"
    check = Check(
        "evidence.appraisal",
        CheckResult.FAIL,
        f"the package that brings {tee.name} to appraise the evidence",
        found[:400],
        "this is a fault of that package: tell its maker",
    )
    return AppraisalResult(tee=tee.name, at=at, checks=(check,))
