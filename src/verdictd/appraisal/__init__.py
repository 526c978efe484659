"""From a peer's certificate or a file of evidence to a verdict: parsing, collateral, appraisal, policy, in order."""
