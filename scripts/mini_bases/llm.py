"""The mini tokenizer and the mini language model."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mgimm_plugin.constants import IGNORE_INDEX
from mgimm_plugin.data.scenes.mini.grammar import parse_attributes
from mini_bases.language import Sample, corpus_texts, sample_image, sample_region, sample_text
from mini_bases.optimizing import descend, make_optimizers, set_rate

VOCABULARY = 1200
CONTEXT = 1024
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")
# A word keeps its hyphens ("L-shaped" becomes one token) and its leading space; digits stand alone.
_PIECES = r" ?\p{L}+(?:-\p{L}+)*|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def train_tokenizer(output: Path) -> None:
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
    tokenizer.train_from_iterator(corpus_texts(np.random.default_rng(0), 1500), trainer)
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
    """A Llama of about a million parameters."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
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

    def __init__(self, llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.llm, self.tokenizer = llm, tokenizer
        self.rng = np.random.default_rng(seed)
        self._ids: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids without BOS; remembered, for most texts come again."""
        if text not in self._ids:
            self._ids[text] = self.tokenizer(text, add_special_tokens=False).input_ids
        return self._ids[text]

    def bags(self, bags: Sequence[Sequence[str]]) -> Tensor:
        """Vectors ``[len(bags), C]``: sums of word embeddings at a random scale, with a little noise."""
        table = self.llm.get_input_embeddings().weight
        mix = torch.zeros(len(bags), len(table))
        for row, words in enumerate(bags):
            for word in words:
                mix[row, self.ids(f" {word}")] += 1.0
        scale = torch.from_numpy(self.rng.uniform(0.6, 1.6, (len(bags), 1))).float()
        noise = torch.from_numpy(self.rng.standard_normal((len(bags), table.shape[1]))).float()
        return scale * (mix @ table) + 0.35 * table.detach().std() * noise

    def build(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Inputs of the language model, padded on the right; only answers carry labels."""
        pad, rows, labels, positions, bags, places = SPECIAL.index("<pad>"), [], [], [], [], []
        for row, sample in enumerate(samples):
            ids, jump = [SPECIAL.index("<s>")], 0
            for part in sample.parts:
                if isinstance(part, str):
                    ids += self.ids(part)
                    continue
                places += [(row, len(ids) + i) for i in range(len(part))]
                bags += part
                ids += [pad] * len(part)
                jump = jump or len(ids)
            answer = self.tokenizer(sample.answer, add_special_tokens=False).input_ids
            labels.append([IGNORE_INDEX] * len(ids) + answer)
            rows.append(ids + answer)
            positions.append([i + (sample.gap if i >= jump else 0) for i in range(len(rows[-1]))])
        embeds = self.llm.get_input_embeddings()(_padded(rows, pad))
        if bags:
            embeds = embeds.index_put(torch.tensor(places).unbind(1), self.bags(bags))
        batch = {"inputs_embeds": embeds, "labels": _padded(labels, IGNORE_INDEX)}
        if any(sample.gap for sample in samples):
            # Without a mask a gap would be read as the border between two packed sequences.
            mask = _padded([[1] * len(row) for row in rows], 0)
            batch |= {"attention_mask": mask, "position_ids": _padded(positions, 0)}
        return batch


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def train_llm(output: Path, cache: Path, *, minutes: float, resume: bool) -> None:
    """Train the language model for a given time, on text alone, and save it beside its tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(output)
    llm = new_llm(len(tokenizer)).train()
    state = cache / "llm.pt"
    if resume and state.exists():
        llm.load_state_dict(torch.load(state, weights_only=True))
    builder = BatchBuilder(llm, tokenizer, seed=4 if resume else 1)
    rng = np.random.default_rng(5 if resume else 2)
    optimizers = make_optimizers(llm)
    kinds = ((sample_region, 48, 0.55), (sample_image, 12, 0.38), (sample_text, 24, 0.07))
    start, step, recent = time.monotonic(), 0, {make.__name__: 0.0 for make, _, _ in kinds}
    while (spent := (time.monotonic() - start) / 60) < minutes:
        set_rate(optimizers, 3e-3 * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * spent / minutes)))
        make, batch, _ = kinds[rng.choice(len(kinds), p=[share for _, _, share in kinds])]
        loss = llm(**builder.build([make(rng) for _ in range(batch)]), use_cache=False).loss
        loss.backward()
        descend(optimizers, list(llm.parameters()))
        step += 1
        name = make.__name__
        recent[name] = loss.item() if recent[name] == 0 else 0.95 * recent[name] + 0.05 * loss.item()
        if step % 50 == 0:
            losses = ", ".join(f"{key.removeprefix('sample_')} {value:.3f}" for key, value in recent.items())
            print(f"llm: {spent:5.1f}/{minutes:g} min, step {step}, loss {losses}", flush=True)
        if step % 500 == 0:
            _save_state(state, llm)
    _save_state(state, llm)
    llm.eval()
    print("probe:", steering_probe(builder))
    saved = LlamaForCausalLM(llm.config)
    saved.load_state_dict(llm.state_dict())
    saved.to(torch.bfloat16).save_pretrained(output)


def _save_state(file: Path, llm: LlamaForCausalLM) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(llm.state_dict(), file.with_suffix(".partial"))
    file.with_suffix(".partial").replace(file)


@torch.no_grad()
def steering_probe(builder: BatchBuilder, count: int = 60) -> dict[str, float]:
    """Share of an object's words that the model says when it is told them by two bags, per attribute."""
    rng = np.random.default_rng(3)
    samples: list[Sample] = []
    while len(samples) < count:
        sample = sample_region(rng)
        if len(sample.parts) == 3:
            samples.append(sample)
    right: dict[str, int] = {}
    for sample in samples:
        inputs = builder.build([Sample(sample.parts, "")])["inputs_embeds"]
        ids = builder.llm.generate(inputs_embeds=inputs, max_new_tokens=40, do_sample=False)
        found = parse_attributes(builder.tokenizer.decode(ids[0], skip_special_tokens=True))
        for name, word in sample.objects[0].attributes.items():
            right[name] = right.get(name, 0) + (found.get(name) == word)
    return {name: round(value / count, 3) for name, value in right.items()}
