"""Splicing against a slow reference that goes token by token."""

import random

import pytest
import torch

from mgimm_plugin.constants import IGNORE_INDEX, IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX
from mgimm_plugin.errors import RecordError
from mgimm_plugin.model.splicing import FeatureBlocks, splice

WIDTH, VOCABULARY = 6, 50
SENTINELS = (IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX)


def pad(rows, value, side):
    length = max(map(len, rows))
    return torch.tensor(
        [
            row + [value] * (length - len(row)) if side == "right" else [value] * (length - len(row)) + row
            for row in rows
        ]
    )


def random_rows(rng, rows, images, regions):
    """Rows of ids and labels with up to so many sentinels of each kind, in any order, also side by side."""
    ids, labels = [], []
    for _ in range(rows):
        row = [rng.randrange(VOCABULARY) for _ in range(rng.randint(1, 8))]
        row += [IMAGE_TOKEN_INDEX] * rng.randint(0, images) + [REGION_TOKEN_INDEX] * rng.randint(0, regions)
        rng.shuffle(row)
        ids.append(row)
        labels.append([token if rng.random() < 0.5 and token not in SENTINELS else IGNORE_INDEX for token in row])
    return ids, labels


def random_blocks(rng, rows, sentinel, longest):
    """One block of random length for each sentinel, as lists of vectors by row."""
    blocks = [[torch.randn(rng.randint(1, longest), WIDTH) for token in row if token == sentinel] for row in rows]
    flat = [block for row in blocks for block in row]
    features = torch.cat([*flat, torch.zeros(0, WIDTH)]).requires_grad_()
    lengths = torch.tensor([len(block) for block in flat], dtype=torch.int64)
    owners = torch.tensor([i for i, row in enumerate(blocks) for _ in row], dtype=torch.int64)
    return FeatureBlocks(features, lengths, owners)


def slow_splice(rows, labels, table, images, regions, side):
    """What ``splice`` has to give, one token at a time."""
    vectors, targets = [], []
    taken = {IMAGE_TOKEN_INDEX: 0, REGION_TOKEN_INDEX: 0}
    ends = {IMAGE_TOKEN_INDEX: images, REGION_TOKEN_INDEX: regions}
    used = {IMAGE_TOKEN_INDEX: 0, REGION_TOKEN_INDEX: 0}
    for row, row_labels in zip(rows, labels, strict=True):
        vectors.append([])
        targets.append([])
        for token, label in zip(row, row_labels, strict=True):
            if token in ends:
                length = int(ends[token].lengths[taken[token]])
                vectors[-1] += list(ends[token].features[used[token] : used[token] + length])
                targets[-1] += [IGNORE_INDEX] * length
                taken[token] += 1
                used[token] += length
            else:
                vectors[-1].append(table[token])
                targets[-1].append(label)
    width = max(map(len, vectors))
    embeds = torch.zeros(len(rows), width, WIDTH)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    positions = torch.zeros(len(rows), width, dtype=torch.int64)
    new_labels = torch.full((len(rows), width), IGNORE_INDEX)
    for i, row in enumerate(vectors):
        first = width - len(row) if side == "left" else 0
        for j, vector in enumerate(row):
            embeds[i, first + j] = vector
            mask[i, first + j] = True
            positions[i, first + j] = j
            new_labels[i, first + j] = targets[i][j]
    return embeds, new_labels, mask, positions


@pytest.mark.parametrize("side_in", ["right", "left"])
@pytest.mark.parametrize("side_out", ["right", "left"])
@pytest.mark.parametrize("seed", range(12))
def test_spliced_rows_are_those_of_the_slow_reference(seed, side_in, side_out):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    rows, labels = random_rows(rng, rows=rng.randint(1, 5), images=2, regions=5)
    images = random_blocks(rng, rows, IMAGE_TOKEN_INDEX, 7)
    regions = random_blocks(rng, rows, REGION_TOKEN_INDEX, 2)
    table = torch.randn(VOCABULARY, WIDTH)
    mask = pad([[1] * len(row) for row in rows], 0, side_in).bool()
    got = splice(
        pad(rows, 0, side_in),
        mask,
        pad(labels, IGNORE_INDEX, side_in),
        lambda ids: table[ids],
        images,
        regions,
        padding_side=side_out,
    )
    for ours, wanted in zip(got, slow_splice(rows, labels, table, images, regions, side_out), strict=True):
        assert ours.dtype == wanted.dtype
        assert torch.equal(ours, wanted)


