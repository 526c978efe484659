"""Checks of what firmware and microcode the platform runs, ran when the guest was launched, and can be taken back to.

Spec: AMD 56860, SEV Secure Nested Paging Firmware ABI, "TCB_VERSION", "SNP_COMMIT" and "ATTESTATION_REPORT".
"""

from typing import NamedTuple

from verdictd.tees.amd.extensions import AMDProduct
from verdictd.tees.sev_snp.context import SNPContext
from verdictd.tees.sev_snp.report import SNPReport
from verdictd.tees.sev_snp.tcb import TCBVersion, read_tcb


class ReportTCBs(NamedTuple):
    """The four TCB versions of a report. Trust: as much as the report."""

    current: TCBVersion
    reported: TCBVersion
    committed: TCBVersion
    launch: TCBVersion


def check_tcbs(report: SNPReport, product: AMDProduct | None, context: SNPContext) -> ReportTCBs | None:
    """Check the TCB versions against each other and against what is accepted."""
    tcbs = _read_tcbs(report, product, context)
    if tcbs is None or product is None:
        context.skip("the TCB versions cannot be read", "tcb.order", "tcb.launch", "tcb.committed", "tcb.minimum")
    else:
        _check_order(report, tcbs, context)
        context.require(
            tcbs.current.covers(tcbs.launch),
            "tcb.launch",
            f"launch {tcbs.launch}; current {tcbs.current}",
        )
        _check_committed(report, tcbs, context)
        _check_minimum(tcbs.reported, product, context)
    _check_mitigations(report, context)
    return tcbs


def _read_tcbs(report: SNPReport, product: AMDProduct | None, context: SNPContext) -> ReportTCBs | None:
    if product is None:
        context.skip("it is not known of which product the processor is", "tcb.layout")
        return None
    raw = (report.current_tcb, report.reported_tcb, report.committed_tcb, report.launch_tcb)
    read = [read_tcb(each, product) for each in raw]
    known = [tcb for tcb in read if tcb is not None]
    if len(known) < len(read):
        stated = zip(ReportTCBs._fields, raw, read, strict=True)
        odd = [f"{name} {each.hex()}" for name, each, tcb in stated if tcb is None]
        context.failed("tcb.layout", f"{', '.join(odd)}: not {product}'s")
        return None
    context.passed("tcb.layout", f"{product}'s")
    return ReportTCBs(*known)


def _check_order(report: SNPReport, tcbs: ReportTCBs, context: SNPContext) -> None:
    context.require(
        tcbs.committed.covers(tcbs.reported)
        and tcbs.current.covers(tcbs.committed)
        and report.current_version >= report.committed_version,
        "tcb.order",
        f"reported {tcbs.reported}; committed {tcbs.committed}, firmware {report.committed_version};"
        f" current {tcbs.current}, firmware {report.current_version}",
    )


def _check_committed(report: SNPReport, tcbs: ReportTCBs, context: SNPContext) -> None:
    """Check that the firmware is not provisional.

    Microcode does not count: the host's kernel loads it at each boot, and what is relied on is the reported TCB, which
    the committed one covers.
    """
    current = (report.current_version, tcbs.current._replace(microcode=0))
    committed = (report.committed_version, tcbs.committed._replace(microcode=0))
    context.require_or_accept(
        current == committed,
        "tcb.committed",
        f"firmware {report.current_version} runs, {report.committed_version} is committed"
        + ("" if current[1] == committed[1] else f"; current {tcbs.current}; committed {tcbs.committed}"),
        accepted=context.acceptance.allow_provisional_firmware,
        flag="--allow-provisional-firmware",
        remedy="let the host's owner commit the firmware (SNP_COMMIT)",
    )


def _check_minimum(reported: TCBVersion, product: AMDProduct, context: SNPContext) -> None:
    minimums = context.acceptance.min_tcb
    minimum = minimums.get(product)
    if minimum is None:
        context.require(
            not minimums,
            "tcb.minimum",
            f"reported {reported}; " + (f"no lowest TCB is given for {product}" if minimums else "any is accepted"),
            f"give the lowest accepted TCB of {product} with --min-tcb",
        )
        return
    context.require(
        reported.covers(minimum),
        "tcb.minimum",
        f"reported {reported}; lowest accepted {minimum}",
        "let the host's owner update firmware and microcode, or accept less with --min-tcb",
    )


def _check_mitigations(report: SNPReport, context: SNPContext) -> None:
    required = context.acceptance.required_mitigations
    launch, current = report.launch_mitigations, report.current_mitigations
    if launch is None or current is None:
        stated, found = 0, f"a report of version {report.version} states none"
    else:
        stated, found = launch & current, f"launch 0x{launch:x}, current 0x{current:x}"
    context.require(
        stated & required == required,
        "tcb.mitigations",
        f"{found}; required 0x{required:x}",
        "update the firmware and launch the guest anew, or require less with --require-mitigations",
    )
