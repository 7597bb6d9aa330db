"""Device presets: a device is a row, its limits follow from a data sheet or a paper that the row names.

A preset knows sizes, not speed: how long a network takes on a device is measured, not looked up. A
limit that has no source is left out. What is our own rule and not the source's is in the `note`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from budgetnet.budget import LIMITS, Budget

KIB = 1024
MIB = 1024 * KIB

FIRMWARE_FLASH_BYTES = 128 * KIB
FIRMWARE_SRAM_BYTES = 32 * KIB
_FIRMWARE = (
    f"our rule: {FIRMWARE_FLASH_BYTES // KIB} KiB of the flash are left for firmware and runtime, and "
    f"{FIRMWARE_SRAM_BYTES // KIB} KiB of the SRAM for stack, drivers and the runtime's own tensors"
)


@dataclass(frozen=True, slots=True)
class Device:
    """A preset: `limits` follow from `source`, and `note` says how."""

    name: str
    title: str
    limits: Budget
    source: str
    note: str


def _microcontroller(name: str, title: str, flash_bytes: int, sram_bytes: int, source: str, note: str = "") -> Device:
    """Flash holds the weights, SRAM the activations, both in int8; the firmware's share is subtracted."""
    limits = Budget(
        weight_bytes=flash_bytes - FIRMWARE_FLASH_BYTES,
        peak_activation_bytes=sram_bytes - FIRMWARE_SRAM_BYTES,
        dtype="int8",
    )
    return Device(name, title, limits, source, f"{note}; {_FIRMWARE}" if note else _FIRMWARE)


