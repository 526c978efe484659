"""TDX quotes and SEV-SNP reports out of the kernel's configfs."""

import time
from collections.abc import Callable
from typing import Final

from verdictd.tees.kernel.interface import KernelFiles
from verdictd.tees.kernel.refusals import SNP_REFUSALS, TDX_REFUSALS
from verdictd.tees.kernel.report_directory import Provider, ReportDirectory
from verdictd.tees.kernel.snp_evidence import join_evidence

TDX_PROVIDER: Final = Provider("tdx_guest", "trust domain (TDX)", has_privilege_levels=False, refusals=TDX_REFUSALS)
SNP_PROVIDER: Final = Provider("sev_guest", "SEV-SNP guest", has_privilege_levels=True, refusals=SNP_REFUSALS)


class TDXReportSource:
    """Quotes of the TD that this process runs in: the kernel has the host's quote generation service make them."""

    def __init__(self, files: KernelFiles, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._directory = ReportDirectory(files, TDX_PROVIDER, sleep=sleep)
        self.label = self._directory.label
        self.remedy = "see the kernel's log"

    def probe(self) -> None:
        """Find out whether this source is there; raises as `ReportDirectory.probe`."""
        self._directory.probe()

    def fetch_quote(self, report_data: bytes) -> bytes:
        """Ask for a quote; raises as `ReportDirectory.fetch`."""
        return self._directory.fetch(report_data).outblob


class SNPReportSource:
    """Reports of the SEV-SNP guest that this process runs in, with the host's certificates where they are wanted."""

    def __init__(
        self,
        files: KernelFiles,
        *,
        privilege_level: int | None = None,
        certificates: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._directory = ReportDirectory(files, SNP_PROVIDER, sleep=sleep)
        self._privilege_level = privilege_level
        self._certificates = certificates
        self.label = self._directory.label
        self.remedy = "see the kernel's log"

    def probe(self) -> None:
        """Find out whether this source is there; raises as `ReportDirectory.probe`."""
        self._directory.probe()

    def fetch_quote(self, report_data: bytes) -> bytes:
        """Ask for a report; raises as `ReportDirectory.fetch`, and `MalformedError` where what came is no evidence."""
        report = self._directory.fetch(
            report_data, privilege_level=self._privilege_level, with_auxblob=self._certificates
        )
        return join_evidence(report.outblob, report.auxblob)
