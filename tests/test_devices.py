"""Device presets: every limit has a source, every preset is of use, explicit limits override."""

from __future__ import annotations

import re

import pytest

from budgetnet.budgets.budget import Budget
from budgetnet.budgets.devices import DEVICES, FIRMWARE_FLASH_BYTES, FIRMWARE_RAM_BYTES, Device, budget_for, device
from budgetnet.budgets.fit import fit
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


def test_microcontrollers_leave_room_for_runtime_and_firmware() -> None:
    row = device("stm32f746")
    assert (row.limits.dtype, row.limits.runtime) == ("int8", "tflite_micro")
    assert row.limits.weight_bytes == 1024 * 1024 - row.runtime_flash_bytes - FIRMWARE_FLASH_BYTES
    assert row.limits.peak_activation_bytes == 320 * 1024 - row.runtime_ram_bytes - FIRMWARE_RAM_BYTES


@pytest.mark.parametrize("row", DEVICES, ids=lambda row: row.name)
def test_a_runtime_says_what_it_needs_itself(row: Device) -> None:
    own = (row.runtime_flash_bytes > 0, row.runtime_ram_bytes > 0, bool(row.runtime_source))
    assert set(own) == {row.limits.runtime != "deployed"}


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v3_small", "mobilenet_v1"])
def test_the_answer_runs_on_the_chip(name: str) -> None:
    """These once needed arenas of 403,760, 315,920 and 272,256 bytes for a chip that has 262,144."""
    row = device("arduino_nano_33_ble")
    found = fit(zoo.network(name, classes=6), row.limits)
    plan = found.cost.memory_plan
    assert plan.arena_bytes + row.runtime_ram_bytes < 256 * 1024
    assert plan.file_bytes + row.runtime_flash_bytes < 1024 * 1024
    assert found.certificate.runtime == "tflite_micro"


def test_explicit_limits_override_the_preset() -> None:
    preset = device("stm32f746").limits
    assert budget_for("stm32f746") == preset
    changed = budget_for("stm32f746", macs=20_000_000, weight_bytes=500_000)
    assert changed == Budget(
        macs=20_000_000,
        weight_bytes=500_000,
        peak_activation_bytes=preset.peak_activation_bytes,
        dtype="int8",
        runtime="tflite_micro",
    )
    assert budget_for("stm32f746", runtime="deployed").runtime == "deployed"
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
