"""A simulated CSV guest that attests: reports from a simulated processor, in the place of a device's."""

from dataclasses import dataclass, field, replace

from verdictd.simulator.hygon_platform import CSVReportSpec, SimulatedHygon


@dataclass(frozen=True, slots=True)
class SimulatedCSVAttester:
    """Attests a guest of the operator's choice on a simulated processor.

    Attributes:
        hygon: what signs the reports; trusted only where its root was named.
        guest: what a report says; user data are the caller's, and the nonces are new in each report.
    """

    hygon: SimulatedHygon
    guest: CSVReportSpec = field(default_factory=CSVReportSpec)

    def quote(self, report_data: bytes) -> bytes:
        """Return evidence whose user data are the 64 bytes given, with HSK and CEK.

        Raises:
            ValueError: not 64 bytes.
        """
        if len(report_data) != 64:
            raise ValueError(f"report data are 64 bytes, {len(report_data)} are given")
        fresh = CSVReportSpec()
        return self.hygon.evidence(replace(self.guest, user_data=report_data, mnonce=fresh.mnonce, anonce=fresh.anonce))
