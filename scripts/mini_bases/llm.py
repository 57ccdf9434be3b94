"""The mini tokenizer and the mini language model."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mgimm_plugin.constants import IGNORE_INDEX
from mgimm_plugin.evaluate.attributes import check_attributes, vocabulary

from .corpus import PROBE_SEED, TRAINING_SEED, WORDS, load_texts
from .language import Conversations, Sample
from .optimizing import TrainingState, descend, make_optimizers, set_rate, trapezoid

VOCABULARY = 1600
CONTEXT = 1536
WIDTH = 192
LAYERS = 5
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")
# A word keeps its hyphens ("L-shaped" becomes one token) and its leading space; digits stand alone.
_PIECES = r" ?\p{L}+(?:-\p{L}+)*|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_MIX = (("region", 16, 0.45), ("image", 8, 0.51), ("text", 16, 0.04))
"""Kinds of samples, samples per step, share of the steps."""


def train_tokenizer(output: Path, conversations: Conversations) -> None:
    """Train a byte-level BPE, which any text survives, and save it as a tokenizer that adds BOS by itself."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(conversations.texts(np.random.default_rng(0), 2000), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", SPECIAL.index("<s>"))]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(output)


def new_llm(vocabulary: int) -> LlamaForCausalLM:
    """A Llama of 2.5 million parameters."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
            intermediate_size=8 * WIDTH // 3,
            num_hidden_layers=LAYERS,
            num_attention_heads=WIDTH // 32,
            num_key_value_heads=WIDTH // 32,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            initializer_range=0.05,
            bos_token_id=SPECIAL.index("<s>"),
            eos_token_id=SPECIAL.index("</s>"),
            pad_token_id=SPECIAL.index("<pad>"),
        )
    )


class BatchBuilder:
    """Turns samples into embeddings, labels and positions."""

    def __init__(self, llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
        self.llm, self.tokenizer = llm, tokenizer
        self._ids: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids without BOS; remembered, for most texts come again."""
        if text not in self._ids:
            self._ids[text] = self.tokenizer(text, add_special_tokens=False).input_ids
        return self._ids[text]

    def bags(self, bags: Sequence[Sequence[str]], rng: np.random.Generator) -> Tensor:
        """Vectors ``[len(bags), C]``: sums of word embeddings at a random scale, with a little noise."""
        table = self.llm.get_input_embeddings().weight
        mix = torch.zeros(len(bags), len(table))
        for row, words in enumerate(bags):
            for word in words:
                mix[row, self.ids(f" {word}")] += 1.0
        scale = torch.from_numpy(rng.uniform(0.6, 1.6, (len(bags), 1))).float()
        noise = torch.from_numpy(rng.standard_normal((len(bags), table.shape[1]))).float()
        mix, scale, noise = (value.to(table.device) for value in (mix, scale, noise))
        return scale * (mix @ table) + 0.35 * table.detach().std() * noise

    def build(self, samples: Sequence[Sample], rng: np.random.Generator) -> dict[str, Tensor]:
        """Inputs of the language model, padded on the right, and ``labels``, which only answers have."""
        pad, rows, labels, positions, bags, places = SPECIAL.index("<pad>"), [], [], [], [], []
        for row, sample in enumerate(samples):
            ids, wanted, jump = [SPECIAL.index("<s>")], [IGNORE_INDEX], 0
            for number, part in enumerate(sample.parts):
                if isinstance(part, str):
                    its_ids = self.ids(part)
                    ids += its_ids
                    wanted += its_ids if number in sample.answers else [IGNORE_INDEX] * len(its_ids)
                    continue
                places += [(row, len(ids) + i) for i in range(len(part))]
                bags += part
                ids += [pad] * len(part)
                wanted += [IGNORE_INDEX] * len(part)
                jump = jump or len(ids)
            labels.append(wanted)
            rows.append(ids)
            positions.append([i + (sample.gap if i >= jump else 0) for i in range(len(ids))])
        device = self.llm.device
        embeds = self.llm.get_input_embeddings()(_padded(rows, pad).to(device))
        if bags:
            embeds = embeds.index_put(torch.tensor(places, device=device).unbind(1), self.bags(bags, rng))
        batch = {"inputs_embeds": embeds, "labels": _padded(labels, IGNORE_INDEX).to(device)}
        if any(sample.gap for sample in samples):
            # Without a mask a gap would be read as the border between two packed sequences.
            mask = _padded([[1] * len(row) for row in rows], 0)
            batch |= {"attention_mask": mask.to(device), "position_ids": _padded(positions, 0).to(device)}
        return batch

    def loss(self, samples: Sequence[Sample], rng: np.random.Generator) -> Tensor:
        """Mean loss of the answers' tokens; logits are computed there only."""
        batch = self.build(samples, rng)
        following = batch.pop("labels")[:, 1:]
        hidden = self.llm.model(**batch, use_cache=False).last_hidden_state[:, :-1]
        learned = following != IGNORE_INDEX
        return functional.cross_entropy(self.llm.lm_head(hidden[learned]), following[learned])


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def train_llm(
    output: Path, cache: Path, *, steps: int, scenes: int, side: int, device: str = "cpu", workers: int = 1
) -> None:
    """Train tokenizer and language model, on text alone and from the last state if there is one, and save them.

    Args:
        output: Folder of both.
        cache: Folder of scenes and of the training state.
        steps: Steps in all; the learning rate falls to zero over the last of them.
        scenes: Number of scenes whose texts are used.
        side: Side of the pictures beside the texts.
        device: Where to train.
        workers: Processes that draw scenes.
    """
    texts = list(load_texts(cache, seed=TRAINING_SEED, count=scenes, side=side, workers=workers))
    conversations = Conversations(texts)
    train_tokenizer(output, conversations)
    tokenizer = AutoTokenizer.from_pretrained(output)
    llm = new_llm(len(tokenizer)).train().to(device)
    builder, optimizers = BatchBuilder(llm, tokenizer), make_optimizers(llm)
    state = TrainingState(cache / "llm.pt", {"llm": llm}, optimizers)
    recent: dict[str, float] = {}
    since = time.monotonic()
    for step in range(state.load(), steps):
        set_rate(optimizers, 3e-3 * trapezoid(step, steps))
        rng = np.random.default_rng([1, step])
        name, batch, _ = _MIX[rng.choice(len(_MIX), p=[share for _, _, share in _MIX])]
        loss = builder.loss([getattr(conversations, name)(rng) for _ in range(batch)], rng)
        loss.backward()
        descend(optimizers, list(llm.parameters()))
        recent[name] = 0.95 * recent.get(name, loss.item()) + 0.05 * loss.item()
        if (step + 1) % 50 == 0:
            losses = ", ".join(f"{key} {value:.3f}" for key, value in sorted(recent.items()))
            speed = 50 / (time.monotonic() - since)
            print(f"llm: {step + 1}/{steps}, loss {losses}, {speed:.2f} steps/s", flush=True)
            since = time.monotonic()
        state.save_now_and_then(step + 1)
    state.save(steps)
    llm = llm.cpu().eval()
    saved = LlamaForCausalLM(llm.config)
    saved.load_state_dict(llm.state_dict())
    saved.to(torch.bfloat16).save_pretrained(output)
    held_out = Conversations(list(load_texts(cache, seed=PROBE_SEED, count=500, side=side, workers=workers)))
    print("probe:", json.dumps(steering_probe(BatchBuilder(llm, tokenizer), held_out)), flush=True)


@torch.no_grad()
def steering_probe(builder: BatchBuilder, conversations: Conversations, count: int = 100) -> dict[str, float]:
    """Share of an object's words that the model says when it is told them by two bags, per attribute."""
    rng = np.random.default_rng(3)
    known = vocabulary({name: word} for name, words in WORDS.items() for word in words)
    marks: list[dict[str, bool]] = []
    while len(marks) < count:
        sample = conversations.region(rng, turns=1)
        if len(sample.parts) != 4:
            continue  # not told by bags
        inputs = builder.build([Sample(sample.parts[:3], ())], rng)["inputs_embeds"]
        ids = builder.llm.generate(inputs_embeds=inputs, max_new_tokens=60, do_sample=False)
        answer = builder.tokenizer.decode(ids[0], skip_special_tokens=True)
        marks.append(check_attributes(answer, sample.objects[0], known))
    return {name: round(sum(mark[name] for mark in marks) / count, 3) for name in marks[0]}
