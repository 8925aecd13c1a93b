"""Rows -> student."""

import logging
import os

# Threads of torch that wait for each other by spinning starve when another process wants the cores: training fell from
# 120 to 2 rows/s beside one busy process, and to 23 with this. It must be set before torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# bitsandbytes says at import that a kernel of the Hub's is not installed; its own are
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
