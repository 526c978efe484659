"""`pccs`: a cache of vendor collateral that other machines ask, compatible with Intel's reference service.

`model` and `ports` say what there is; `database` keeps it; `web` answers requests; the rest decides what is asked of
whom, and when. The client of other services and the rules of caching are `verdictd.collateral`'s.
"""
