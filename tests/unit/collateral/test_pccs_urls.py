import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.collateral.pccs_urls import (
    INTEL_PCS_URL,
    INTEL_ROOT_CRL_URL,
    alibaba_pccs_url,
    names_pccs,
    parse_pccs_url,
)
from verdictd.core.errors import ConfigError, UnsupportedError

FMSPC = bytes.fromhex("00606a000000")


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://h:8081/sgx/certification/v3/", "https://h:8081/sgx/certification/v3/"),
        ("https://h:8081/sgx/certification/v4", "https://h:8081/sgx/certification/v4/"),
        ("https://H.Example/tdx/certification/v4/", "https://h.example/sgx/certification/v4/"),
        ("https://h", "https://h/sgx/certification/v4/"),
        ("https://h/", "https://h/sgx/certification/v4/"),
        ("https://h/cache/Of/sgx/certification/v3/", "https://h/cache/Of/sgx/certification/v3/"),
        ("http://127.0.0.1:8081/sgx/certification/v4/", "http://127.0.0.1:8081/sgx/certification/v4/"),
        ("https://[::1]:8081/sgx/certification/v4/", "https://[::1]:8081/sgx/certification/v4/"),
        ("intel", INTEL_PCS_URL),
        ("alibaba:cn-hangzhou", "https://sgx-dcap-server.cn-hangzhou.aliyuncs.com/sgx/certification/v3/"),
        ("alibaba-vpc:ap-southeast-1", "https://sgx-dcap-server-vpc.ap-southeast-1.aliyuncs.com/sgx/certification/v3/"),
    ],
)
def test_addresses_are_read(url: str, meant: str) -> None:
    assert str(parse_pccs_url(url)) == meant
    assert names_pccs(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:8081",
        "ftp://h/sgx/certification/v4/",
        "https://",
        "https:///sgx/certification/v4/",
        "https://h:99999/",
        "https://h:port/",
        "https://h:0/",
        "https://[::1/sgx/certification/v4/",
        "https://h/sgx/certification/v4/tcb",
        "https://h/sgx/certification/",
        "https://h/sgx/certification/v4/?update=early",
        "https://h/sgx/certification/v4/#comment",
        "https://h /sgx/certification/v4/",
        "https://h\u00e4/sgx/certification/v4/",
        "https://h/\n/sgx/certification/v4/",
        "alibaba:",
        "alibaba:CN-HANGZHOU",
        "alibaba:cn-hangzhou.evil.example/",
        "alibaba:cn-hangzhou@evil.example",
        "alibaba-vpc:../x",
    ],
)
def test_what_is_no_address_is_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pccs_url(url)
    assert caught.value.remedy


@pytest.mark.parametrize("url", ["https://user:secret@h/", "https://secret@h/", "https://user:secret@h:port/"])
def test_credentials_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_pccs_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("version", ["1", "2", "5", "44"])
def test_other_versions_of_the_api_are_not_supported(version: str) -> None:
    with pytest.raises(UnsupportedError, match=f"names API version {version}, supported are 3 and 4"):
        parse_pccs_url(f"https://h/sgx/certification/v{version}/")


@given(
    st.text(max_size=60)
    | st.text(max_size=40).map("https://h{}".format)
    | st.text(max_size=20).map("alibaba:{}".format)
)
def test_any_text_is_an_address_or_an_error_of_ours(text: str) -> None:
    try:
        address = parse_pccs_url(text)
    except (ConfigError, UnsupportedError):
        return
    assert parse_pccs_url(str(address)) == address


def test_requests_of_version_4() -> None:
    address = parse_pccs_url("https://h:8081/sgx/certification/v4/")
    base = "https://h:8081/sgx/certification/v4/"
    assert address.tcb("SGX", FMSPC, None) == f"{base}tcb?fmspc=00606A000000"
    assert address.tcb("SGX", FMSPC, "early") == f"{base}tcb?fmspc=00606A000000&update=early"
    assert address.tcb("TDX", FMSPC, "standard") == (
        "https://h:8081/tdx/certification/v4/tcb?fmspc=00606A000000&update=standard"
    )
    assert address.qe_identity("SGX", None) == f"{base}qe/identity"
    assert address.qe_identity("TDX", None) == "https://h:8081/tdx/certification/v4/qe/identity"
    assert address.pck_crl("processor") == f"{base}pckcrl?ca=processor&encoding=der"
    assert address.root_ca_crls() == (
        f"{base}rootcacrl",
        f"{base}crl?uri=https%3A%2F%2Fcertificates.trustedservices.intel.com%2FIntelSGXRootCA.der",
    )


def test_requests_of_version_3_which_knows_neither_updates_nor_tdx() -> None:
    address = parse_pccs_url("https://h/sgx/certification/v3/")
    assert address.tcb("SGX", FMSPC, "early") == "https://h/sgx/certification/v3/tcb?fmspc=00606A000000"
    assert address.qe_identity("SGX", "early") == "https://h/sgx/certification/v3/qe/identity"
    assert address.tcb("TDX", FMSPC, "early") == ("https://h/tdx/certification/v4/tcb?fmspc=00606A000000&update=early")


def test_intel_publishes_its_root_crl_elsewhere() -> None:
    address = parse_pccs_url("intel")
    assert address.is_intel
    assert address.root_ca_crls() == (INTEL_ROOT_CRL_URL,)
    assert not parse_pccs_url("https://api.trustedservices.intel.com.example/").is_intel


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("https://h/", False),
        ("http://127.0.0.1:8081/", False),
        ("http://127.8.9.1/", False),
        ("http://[::1]/", False),
        ("http://localhost:8081/", False),
        ("http://localhost.example/", True),
        ("http://10.0.0.1/", True),
        ("http://pccs/", True),
    ],
)
def test_plain_http_to_another_machine_is_warned_of(url: str, warns: bool) -> None:
    warning = parse_pccs_url(url).warning
    assert bool(warning) is warns
    assert ("without TLS" in warning) is warns


def test_alibaba_addresses_by_region() -> None:
    assert alibaba_pccs_url("cn-shanghai-finance-1", version=4) == (
        "https://sgx-dcap-server.cn-shanghai-finance-1.aliyuncs.com/sgx/certification/v4/"
    )
    assert alibaba_pccs_url("cn-beijing", vpc=True) == (
        "https://sgx-dcap-server-vpc.cn-beijing.aliyuncs.com/sgx/certification/v3/"
    )


@pytest.mark.parametrize(
    "region", ["", "cn", "Cn-Beijing", "cn-beijing.", "cn_beijing", "-cn", "cn-", "cn-b/../", "a" * 99]
)
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(ConfigError, match="is not the id of an Alibaba Cloud region"):
        alibaba_pccs_url(region)


@pytest.mark.parametrize("path", ["collateral.json", "./intel", "/etc/intel", "httpsdir", "alibaba", "C:x"])
def test_paths_are_told_from_addresses(path: str) -> None:
    assert not names_pccs(path)
