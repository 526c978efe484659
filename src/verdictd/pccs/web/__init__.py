"""The cache over HTTP: Intel's routes as its clients know them, AMD's beside them, and what operators watch.

`http` is what all routes share, `routes` what each answers, `app` puts them together; `server` listens.
"""
