"""The evidence archive: what each attestation was judged by, kept by digest, so that it can be judged again.

`material` and `entry` say what is kept and in which form, `builder` makes it, `store` and `writer` keep it, `reader`
gives it back, `replay` judges an attestation again, and `trial` tells what another policy would have decided.
"""
