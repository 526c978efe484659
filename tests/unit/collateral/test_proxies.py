import pytest

from verdictd.collateral.proxies import proxy_for
from verdictd.core.errors import ConfigError

URL = "https://pccs.example:8081/sgx/certification/v4/"


@pytest.mark.parametrize(
    ("env", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://large:1", "https_proxy": "http://small:1"}, "http://small:1"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": ""}, None),
        ({"http_proxy": "http://proxy:3128"}, None),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ({"ALL_PROXY": "http://all:1", "https_proxy": "http://proxy:1"}, "http://proxy:1"),
        ({"https_proxy": "http://proxy:1", "no_proxy": "*"}, None),
        ({"https_proxy": "http://proxy:1", "no_proxy": "other, pccs.example"}, None),
        ({"https_proxy": "http://proxy:1", "no_proxy": ".example"}, None),
        ({"https_proxy": "http://proxy:1", "NO_PROXY": "Example"}, None),
        ({"https_proxy": "http://proxy:1", "no_proxy": "ample,cs.example"}, "http://proxy:1"),
    ],
)
def test_the_environment_names_the_proxy(env: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(URL, env) == proxy


def test_a_proxy_of_another_kind_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match="has the scheme 'socks5'") as caught:
        proxy_for(URL, {"https_proxy": "socks5://user:secret@proxy:1080"})
    assert "no_proxy" in caught.value.remedy
    assert "secret" not in str(caught.value)
