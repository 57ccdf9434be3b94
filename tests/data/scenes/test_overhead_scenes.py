import numpy as np

from mgimm_plugin.data.scenes.overhead import generate


def test_a_scene_follows_from_seed_and_index_alone() -> None:
    first, second = generate(3, 5, 96), generate(3, 5, 96)
    assert [item.attributes for item in first.objects] == [item.attributes for item in second.objects]
    np.testing.assert_array_equal(np.asarray(first.image), np.asarray(second.image))
