"""Caption scores of a whole corpus: BLEU, METEOR, ROUGE-L, CIDEr and SPICE, as pycocoevalcap defines them.

The Java programs that pycocoevalcap ships are driven from here: its own wrappers write into the installed package,
take the machine's character set, and leave METEOR's process behind. The definitions, the jars and so the numbers are
pycocoevalcap's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

logger = logging.getLogger(__name__)

CAPTION_METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "SPICE")

_TOKENIZER_JAR = "tokenizer/stanford-corenlp-3.4.1.jar"
_METEOR_JAR = "meteor/meteor-1.5.jar"
_SPICE_MODELS = ("spice/lib/stanford-corenlp-3.6.0.jar", "spice/lib/stanford-corenlp-3.6.0-models.jar")
# Java's default character set follows the locale, and a C locale turns every accent into a question mark.
_JAVA = ("java", "-Dfile.encoding=UTF-8")


@dataclass(frozen=True, slots=True)
class CaptionScores:
    """Scores of one corpus.

    Attributes:
        corpus: Each name of ``CAPTION_METRICS`` to its score (``CIDEr`` in 0..10, the others in 0..1), None where it
            could not be computed.
        per_item: The names that have a score for each item, in the order of the items. Absent where ``corpus`` is None.
        reasons: For each name whose score is None, why.
    """

    corpus: dict[str, float | None]
    per_item: dict[str, list[float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def unavailable(cls, reason: str) -> CaptionScores:
        """No score at all, each for the same reason."""
        return cls(dict.fromkeys(CAPTION_METRICS), {}, dict.fromkeys(CAPTION_METRICS, reason))


def unavailable_reason() -> str | None:
    """Why no caption score can be computed on this machine, in words; None when they can."""
    if _package_folder() is None:
        return "pycocoevalcap is not installed: pip install 'mgimm-plugin[eval]'"
    if shutil.which("java") is None:
        return "no java on the PATH: pycocoevalcap's tokenizer and METEOR are Java programs (any JRE from 8 on)"
    return None


def spice_unavailable_reason() -> str | None:
    """Why SPICE cannot be computed here; None when it can. Its models are never downloaded from here."""
    folder = _package_folder()
    if folder is None:
        return unavailable_reason()
    missing = [name for name in _SPICE_MODELS if not (folder / name).is_file()]
    if missing:
        return f"its models are not installed ({', '.join(missing)} missing from the pycocoevalcap package)"
    return None


def score_captions(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Score one prediction per item against that item's references, the document frequencies taken over all items.

    Args:
        predictions: One text per item; an empty one scores 0.
        references: One or more texts per item, same order.

    Returns:
        The scores. Without Java or pycocoevalcap every score is None with the reason, and nothing is raised.

    Raises:
        ValueError: Different numbers of items, or an item without a reference.
    """
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} lists of references")
    for index, texts in enumerate(references):
        if not texts:
            raise ValueError(f"item {index} has no reference")
    if not predictions:
        return CaptionScores.unavailable("no item has a reference answer")
    reason = unavailable_reason()
    if reason is not None:
        return CaptionScores.unavailable(reason)
    try:
        hypotheses, grouped = _tokenize_all(predictions, references)
    except (OSError, subprocess.SubprocessError) as error:
        return CaptionScores.unavailable(f"the Java tokenizer failed: {_java_failure(error)}")
    if not any(text for texts in grouped for text in texts):
        return CaptionScores.unavailable("no reference answer contains a word")
    return _score_tokens(hypotheses, grouped)


def _package_folder() -> Path | None:
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _java_failure(error: Exception) -> str:
    """The last line that a Java program said, or what the operating system said about starting it."""
    stderr = getattr(error, "stderr", None)
    if isinstance(stderr, bytes):
        stderr = stderr.decode("utf-8", "replace")
    lines = (stderr or "").strip().splitlines()
    return lines[-1] if lines else str(error)


