"""Device presets: a device is a row, its limits follow from a document that the row names.

A preset knows sizes, not speed: how long a network takes on a device is measured, not looked up. A
limit that has no source is left out. What is our own rule and not the source's is in the `note`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from budgetnet.budgets.budget import LIMITS, Budget

KIB = 1024
MIB = 1024 * KIB

RUNTIME_FLASH_BYTES = 160 * KIB
RUNTIME_RAM_BYTES = 16 * KIB
RUNTIME_SOURCE = (
    "flash: tensorflow/tensorflow, issue 48073: about 160 KB of code for TensorFlow Lite Micro, with five ops as with "
    "all (release 2.4). RAM: the arena is the network's, so what is left is the scratch of CMSIS-NN's kernels and the "
    "stack; pytorch/executorch, issue 17651: 4,464 bytes of scratch beside the tensors of MobileNetV2 on a Cortex-M55, "
    "which is 4 x 124 x 3 x 3, so 12,400 for a 5x5 kernel; and, our rule, 4 KiB of stack"
)
FIRMWARE_FLASH_BYTES = 32 * KIB
FIRMWARE_RAM_BYTES = 16 * KIB
_FIRMWARE = (
    f"of the flash {RUNTIME_FLASH_BYTES // KIB} KiB are the runtime's and, our rule, {FIRMWARE_FLASH_BYTES // KIB} KiB "
    f"the firmware's; of the SRAM {RUNTIME_RAM_BYTES // KIB} KiB are for the runtime's stack and its kernels' scratch "
    f"and, our rule, {FIRMWARE_RAM_BYTES // KIB} KiB for drivers; what it keeps for the network is in its arena"
)
_ONE_BANK = "the chip has 1 MB of RAM in several banks; a buffer lies in one, and the largest is the AXI SRAM"


@dataclass(frozen=True, slots=True)
class Device:
    """A preset: `limits` follow from `source`, and `note` says how.

    The limits name the runtime. `runtime_flash_bytes` and `runtime_ram_bytes` are what it needs for itself, whatever
    the network: interpreter and kernels, stack and scratch; `runtime_source` says where they come from.
    """

    name: str
    title: str
    limits: Budget
    source: str
    note: str
    runtime_flash_bytes: int = 0
    runtime_ram_bytes: int = 0
    runtime_source: str = ""


def _microcontroller(name: str, title: str, flash_bytes: int, sram_bytes: int, source: str, note: str = "") -> Device:
    """Flash holds the file, SRAM the arena, for int8; what runtime and firmware need themselves is subtracted."""
    limits = Budget(
        weight_bytes=flash_bytes - RUNTIME_FLASH_BYTES - FIRMWARE_FLASH_BYTES,
        peak_activation_bytes=sram_bytes - RUNTIME_RAM_BYTES - FIRMWARE_RAM_BYTES,
        dtype="int8",
        runtime="tflite_micro",
    )
    text = f"{note}; {_FIRMWARE}" if note else _FIRMWARE
    return Device(name, title, limits, source, text, RUNTIME_FLASH_BYTES, RUNTIME_RAM_BYTES, RUNTIME_SOURCE)


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
        "Arduino documentation, tech specs of Nano 33 BLE (ABX00030) and BLE Sense (ABX00031), Memory: 1 MB flash, "
        "256 KB SRAM",
    ),
    _microcontroller(
        "sparkfun_edge",
        "SparkFun Edge, Ambiq Apollo3 Blue",
        1 * MIB,
        384 * KIB,
        "Zephyr Project documentation, Apollo3 Blue EVB, Hardware: up to 1 MB flash, up to 384 KB RAM; SparkFun Edge "
        "Hookup Guide, Software Setup: the board's chip is the Apollo3 Blue",
    ),
    _microcontroller(
        "stm32f412",
        "STM32F412xG, Cortex-M4",
        1 * MIB,
        256 * KIB,
        "ST reference manual RM0402 (STM32F412), section 2.1, figure 1: flash up to 1 MB, SRAM1 256 KB; "
        "STMicroelectronics/STM32_open_pin_data, STM32F412Z(E-G)Tx: 512 or 1,024 KB flash",
    ),
    _microcontroller(
        "stm32f746",
        "STM32F746xG, Cortex-M7 (Discovery kit)",
        1 * MIB,
        320 * KIB,
        "ST reference manual RM0385 (STM32F75xxx, F74xxx), section 2.1, figure 1: flash up to 1 MB, DTCM 64, SRAM1 240 "
        "and SRAM2 16 KB; STMicroelectronics/STM32_open_pin_data, STM32F746NGHx: 1,024 KB flash, 320 KB RAM",
    ),
    _microcontroller(
        "stm32h743",
        "STM32H743xI, Cortex-M7 (Nucleo)",
        2 * MIB,
        512 * KIB,
        "ST application note 'STM32H72x, STM32H73x, and single-core STM32H74x/75x system architecture and "
        "performance', section 2.5.2, table 6: two flash banks of 1 MB, AXI SRAM 512 KB",
        _ONE_BANK,
    ),
    _microcontroller(
        "arduino_portenta_h7",
        "Arduino Portenta H7 (STM32H747) and Nicla Vision (STM32H757)",
        2 * MIB,
        512 * KIB,
        "Arduino documentation, tech specs of Portenta H7 (ABX00042) and Nicla Vision (ABX00051), Memory: 2 MB flash, "
        "1 MB RAM; STMicroelectronics/cmsis_device_h7, stm32h747xx.h, memory map: AXI SRAM up to 512 KB",
        f"{_ONE_BANK}; all flash goes to the Cortex-M7",
    ),
    _microcontroller(
        "esp32_s3",
        "ESP32-S3-WROOM-1-N8, no PSRAM",
        8 * MIB,
        320 * KIB,
        "platformio/platform-espressif32, boards/esp32-s3-devkitc-1.json (N8, no PSRAM): flash_size 8MB, "
        "maximum_ram_size 327,680 bytes",
        "the chip has 512 KB of SRAM (ESP32-S3-WROOM-1 data sheet 1.3, section 1.1), not all of it for data",
    ),
    _microcontroller(
        "raspberry_pi_pico",
        "Raspberry Pi Pico, RP2040",
        2 * MIB,
        264 * KIB,
        "Raspberry Pi documentation, Pico-series microcontrollers, Raspberry Pi Pico, Key features: 2 MB flash on the "
        "board, 264 kB SRAM",
    ),
    _microcontroller(
        "raspberry_pi_pico_2",
        "Raspberry Pi Pico 2, RP2350",
        4 * MIB,
        520 * KIB,
        "Raspberry Pi documentation, Pico-series microcontrollers, Raspberry Pi Pico 2, Key features: 4 MB flash on "
        "the board, 520 kB SRAM",
    ),
    Device(
        "visual_wake_words",
        "The microcontroller of the Visual Wake Words challenge",
        Budget(
            macs=60_000_000,
            weight_bytes=250_000,
            peak_activation_bytes=250_000,
            dtype="int8",
            runtime="tflite_micro",
        ),
        "Chowdhery et al., Visual Wake Words Dataset, arXiv:1906.05721, abstract: 250 KB of memory, for peak usage and "
        "for model size; amitmate/visualwakeword (an entry of the challenge), README, Model: the challenge's limits "
        "are 250 K of SRAM, 250 K of flash and 60 million multiply-adds",
        "KB is read as 1,000 bytes, the stricter of the two; our rule: the model is its whole file, and its memory the "
        "arena, as TensorFlow Lite Micro takes them (--runtime deployed counts weights and activations alone); runtime "
        "and firmware come on top",
        RUNTIME_FLASH_BYTES,
        RUNTIME_RAM_BYTES,
        RUNTIME_SOURCE,
    ),
    Device(
        "coral_edge_tpu",
        "Google Coral Edge TPU, weights cached on the chip",
        Budget(weight_bytes=6_912 * KIB, dtype="int8"),
        "coral.ai, Pipeline a model with multiple Edge TPUs, Overview: the cache of an Edge TPU is about 8 MB",
        "our rule: 6.75 MiB of weights, since full caches held 6.86 and 7.16 MiB in compiler logs "
        "(google-coral/edgetpu, issues 60 and 518). The compiler can cache far less (1.92 MiB in issue 427), so read "
        "its log; what is not cached is streamed",
    ),
    _computer(
        "raspberry_pi_zero_2",
        "Raspberry Pi Zero 2 W",
        512 * MIB,
        "Raspberry Pi documentation, Raspberry Pi hardware, Zero series, column Memory: 512 MB",
    ),
    _computer(
        "raspberry_pi_4",
        "Raspberry Pi 4 Model B, 1 GB",
        1024 * MIB,
        "Raspberry Pi documentation, Raspberry Pi hardware, Flagship series, column Memory: 1, 2, 4 or 8 GB",
    ),
    _computer(
        "aws_lambda",
        "AWS Lambda function with the least memory",
        128 * MIB,
        "AWS Lambda Developer Guide, Configure Lambda function memory: 128 MB is the default and the lowest setting",
    ),
    Device(
        "phone",
        "A phone: the papers' mobile setting",
        Budget(macs=600_000_000),
        "Liu et al., DARTS, arXiv:1806.09055, appendix A.2.3: in the mobile setting images have 224 x 224 px and a "
        "model less than 600 M multiply-adds",
        "a convention of papers to compare networks, not a limit of any phone",
    ),
    Device(
        "ios_app_clip",
        "An App Clip on iOS 16 and later",
        Budget(weight_bytes=7_500_000, dtype="float16"),
        "App Store Connect Help, Maximum build file sizes, App Clips: 15 MB for the uncompressed bundle of a variant, "
        "iOS 16 and later",
        "our rule: half of it for weights in float16, half for the program; MB is read as 1,000,000 bytes. The same "
        "table allows 100 MB from iOS 17 on, under conditions",
    ),
    Device(
        "browser",
        "A web page that loads the network",
        Budget(weight_bytes=4_000 * KIB, dtype="float16"),
        "Chrome for Developers, Lighthouse, Avoid enormous network payloads: it flags pages whose requests exceed "
        "5,000 KiB in all",
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
    known = (*LIMITS, "dtype", "batch", "runtime", "timing")
    if unknown := sorted(set(explicit) - set(known)):
        raise ValueError(f"a budget has no {', '.join(unknown)}; it has {', '.join(known)}")
    return dataclasses.replace(device(name).limits, **explicit)
