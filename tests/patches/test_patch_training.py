import inspect
import json
from types import SimpleNamespace

import pytest


def test_training_can_be_imported(run_python):
    """Unpatched, a name that it imports from transformers is gone."""
    code = (
        "try: import llava.train.train\n"
        "except ImportError as error: assert 'ALL_LAYERNORM_LAYERS' in str(error)\n"
        "else: raise SystemExit('not needed')\n"
        "import mgimm_patches; mgimm_patches.apply_all(); import llava.train.train"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_todays_trainer_takes_no_tokenizer():
    from transformers import Trainer

    assert "tokenizer" not in inspect.signature(Trainer.__init__).parameters
    assert "train_dataset" in inspect.signature(Trainer._get_train_sampler).parameters


@pytest.fixture
def training_arguments(tmp_path):
    from llava.train.train import TrainingArguments

    return TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, report_to=[], group_by_modality_length=True, remove_unused_columns=False
    )


def test_llava_trainer_takes_a_tokenizer_and_groups_by_length(llama_folder, tokenizer, training_arguments):
    from llava.train.llava_trainer import LengthGroupedSampler, LLaVATrainer
    from transformers import LlamaForCausalLM

    class Lengths(list):
        modality_lengths = (3, -4, 5, -6)

    trainer = LLaVATrainer(
        model=LlamaForCausalLM.from_pretrained(llama_folder),
        tokenizer=tokenizer,
        args=training_arguments,
        train_dataset=Lengths([{}] * 4),
    )
    assert trainer.processing_class is tokenizer
    sampler = trainer._get_train_sampler(trainer.train_dataset)
    assert isinstance(sampler, LengthGroupedSampler)
    assert sorted(sampler) == [0, 1, 2, 3]


def test_saving_under_deepspeed_needs_no_cuda(tmp_path):
    import torch
    from llava.train.train import safe_save_model_for_hf_trainer

    if torch.cuda.is_available():
        pytest.skip("there is CUDA here")
    saved = []
    arguments = SimpleNamespace(deepspeed="zero2.json", tune_mm_mlp_adapter=False)
    trainer = SimpleNamespace(args=arguments, deepspeed=object(), save_model=saved.append)
    safe_save_model_for_hf_trainer(trainer, str(tmp_path))
    assert saved == [str(tmp_path)]
    with pytest.raises((RuntimeError, AssertionError)):
        torch.cuda.synchronize()


@pytest.mark.parametrize(("model_type", "expected"), [("llama", False), ("mpt", True), ("llava_mpt", True)])
def test_mpt_is_told_by_the_models_type(tmp_path, model_type, expected):
    from llava.train import train

    folder = tmp_path / "attempt"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert train._mgimm_is_mpt(str(folder)) is expected
