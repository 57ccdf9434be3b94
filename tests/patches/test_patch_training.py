import inspect


def test_unpatched_llava_training_cannot_be_imported(run_python):
    result = run_python("import llava.train.train")
    assert "ALL_LAYERNORM_LAYERS" in result.stderr


def test_training_can_be_imported(run_python):
    result = run_python("import mgimm_patches; mgimm_patches.apply_all(); import llava.train.train")
    assert result.returncode == 0, result.stderr


def test_todays_trainer_takes_no_tokenizer():
    from transformers import Trainer

    assert "tokenizer" not in inspect.signature(Trainer.__init__).parameters
    assert "train_dataset" in inspect.signature(Trainer._get_train_sampler).parameters
