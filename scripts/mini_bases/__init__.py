"""Parts of ``scripts/train_mini.sh``: the mini bases, the bundled model's scores and its card."""
