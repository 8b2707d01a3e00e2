"""Latent semantic analysis: words weighted by TF-IDF, reduced by a truncated SVD. Kept
as numbers and JSON.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

from eadbench.core.errors import EadbenchError
from eadbench.core.files import atomic_path, write_text

WEIGHTS, VOCABULARY = "lsa.safetensors", "lsa.json"
WORD = r"(?u)\b[a-z][a-z']+\b"


def _vectorizer(ngrams: int, **options) -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, ngrams), token_pattern=WORD, sublinear_tf=True, **options)


class Lsa:
    """Texts to unit vectors.

    Args:
        vocabulary: Word or n-gram to column.
        idf: Weights ``(V,)``.
        components: Directions ``(D, V)``.
        ngrams: Longest n-gram.
    """

    def __init__(
        self, vocabulary: dict[str, int], idf: np.ndarray, components: np.ndarray, ngrams: int
    ) -> None:
        self.ngrams, self.components = ngrams, components
        self.vectorizer = _vectorizer(ngrams, vocabulary=vocabulary)
        self.vectorizer.idf_ = idf

    @property
    def dim(self) -> int:
        return len(self.components)

    def embed(self, texts: list[str]) -> np.ndarray:
        """``(N, D)`` float32, L2-normalised; all zero for a text without a known word."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        vectors = np.asarray(self.vectorizer.transform(texts) @ self.components.T, np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def save(self, folder: Path) -> None:
        """Write ``lsa.safetensors`` and ``lsa.json``."""
        with atomic_path(folder / WEIGHTS) as part:
            save_file(
                {
                    "idf": np.asarray(self.vectorizer.idf_, np.float32),
                    "components": np.ascontiguousarray(self.components, np.float32),
                },
                part,
            )
        vocabulary = sorted(self.vectorizer.vocabulary_, key=self.vectorizer.vocabulary_.get)
        write_text(folder / VOCABULARY, json.dumps({"ngrams": self.ngrams, "vocabulary": vocabulary}) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Lsa":
        """Read what ``save`` wrote."""
        tensors = load_file(folder / WEIGHTS)
        spec = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        return cls(
            {word: k for k, word in enumerate(spec["vocabulary"])},
            tensors["idf"],
            tensors["components"],
            spec["ngrams"],
        )


def fit_lsa(texts: list[str], dim: int, ngrams: int, seed: int) -> tuple[Lsa, float]:
    """Fit on texts; returns the model and the share of variance that its components
    hold. One thread, so that the numbers repeat.

    Raises:
        EadbenchError: If the texts hold too few different words.
    """
    with threadpool_limits(1):
        vectorizer = _vectorizer(ngrams, min_df=2 if len(texts) > 20 else 1)
        try:
            weighted = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise EadbenchError(
                f"the captions share no words: {error}", f"{len(texts)} captions", "see the captions table"
            ) from error
        dim = min(dim, weighted.shape[1] - 1, weighted.shape[0] - 1)
        if dim < 1:
            raise EadbenchError(
                "too few different words to fit", f"{len(texts)} captions", "see the captions table"
            )
        svd = TruncatedSVD(dim, algorithm="randomized", n_iter=7, random_state=seed % 2**32).fit(weighted)
    lsa = Lsa(
        {w: int(k) for w, k in vectorizer.vocabulary_.items()},
        vectorizer.idf_.astype(np.float32),
        svd.components_.astype(np.float32),
        ngrams,
    )
    return lsa, float(svd.explained_variance_ratio_.sum())
