"""Steps of ``scripts/train_mini_bases.py``: scenes, tokenizer, language model and vision tower."""
