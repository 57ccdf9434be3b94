"""Imported once by the fork server, so that no run pays for it."""

import contextlib
import os
from importlib import import_module

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["DS_ACCELERATOR"] = "cpu"  # these runs use --use_cpu, also where there is a GPU

import_module("mgimm_plugin").register()
for name in ("deepspeed", "peft", "mgimm_patches.runner", "llava.train.train", "mgimm_plugin.train.stages"):
    import_module(name)
with contextlib.suppress(ImportError):  # DeepSpeed imports it late, and half of torch's compiler with it
    import_module("deepspeed.runtime.zero.muon.muon_optimizer")
