"""What this machine is, for those who train and answer on it (synth/machine.py finds it: a local teacher asks too)."""

from __future__ import annotations

from synth.machine import DTYPES as DTYPES
from synth.machine import Device as Device
from synth.machine import Machine as Machine
from synth.machine import find_machine as find_machine
from synth.machine import free_memory as free_memory
from synth.machine import is_out_of_memory as is_out_of_memory
