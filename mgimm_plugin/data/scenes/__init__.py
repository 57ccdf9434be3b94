"""Overhead scenes drawn from a seed, with texts that follow from their ground truth."""

from mgimm_plugin.data.scenes.layout import SceneObject
from mgimm_plugin.data.scenes.scene import Scene, generate_scene
from mgimm_plugin.data.scenes.writing import scene_records, write_scenes

__all__ = ["Scene", "SceneObject", "generate_scene", "scene_records", "write_scenes"]
