"""Overhead scenes drawn from a seed, with texts that follow from their ground truth."""

from mgimm_plugin.data.scenes.overhead import generate_scene
from mgimm_plugin.data.scenes.scene import Scene, SceneObject, split_seed
from mgimm_plugin.data.scenes.writing import scene_records, write_scenes

__all__ = ["Scene", "SceneObject", "generate_scene", "scene_records", "split_seed", "write_scenes"]
