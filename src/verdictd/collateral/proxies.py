"""Which HTTP proxy the environment names for a URL, in the customary variables."""

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from verdictd.core.errors import ConfigError


def proxy_for(url: str, env: Mapping[str, str]) -> str | None:
    """Return the proxy to use for a URL: ``https_proxy``, ``http_proxy`` or ``all_proxy``, in either case.

    ``no_proxy`` lists hosts and suffixes of hosts to reach directly. A name in small letters wins over one in capitals.

    Raises:
        ConfigError: a proxy that is not an HTTP one.
    """
    parts = urlsplit(url)
    settings = {name.lower(): value for name, value in sorted(env.items()) if value}
    proxy = settings.get(f"{parts.scheme}_proxy") or settings.get("all_proxy")
    if not proxy or _is_exempt(parts, settings.get("no_proxy", "")):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    scheme = urlsplit(proxy).scheme
    if scheme not in {"http", "https"}:
        raise ConfigError(
            f"the proxy for {parts.scheme} URLs has the scheme {scheme!r}, supported are http and https",
            remedy=f"correct {parts.scheme}_proxy, or exempt {parts.hostname} in no_proxy",
        )
    return proxy


def _is_exempt(url: SplitResult, no_proxy: str) -> bool:
    host = url.hostname or ""
    entries = {entry.strip().lower().lstrip(".") for entry in no_proxy.split(",")} - {""}
    return "*" in entries or any(host == entry or host.endswith(f".{entry}") for entry in entries)
