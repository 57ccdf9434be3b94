"""The training step that leaves out what changes nothing gives the loss and gradients of the whole computation."""

import pytest
import torch

from mgimm_plugin.constants import IGNORE_INDEX, REGION_TOKEN_INDEX
from mgimm_plugin.model.language_loss import frozen_prefix
from tests.tiny import FAMILIES, SIDE, build_loaded

PREFIX = 9


def region_batch(vocabulary, rows=5):
    """Region records: the same words first, then a region, a question and answers of different lengths."""
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, vocabulary, (rows, PREFIX + 8), generator=generator)
    ids[:, :PREFIX] = ids[0, :PREFIX]
    ids[:, PREFIX] = REGION_TOKEN_INDEX
    labels = ids.clone()
    labels[:, : PREFIX + 4] = IGNORE_INDEX
    mask = torch.ones_like(ids, dtype=torch.bool)
    ids[0, -3:], labels[0, -3:], mask[0, -3:] = 0, IGNORE_INDEX, False
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": labels,
        "images": torch.randn(rows, 3, SIDE, SIDE, generator=generator),
        "image_row": torch.arange(rows),
        "boxes": torch.tensor([[1000, 2000, 30000, 40000]]) + torch.arange(rows)[:, None] * 1000,
        "image_index": torch.arange(rows),
    }


def only_regions_are_trained(model):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("region_encoder" in name or "mm_projector" in name)
        parameter.grad = None


def loss_and_gradients(model, batch, **more):
    model.zero_grad()
    loss = model(**batch, **more).loss
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_loss_and_gradients_are_those_of_the_whole_computation(family, tiny_llm, tiny_tower):
    model = build_loaded(tiny_llm(family), tiny_tower).model
    only_regions_are_trained(model)
    batch = region_batch(model.config.vocab_size)
    whole = loss_and_gradients(model.eval(), batch)
    model.train()
    assert frozen_prefix(model, *(batch[name] for name in ("input_ids", "attention_mask", "labels"))) == PREFIX - 1
    ours = loss_and_gradients(model, batch)
    torch.testing.assert_close(ours, whole, atol=1e-5, rtol=1e-4)
    labelled = int((batch["labels"] != IGNORE_INDEX).sum())
    summed = loss_and_gradients(model, batch, num_items_in_batch=2 * labelled)
    torch.testing.assert_close(2 * summed[0], whole[0], atol=1e-5, rtol=1e-4)


def test_an_evaluation_that_asks_for_the_loss_alone_makes_no_logits(tiny_llm, tiny_tower):
    model = build_loaded(tiny_llm("llama"), tiny_tower).model.eval()
    batch = region_batch(model.config.vocab_size)
    with torch.no_grad():
        whole, found = model(**batch), model(**batch, loss_only=True)
    assert whole.logits is not None
    assert found.logits is None
    torch.testing.assert_close(found.loss, whole.loss, atol=1e-5, rtol=1e-4)


def test_nothing_is_shared_where_the_language_model_is_trained_or_recomputed(tiny_llm, tiny_tower):
    model = build_loaded(tiny_llm("llama"), tiny_tower).model.train()
    batch = region_batch(model.config.vocab_size)
    text = [batch[name] for name in ("input_ids", "attention_mask", "labels")]
    assert frozen_prefix(model, *text) == 0
    only_regions_are_trained(model)
    assert frozen_prefix(model, *text) > 0
    assert frozen_prefix(model, *(part[:1] for part in text)) == 0
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert frozen_prefix(model, *text) == 0


def test_nothing_is_shared_where_ranks_have_to_gather_the_language_model_together(tiny_llm, tiny_tower):
    model = build_loaded(tiny_llm("llama"), tiny_tower).model.train()
    only_regions_are_trained(model)
    batch = region_batch(model.config.vocab_size)
    text = [batch[name] for name in ("input_ids", "attention_mask", "labels")]
    assert frozen_prefix(model, *text) > 0
    for parameter in model.model.layers.parameters():
        parameter.ds_id = 0  # as ZeRO-3 marks what it has split
    assert frozen_prefix(model, *text) == 0


def test_what_differs_between_rows_is_never_shared(tiny_llm, tiny_tower):
    model = build_loaded(tiny_llm("llama"), tiny_tower).model.train()
    only_regions_are_trained(model)
    batch = region_batch(model.config.vocab_size)
    batch["input_ids"][3, 4] += 1
    text = [batch[name] for name in ("input_ids", "attention_mask", "labels")]
    assert frozen_prefix(model, *text) == 3


def test_rows_without_a_label_add_nothing_to_a_summed_loss(tiny_llm, tiny_tower):
    model = build_loaded(tiny_llm("llama"), tiny_tower).model.train()
    batch = region_batch(model.config.vocab_size)
    batch["labels"][:] = IGNORE_INDEX
    loss, gradients = loss_and_gradients(model, batch, num_items_in_batch=7)
    assert loss == 0
    assert not any(gradient.any() for gradient in gradients.values())
