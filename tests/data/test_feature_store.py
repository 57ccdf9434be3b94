"""Features come back as they were written, from files that processes share, and only for the very same image."""

import os
import pickle
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mgimm_plugin.data import image_identity
from mgimm_plugin.data.feature_store import CachedImage, FeatureShards, FeatureStore, write_shard
from mgimm_plugin.data.image_identity import IDENTITY, DigestIndex
from mgimm_plugin.errors import ImageError, MgimmError

KEY = "a tower"


@pytest.fixture
def files(tmp_path):
    """Five images that were written long ago."""
    made = [tmp_path / f"{i}.png" for i in range(5)]
    for i, file in enumerate(made):
        Image.new("RGB", (8, 6), (i, 0, 0)).save(file)
    return made


@pytest.fixture(autouse=True)
def an_hour_later(monkeypatch):
    """Files are old enough to be trusted."""
    now = time.time_ns
    monkeypatch.setattr(image_identity.time, "time_ns", lambda: now() + 3_600_000_000_000)


@pytest.fixture
def digests_taken(monkeypatch):
    taken = []
    original = image_identity.digest_of
    monkeypatch.setattr(image_identity, "digest_of", lambda file: taken.append(file) or original(file))
    return taken


def identify(files, index: Path):
    known = DigestIndex(index)
    identities = np.array([known.identify(file) for file in files], IDENTITY)
    known.remember(files, identities)
    return identities


def write_back(file: Path, content: bytes, stat: os.stat_result) -> None:
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def make(files, tmp_path):
    """Write features, the first two images in one shard, two in another, none of the fifth; returns what they are."""

    def build(shape=(4, 3), dtype=torch.float32, views=None):
        folder = tmp_path / "features"
        folder.mkdir()
        identities = identify(files, tmp_path / "index.jsonl")
        features = [torch.randn(*shape) if views is None else torch.randn(views[i], *shape) for i in range(4)]
        features = [tensor.to(dtype) for tensor in features]
        images = [CachedImage(bytes(identities[i]["digest"]), tensor, (8 + i, 6)) for i, tensor in enumerate(features)]
        write_shard(folder, KEY, images[:2])
        write_shard(folder, KEY, images[2:])
        return folder, FeatureStore(FeatureShards(folder, KEY), files, identities), features

    return build


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("views", [None, (3, 1, 2, 3)])
def test_features_and_sizes_come_back_as_written_in_another_process_too(make, files, dtype, views):
    _, store, features = make(dtype=dtype, views=views)
    for reader in (store, pickle.loads(pickle.dumps(store))):
        for i, file in enumerate(files[:4]):
            found, size = reader.read(file)
            assert found.dtype == dtype
            assert torch.equal(found, features[i])
            assert size == (8 + i, 6)


def test_a_worker_sends_the_views_of_an_image_and_not_the_whole_file(make, files):
    """Views go one by one to the process that trains, where others are put together in the worker."""
    _, store, _ = make(views=(3, 1, 2, 3))
    views, _ = store.read(files[0])
    assert views.untyped_storage().nbytes() == views.nbytes


def test_an_image_without_features_has_none(make, files):
    _, store, _ = make()
    assert store.read(files[4]) is None
    assert store.read(files[0].with_name("another.png")) is None


def test_two_paths_with_the_same_bytes_share_features(make, files, tmp_path):
    folder, _, features = make()
    copy = tmp_path / "copy.png"
    copy.write_bytes(files[1].read_bytes())
    store = FeatureStore(FeatureShards(folder, KEY), [copy], identify([copy], tmp_path / "index.jsonl"))
    assert torch.equal(store.read(copy)[0], features[1])


def test_features_stay_in_the_mapped_file(make, files):
    _, store, _ = make(shape=(1024, 2048))  # 8 MB an image

    def own_megabytes():  # memory that is not a mapped file
        return int(re.search(r"Anonymous:\s+(\d+)", Path("/proc/self/smaps_rollup").read_text())[1]) / 1024

    store.read(files[0])[0].sum()
    before = own_megabytes()
    for file in files[:4]:
        store.read(file)[0].sum()
    assert own_megabytes() - before < 8


def test_digests_are_remembered_between_runs(files, tmp_path, digests_taken):
    first = identify(files, tmp_path / "index.jsonl")
    assert len(digests_taken) == 5
    assert np.array_equal(identify(files, tmp_path / "index.jsonl"), first)
    assert len(digests_taken) == 5


def test_a_changed_image_has_another_digest_whatever_its_modification_time(files, tmp_path):
    before = identify(files, tmp_path / "index.jsonl")
    write_back(files[2], files[3].read_bytes(), files[2].stat())  # equally long
    after = identify(files, tmp_path / "index.jsonl")
    assert (before["digest"] == after["digest"]).tolist() == [True, True, False, True, True]
    assert after["digest"][2] == after["digest"][3]


def test_a_touched_image_is_read_again_and_is_the_same(files, tmp_path, digests_taken):
    before = identify(files, tmp_path / "index.jsonl")
    os.utime(files[0])
    digests_taken.clear()
    assert identify(files, tmp_path / "index.jsonl")["digest"].tolist() == before["digest"].tolist()
    assert digests_taken == [files[0]]


def test_times_of_an_image_that_was_just_written_are_not_trusted(files, tmp_path, digests_taken, monkeypatch):
    monkeypatch.setattr(image_identity.time, "time_ns", lambda: files[0].stat().st_ctime_ns + 1_000_000)
    young = identify(files[:1], tmp_path / "index.jsonl")
    assert young["mtime_ns"] == 0
    digests_taken.clear()
    identify(files[:1], tmp_path / "index.jsonl")
    assert digests_taken == [files[0]]


def test_an_image_that_changes_while_features_are_in_use_is_an_error(make, files):
    _, store, features = make()
    os.utime(files[0])
    assert torch.equal(store.read(files[0])[0], features[0])  # the same bytes
    write_back(files[0], files[1].read_bytes(), files[0].stat())
    with pytest.raises(ImageError, match=r"0\.png has changed"):
        store.read(files[0])
    files[1].unlink()
    with pytest.raises(ImageError, match=r"1\.png cannot be read: No such file"):
        store.read(files[1])


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_cut_shard_is_named(make, length):
    folder, _, _ = make()
    shard = next(folder.glob("*.safetensors"))
    content = shard.read_bytes()
    shard.write_bytes(content[:length])
    with pytest.raises(MgimmError, match=f"{shard.name}: is no whole file of features"):
        FeatureShards(folder, KEY)


def test_a_shard_of_another_tower_is_named(make):
    folder, _, _ = make()
    with pytest.raises(MgimmError, match=r"\.safetensors: holds features of another tower or preprocessing"):
        FeatureShards(folder, "another tower")


def test_a_shard_cut_while_training_is_named_with_the_image(make, files):
    folder, store, _ = make()
    for shard in folder.glob("*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(MgimmError, match=r"features of image .*2\.png: .*\.safetensors: is no whole file"):
        store.read(files[2])


def test_a_file_that_is_no_index_is_named(tmp_path, files):
    (tmp_path / "index.jsonl").write_text('{"path": "x"}\n')
    with pytest.raises(MgimmError, match=r"index\.jsonl: is not an index of images; remove it"):
        DigestIndex(tmp_path / "index.jsonl")