def _tokenize_all(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Tokenize every text with one start of Java and deal the lines out again."""
    tokenized = iter(tokenize([*predictions, *(text for texts in references for text in texts)]))
    hypotheses = [next(tokenized) for _ in predictions]
    return hypotheses, [[next(tokenized) for _ in texts] for texts in references]


def tokenize(texts: Sequence[str]) -> list[str]:
    """Penn Treebank tokens of each text, lower case, punctuation removed, joined by spaces (COCO's preparation).

    Raises:
        subprocess.CalledProcessError, OSError: Java did not run.
    """
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS

    folder = _package_folder()
    assert folder is not None
    # Java breaks lines at more characters than "\n"; str.split knows them all, so that a text stays one line.
    lines = [" ".join(text.split()) for text in texts]
    command = [*_JAVA, "-cp", str(folder / _TOKENIZER_JAR), "edu.stanford.nlp.process.PTBTokenizer"]
    done = subprocess.run(
        [*command, "-preserveLines", "-lowerCase"],
        input="".join(f"{line}\n" for line in lines).encode(),
        capture_output=True,
        check=True,
    )
    tokenized = done.stdout.decode().split("\n")[: len(lines)]
    if len(tokenized) != len(lines):
        raise subprocess.SubprocessError(f"{len(tokenized)} lines came back for {len(lines)} texts")
    return [" ".join(word for word in line.split() if word not in PUNCTUATIONS) for line in tokenized]


def _score_tokens(hypotheses: list[str], references: list[list[str]]) -> CaptionScores:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    truth: dict[int, list[str]] = dict(enumerate(references))
    answers: dict[int, list[str]] = {index: [text] for index, text in enumerate(hypotheses)}
    scores = CaptionScores(dict.fromkeys(CAPTION_METRICS))

    bleu, bleu_items = Bleu(4).compute_score(truth, answers, verbose=0)
    for order in range(4):
        scores.corpus[f"BLEU-{order + 1}"] = float(bleu[order])
        scores.per_item[f"BLEU-{order + 1}"] = [float(value) for value in bleu_items[order]]

    def keep(name: str, compute: Callable[[], tuple[float, Sequence[float]]]) -> None:
        try:
            corpus, items = compute()
        except (OSError, subprocess.SubprocessError, RuntimeError) as error:
            scores.reasons[name] = f"{name} failed: {_java_failure(error)}"
            return
        scores.corpus[name] = float(corpus)
        scores.per_item[name] = [float(value) for value in items]

    keep("ROUGE-L", lambda: Rouge().compute_score(truth, answers))
    keep("CIDEr", lambda: Cider().compute_score(truth, answers))
    keep("METEOR", lambda: meteor(hypotheses, references))
    no_spice = spice_unavailable_reason()
    if no_spice is None:
        keep("SPICE", lambda: _spice(truth, answers))
    else:
        scores.reasons["SPICE"] = no_spice
    return scores


def meteor(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
    """METEOR 1.5 of tokenized texts: the corpus score and one per item, both in 0..1.

    Raises:
        RuntimeError: The program ended early.
        OSError: It could not be started.
    """
    folder = _package_folder()
    assert folder is not None
    command = [*_JAVA, "-Xmx2G", "-jar", str(folder / _METEOR_JAR), "-", "-", "-stdio", "-l", "en", "-norm"]
    # stderr goes nowhere: an unread pipe would fill up and stop the program for good.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def answer() -> str:
        line = stdout.readline()
        if not line:
            raise RuntimeError("METEOR's Java program ended early")
        return line.strip()

    try:
        statistics = []
        for hypothesis, texts in zip(hypotheses, references, strict=True):
            parts = ["SCORE", *(_without_separator(text) for text in texts), _without_separator(hypothesis)]
            stdin.write(" ||| ".join(parts) + "\n")
            stdin.flush()
            statistics.append(answer())
        stdin.write(" ||| ".join(["EVAL", *statistics]) + "\n")
        stdin.flush()
        items = [float(answer()) for _ in hypotheses]
        return float(answer()), items
    except BrokenPipeError as error:
        raise RuntimeError("METEOR's Java program ended early") from error
    finally:
        process.kill()
        process.wait()
        stdout.close()
        with contextlib.suppress(BrokenPipeError):  # words it never took; the reason is already on its way
            stdin.close()


def _without_separator(text: str) -> str:
    """METEOR's line protocol separates its fields by ``|||``."""
    return " ".join(text.replace("|||", " ").split())


def _spice(truth: dict[int, list[str]], answers: dict[int, list[str]]) -> tuple[float, list[float]]:
    """SPICE of tokenized texts; its mean is over the items that have one, and the others have 0 of their own.

    Raises:
        RuntimeError: What the program wrote cannot be read, or no item has a score.
    """
    from pycocoevalcap.spice.spice import Spice

    try:
        _, items = Spice().compute_score(truth, answers)
        # Spice orders its items by key, and the keys are the positions.
        values = [float(item["All"]["f"]) for item in items]
    except (ValueError, KeyError) as error:
        raise RuntimeError(f"what its program wrote cannot be read: {error!r}") from error
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        raise RuntimeError("its program gave no item a score")
    if len(finite) < len(values):
        logger.warning(
            "SPICE has no score for %d of %d answers; its mean leaves them out", len(values) - len(finite), len(values)
        )
    return fmean(finite), [value if math.isfinite(value) else 0.0 for value in values]