def _computer(name: str, title: str, ram_bytes: int, source: str) -> Device:
    """Weights and activations in float32 within half of the RAM."""
    note = "our rule: half of the RAM is left for system and runtime; memory only, so give macs as well for a speed"
    return Device(name, title, Budget(peak_bytes=ram_bytes // 2), source, note)


DEVICES: tuple[Device, ...] = (
    _microcontroller(
        "arduino_nano_33_ble",
        "Arduino Nano 33 BLE (Sense), nRF52840",
        1 * MIB,
        256 * KIB,
        "Nordic nRF52840 Product Specification, Memory: 1 MB flash, 256 kB RAM",
    ),
    _microcontroller(
        "sparkfun_edge",
        "SparkFun Edge, Ambiq Apollo3 Blue",
        1 * MIB,
        384 * KIB,
        "Ambiq Apollo3 Blue data sheet, Features: 1 MB flash, 384 KB SRAM",
    ),
    _microcontroller(
        "stm32f412",
        "STM32F412, Cortex-M4",
        1 * MIB,
        256 * KIB,
        "ST data sheet DS11139 (STM32F412xE/xG), Features: up to 1 MB flash, 256 KB SRAM",
    ),
    _microcontroller(
        "stm32f746",
        "STM32F746, Cortex-M7 (Discovery kit)",
        1 * MIB,
        320 * KIB,
        "ST data sheet DS10916 (STM32F745xx/F746xx), Features: up to 1 MB flash, 320 KB SRAM (64 KB of it DTCM)",
    ),
    _microcontroller(
        "stm32h743",
        "STM32H743, Cortex-M7 (Nucleo, OpenMV Cam H7)",
        2 * MIB,
        512 * KIB,
        "ST data sheet DS12110 (STM32H742xI/G, H743xI/G), memory map: 2 MB flash, 512 KB AXI SRAM",
        "the chip has 1 MB of RAM in several banks; a buffer lies in one, and the largest is the AXI SRAM",
    ),
    _microcontroller(
        "arduino_portenta_h7",
        "Arduino Portenta H7 and Nicla Vision, STM32H747",
        2 * MIB,
        512 * KIB,
        "ST data sheet DS12930 (STM32H747xI/G), memory map: 2 MB flash, 512 KB AXI SRAM",
        "the chip has 1 MB of RAM in several banks; a buffer lies in one, and the largest is the AXI SRAM",
    ),
    _microcontroller(
        "esp32_s3",
        "ESP32-S3-WROOM-1-N8, no PSRAM",
        8 * MIB,
        320 * KIB,
        "Espressif ESP32-S3-WROOM-1 data sheet, Features: 512 KB SRAM, module N8: 8 MB flash; "
        "board esp32-s3-devkitc-1 of arduino-esp32: 320 KB (327,680 bytes) of the SRAM hold data",
    ),
    _microcontroller(
        "raspberry_pi_pico",
        "Raspberry Pi Pico, RP2040",
        2 * MIB,
        264 * KIB,
        "Raspberry Pi Pico data sheet, chapter 1: 2 MB QSPI flash; RP2040 data sheet, chapter 1: 264 kB SRAM",
    ),
    _microcontroller(
        "raspberry_pi_pico_2",
        "Raspberry Pi Pico 2, RP2350",
        4 * MIB,
        520 * KIB,
        "Raspberry Pi Pico 2 data sheet, chapter 1: 4 MB QSPI flash; RP2350 data sheet, chapter 1: 520 kB SRAM",
    ),
    Device(
        "visual_wake_words",
        "The microcontroller of the Visual Wake Words challenge",
        Budget(macs=60_000_000, weight_bytes=250_000, peak_activation_bytes=250_000, dtype="int8"),
        "Chowdhery et al., Visual Wake Words Dataset, arXiv:1906.05721, section 1: 250 KB of peak memory, "
        "250 KB of model size, 60 million multiply-adds",
        "KB is read as 1,000 bytes, the stricter of the two",
    ),
    Device(
        "max78000",
        "Analog Devices MAX78000, CNN accelerator",
        Budget(weight_bytes=442_368, peak_activation_bytes=512 * KIB, dtype="int8"),
        "Analog Devices MAX78000 data sheet, CNN accelerator: 442,368 weights of 8 bits (432 KiB), 512 KB data memory",
        "memory only: the accelerator also limits kernels, layers and their channels, which no budget expresses",
    ),
    Device(
        "coral_edge_tpu",
        "Google Coral Edge TPU, weights cached on the chip",
        Budget(weight_bytes=6_912 * KIB, dtype="int8"),
        "coral.ai, Edge TPU Compiler, Parameter data caching: about 8 MB of SRAM, the executable's share taken first",
        "our rule: 6.75 MiB of weights; full caches hold 6.9 to 7.2 MiB in compiler logs (google-coral/edgetpu, "
        "issues 60 and 518). A larger network runs, streaming weights each time",
    ),
    _computer(
        "raspberry_pi_zero_2",
        "Raspberry Pi Zero 2 W",
        512 * MIB,
        "Raspberry Pi Zero 2 W product brief, Specification: 512 MB LPDDR2",
    ),
    _computer(
        "raspberry_pi_4",
        "Raspberry Pi 4 Model B, 1 GB",
        1024 * MIB,
        "Raspberry Pi 4 Model B product brief, Specification: 1, 2, 4 or 8 GB LPDDR4",
    ),
    _computer(
        "aws_lambda",
        "AWS Lambda function with the least memory",
        128 * MIB,
        "AWS Lambda Developer Guide, Lambda quotas: memory from 128 MB to 10,240 MB",
    ),
    Device(
        "phone",
        "A phone: the papers' mobile setting",
        Budget(macs=600_000_000),
        "Liu et al., DARTS, arXiv:1806.09055, section 3.3: the mobile setting, less than 600 M multiply-adds",
        "a convention of papers to compare networks, not a limit of any phone",
    ),
    Device(
        "ios_app_clip",
        "An App Clip on iOS 16 and later",
        Budget(weight_bytes=7_500_000, dtype="float16"),
        "App Store Connect Help, Maximum build file sizes, App Clips: 15 MB uncompressed",
        "our rule: half of it for weights in float16, half for the program",
    ),
    Device(
        "browser",
        "A web page that loads the network",
        Budget(weight_bytes=4_000 * KIB, dtype="float16"),
        "Chrome Lighthouse, Avoid enormous network payloads: pages above 5,000 KiB in all are flagged",
        "our rule: 1,000 KiB of it for the page and the runtime; weights in float16",
    ),
)


def device(name: str) -> Device:
    """The preset of that name. Raises `ValueError` for an unknown one."""
    for row in DEVICES:
        if row.name == name:
            return row
    raise ValueError(f"there is no device {name!r}; choose one of {', '.join(row.name for row in DEVICES)}")


def budget_for(name: str, **explicit: Any) -> Budget:
    """The limits of a device; explicit fields of `Budget` override its own, None takes a limit away.

    Raises `ValueError` for an unknown device or field, and where no limit is left.
    """
    known = (*LIMITS, "dtype", "batch")
    if unknown := sorted(set(explicit) - set(known)):
        raise ValueError(f"a budget has no {', '.join(unknown)}; it has {', '.join(known)}")
    return dataclasses.replace(device(name).limits, **explicit)
