"""Orders of training: every item once, images kept together, the same for the same seed and epoch."""

import numpy as np

from mgimm_plugin.train.sampling import LARGEST_GROUP, ImageGroupedSampler

IMAGES = [*np.random.default_rng(0).integers(0, 40, 200).tolist(), *[-1] * 30, *[77] * 20]


def order_of(epoch, seed=3):
    return list(ImageGroupedSampler(IMAGES, seed, epoch))


def test_every_item_comes_once_an_epoch():
    assert sorted(order_of(0)) == list(range(len(IMAGES)))
    assert len(ImageGroupedSampler(IMAGES, 0)) == len(IMAGES)
    assert list(ImageGroupedSampler([], 0)) == []


def test_the_order_follows_from_seed_and_epoch():
    assert order_of(1) == order_of(1)
    assert order_of(1) != order_of(2)
    assert order_of(1) != order_of(1, seed=4)


def test_records_of_an_image_come_together_and_not_too_many():
    images = np.asarray(IMAGES)[order_of(0)]
    changes = np.flatnonzero(np.diff(images)) + 1
    pieces = [piece for piece in np.split(images, changes) if piece[0] >= 0]
    numbers = [int(piece[0]) for piece in pieces]
    assert all(numbers.count(number) <= 1 for number in range(40) if IMAGES.count(number) <= LARGEST_GROUP)
    assert numbers.count(77) > 1
    assert sum(map(len, pieces)) == sum(image >= 0 for image in IMAGES)


def test_items_without_an_image_are_spread():
    places = np.flatnonzero(np.asarray(IMAGES)[order_of(0)] < 0)
    assert np.ptp(places) > 100


def test_records_of_an_image_come_together_in_later_epochs_of_a_fraction_too(bench, train, tmp_path):
    flags = bench.region_flags(tmp_path / "run", data_path=f"{bench.region_data}@0.5", group_by_image=True)
    trainer = train([*flags, "--max_steps", "1"])
    data, orders = trainer.train_dataset, []
    sampler = trainer._get_train_sampler()
    for epoch in range(3):
        for follower in (data, sampler):
            follower.set_epoch(epoch)
        images = [data.image_numbers[item] for item in sampler]
        orders.append(images)
        assert np.count_nonzero(np.diff(images)) + 1 == len(set(images))
    assert sorted(orders[0]) != sorted(orders[1])