def blocks(rows, length=1):
    rows = torch.tensor(rows, dtype=torch.int64)
    return FeatureBlocks(torch.ones(len(rows) * length, WIDTH), torch.full_like(rows, length), rows)


def splice_ids(ids, images, regions):
    ids = torch.tensor(ids)
    return splice(ids, torch.ones_like(ids, dtype=torch.bool), None, torch.nn.Embedding(9, WIDTH), images, regions)


def test_sentinels_that_are_padding_are_not_counted():
    ids = torch.tensor([[1, 2, IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX]])
    mask = torch.tensor([[True, True, False, False]])
    assert splice(ids, mask, None, torch.nn.Embedding(9, WIDTH), blocks([]), blocks([])).inputs_embeds.shape[1] == 2


def test_without_labels_nothing_carries_a_loss():
    spliced = splice_ids([[1, IMAGE_TOKEN_INDEX, 2]], blocks([0], 3), blocks([]))
    assert (spliced.labels == IGNORE_INDEX).all()


@pytest.mark.parametrize(
    ("images", "regions", "message"),
    [
        ([0], [1], "row 1 of the batch has 2 <region> tokens and 1 boxes"),
        ([0], [1, 1, 1], "row 1 of the batch has 2 <region> tokens and 3 boxes"),
        ([0], [0, 1, 1], "row 0 of the batch has 0 <region> tokens and 1 boxes"),
        ([], [1, 1], "row 0 of the batch has 1 <image> tokens and 0 images"),
        ([0, 1], [1, 1], "row 1 of the batch has 0 <image> tokens and 1 images"),
        ([0, 2], [1, 1], "row 2 of the batch has 0 <image> tokens and 1 images"),
    ],
)
def test_wrong_counts_are_said_with_both(images, regions, message):
    ids = [[1, IMAGE_TOKEN_INDEX, 2], [REGION_TOKEN_INDEX, REGION_TOKEN_INDEX, 3]]
    with pytest.raises(RecordError, match=message):
        splice_ids(ids, blocks(images), blocks(regions))


def test_gradients_flow_to_words_images_and_regions():
    table = torch.nn.Embedding(9, WIDTH)
    images = FeatureBlocks(torch.randn(3, WIDTH, requires_grad=True), torch.tensor([3]), torch.tensor([0]))
    regions = FeatureBlocks(torch.randn(4, WIDTH, requires_grad=True), torch.tensor([2, 2]), torch.tensor([0, 1]))
    ids = torch.tensor([[1, IMAGE_TOKEN_INDEX, REGION_TOKEN_INDEX], [REGION_TOKEN_INDEX, 2, 0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    spliced = splice(ids, mask, None, table, images, regions)
    weights = torch.randn_like(spliced.inputs_embeds)
    (spliced.inputs_embeds * weights).sum().backward()
    assert torch.equal(images.features.grad, weights[0, 1:4])
    assert torch.equal(regions.features.grad, torch.cat((weights[0, 4:6], weights[1, 0:2])))
    assert torch.equal(table.weight.grad[1], weights[0, 0])
    assert not table.weight.grad[0].any()


def test_features_without_any_token_stay_in_the_graph():
    table = torch.nn.Embedding(9, WIDTH)
    projector = torch.nn.Linear(WIDTH, WIDTH)
    nothing = torch.zeros(0, dtype=torch.int64)
    images = FeatureBlocks(projector(torch.zeros(0, WIDTH)), nothing, nothing)
    ids = torch.tensor([[1, 2]])
    spliced = splice(ids, torch.ones_like(ids, dtype=torch.bool), None, table, images, images)
    spliced.inputs_embeds.sum().backward()
    assert projector.weight.grad is not None
    assert not projector.weight.grad.any()
