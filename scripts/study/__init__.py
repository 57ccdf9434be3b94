"""The study of ``docs/benchmark.md``: what is compared, how it is trained and asked, and how it is judged."""
