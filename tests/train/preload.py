"""Imported once by the fork server, so that no run pays for it."""

import contextlib
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["DS_ACCELERATOR"] = "cpu"  # these runs use --use_cpu, also where there is a GPU

import deepspeed  # noqa: F401
import mgimm_patches.runner  # noqa: F401

import mgimm_plugin

mgimm_plugin.register()

import llava.train.train
import peft  # noqa: F401

import mgimm_plugin.train.stages  # noqa: F401

with contextlib.suppress(ImportError):  # DeepSpeed imports it late, and it compiles half of torch's decorators
    import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401
