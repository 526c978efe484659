"""Where Endorsements come from: files, a PCCS, and the peer. Kept in memory, the newest known of each item.

Nothing that arrives is believed for where it came from: every item is verified up to a trusted root before it is
kept. What is kept is ordered by what its vendor wrote into it (evaluation data number or CRL number, then issue date),
and an older item never takes the place of a newer one. Whether an item is acceptable at an instant is for the
appraisal to say.

- `items`: what an item of collateral is about, and its verification.
- `store`: what is known; pure but for its lock.
- `service`: finds collateral for a platform, asking its sources for what is missing or expired.
- `files`, `pccs_client`: the sources. `qcnl`, `pccs_urls`: how an operator names them.
"""
