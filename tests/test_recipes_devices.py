"""Devices by name and by size; a name that is not known is met with the nearest one."""

from __future__ import annotations

import pytest

from recipes.devices import card, cpu, find_device
from recipes.errors import RecipeError


@pytest.mark.parametrize(
    ("text", "usable", "precision"),
    [
        ("t4", 14.5, "fp16"),
        ("Tesla T4", 14.5, "fp16"),
        ("rtx4060", 7.6, "bf16"),
        ("NVIDIA GeForce RTX 4060", 7.6, "bf16"),
        ("a100-40gb", 39.4, "bf16"),
        ("h200", 139.5, "bf16"),
        ("8gb", 8.0, "bf16"),
        ("24 GB", 24.0, "bf16"),
        ("7.6GiB", 7.6, "bf16"),
        ("cpu", None, "fp32"),
    ],
)
def test_devices_are_found(text, usable, precision):
    device = find_device(text)
    assert (device.usable, device.precision) == (usable, precision)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rtx4061", "did you mean rtx4060?"),
        ("a100", "did you mean a100-40gb or a100-80gb?"),
        ("abacus", "there is t4, rtx4060, l4"),
        ("0gb", "did you mean "),
        ("", "there is t4"),
        ("8mb", "did you mean 8gb?"),
    ],
)
def test_others_are_refused_with_the_nearest(text, hint):
    with pytest.raises(RecipeError) as caught:
        find_device(text)
    assert f"--device {text}: no such device; " in str(caught.value) and hint in str(caught.value)


def test_cards_and_processors_of_this_machine():
    found = card("Tesla T4", 15360, bf16=False)
    assert (found.name, found.usable, found.precision) == ("Tesla T4", 14.6, "fp16")
    assert card("NVIDIA GB10", 0, bf16=True).usable is None
    assert (cpu(8 << 30).name, cpu(8 << 30).usable, cpu(8 << 30).precision) == ("CPU", 8.0, "fp32")
    assert cpu(8 << 30, bf16=True).precision == "bf16"
    assert cpu(0).usable is None
