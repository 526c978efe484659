"""What the supervisor makes of settings at start and at a reload: roots, collateral, and what is said of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verdictd.collateral.items import CollateralItem
from verdictd.core.errors import VerdictdError
from verdictd.daemon.settings import CollateralSettings, Settings
from verdictd.daemon.supervisor_state import SupervisorState, build_supervisor_state
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.platform import SimulatedPlatform

NOW = datetime.now(UTC)


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """Settings that name a simulated platform's root and a file of its collateral."""
    platform = SimulatedPlatform.create(at=NOW - timedelta(hours=1))
    platform.save(tmp_path / "platform")
    (tmp_path / "collateral").write_bytes(encode_collateral_file(platform.collateral(NOW)))
    return Settings(
        mutual=True,
        data_dir=tmp_path / "data",
        trust_roots=(str(tmp_path / "platform" / "root-ca.pem"),),
        collateral=CollateralSettings(source=str(tmp_path / "collateral")),
    )


def build(settings: Settings, told: list[CollateralItem] | None = None, **more: SupervisorState) -> SupervisorState:
    heard = [] if told is None else told
    return build_supervisor_state(settings, NOW, on_newer=lambda item, _: heard.append(item), **more)


def test_what_a_file_holds_is_held_from_the_start_and_told_to_the_workers(own: Settings) -> None:
    told: list[CollateralItem] = []
    state = build(own, told)
    held = state.collateral.held(NOW)
    assert held
    assert len(told) == len(held)
    assert [root.label for root in state.roots.roots] != []


def with_useless_source(settings: Settings, directory: Path) -> Settings:
    """The same settings, with a source that has nothing for any trusted root."""
    stranger = SimulatedPlatform.create(at=NOW - timedelta(hours=1))
    (directory / "useless").write_bytes(encode_collateral_file(stranger.collateral(NOW)))
    return replace(settings, collateral=CollateralSettings(source=str(directory / "useless")))


def test_what_was_held_outlives_the_process_and_its_sources(own: Settings, tmp_path: Path) -> None:
    before = build(own).collateral.held(NOW)
    after = build(with_useless_source(own, tmp_path)).collateral.held(NOW)
    assert {(item.kind, item.sequence) for item in after} == {(item.kind, item.sequence) for item in before}


def test_a_reload_takes_over_what_was_held(own: Settings, tmp_path: Path) -> None:
    first = build(own)
    elsewhere = with_useless_source(replace(own, data_dir=tmp_path / "other"), tmp_path)
    assert build(elsewhere).collateral.held(NOW) == ()
    assert len(build(elsewhere, previous=first).collateral.held(NOW)) == len(first.collateral.held(NOW))


def test_collateral_of_a_root_that_is_not_trusted_is_warned_of_and_not_held(own: Settings, tmp_path: Path) -> None:
    state = build(with_useless_source(own, tmp_path))
    assert state.collateral.held(NOW) == ()
    assert [warning for warning in state.warnings if warning.startswith("collateral from ")]


@pytest.mark.parametrize(
    "broken",
    [
        {"trust_roots": ("nowhere.pem",)},
        {"collateral": CollateralSettings(source="nowhere")},
        {"collateral": CollateralSettings(pccs_url="ftp://127.0.0.1/")},
    ],
)
def test_what_cannot_be_used_is_an_error_before_anything_is_replaced(own: Settings, broken: dict[str, object]) -> None:
    with pytest.raises(VerdictdError):
        build(replace(own, **broken))  # type: ignore[arg-type]
