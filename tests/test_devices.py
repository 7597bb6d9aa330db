"""Device presets: every limit has a source, every preset is of use, explicit limits override."""

from __future__ import annotations

import re

import pytest

from budgetnet.budgets.budget import Budget, fit
from budgetnet.budgets.devices import DEVICES, FIRMWARE_FLASH_BYTES, FIRMWARE_SRAM_BYTES, Device, budget_for, device
from budgetnet.networks import zoo

BY_NAME = {row.name: row for row in DEVICES}


def test_there_are_at_least_ten_of_every_kind() -> None:
    assert len(DEVICES) >= 10
    assert len(BY_NAME) == len(DEVICES)
    assert {"arduino_nano_33_ble", "coral_edge_tpu", "raspberry_pi_4", "phone", "browser"} <= set(BY_NAME)


@pytest.mark.parametrize("row", DEVICES, ids=lambda row: row.name)
def test_a_row_says_where_its_limits_come_from(row: Device) -> None:
    assert re.fullmatch(r"[a-z0-9_]+", row.name)
    assert row.title and re.search(r"\d", row.source)
    # What is subtracted or shared out is said to be ours.
    assert row.note


@pytest.mark.parametrize("row", DEVICES, ids=lambda row: row.name)
def test_something_fits_and_something_does_not(row: Device) -> None:
    """A preset is neither out of reach of a small base nor without effect on it."""
    base = zoo.network("mobilenet_v1_25" if row.name == "visual_wake_words" else "efficientnet_lite0", classes=2)
    found = fit(base, row.limits)
    assert found.certificate.fits and found.certificate.next is not None


def test_microcontrollers_leave_room_for_the_firmware() -> None:
    limits = device("stm32f746").limits
    assert limits.dtype == "int8"
    assert limits.weight_bytes == 1024 * 1024 - FIRMWARE_FLASH_BYTES
    assert limits.peak_activation_bytes == 320 * 1024 - FIRMWARE_SRAM_BYTES


def test_explicit_limits_override_the_preset() -> None:
    preset = device("stm32f746").limits
    assert budget_for("stm32f746") == preset
    changed = budget_for("stm32f746", macs=20_000_000, weight_bytes=500_000)
    assert changed == Budget(
        macs=20_000_000,
        weight_bytes=500_000,
        peak_activation_bytes=preset.peak_activation_bytes,
        dtype="int8",
    )
    assert budget_for("phone", dtype="float16", batch=2) == Budget(macs=600_000_000, dtype="float16", batch=2)
    assert budget_for("stm32f746", weight_bytes=None).limits() == {
        "peak_activation_bytes": preset.peak_activation_bytes
    }


def test_what_is_unknown_is_one_line_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"there is no device 'toaster'; choose one of arduino_nano_33_ble, .*browser"):
        device("toaster")
    with pytest.raises(ValueError, match=r"a budget has no flash; it has macs"):
        budget_for("phone", flash=3)
    with pytest.raises(ValueError, match=r"at least one limit"):
        budget_for("phone", macs=None)
    with pytest.raises(ValueError, match=r"macs is 0"):
        budget_for("phone", macs=0)
