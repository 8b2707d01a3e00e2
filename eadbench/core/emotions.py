"""One vocabulary for all corpora, and where its words lie in the valence-arousal plane."""

EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise", "contempt", "calm")

# Words of the corpora's own naming -> the common vocabulary.
SYNONYMS = {
    "disgusted": "disgust", "fearful": "fear", "surprised": "surprise", "happiness": "happy",
    "sadness": "sad", "anger": "angry",
}  # fmt: skip

# (valence, arousal) in [-1, 1] after Russell & Mehrabian 1977, "Evidence for a
# three-factor theory of emotions": pleasure and arousal of the nearest adjective
# (happy, sad, angry, fearful, disgusted, surprised, disdainful, relaxed). Quoted from
# memory, to be checked against the article; the sign of sad's arousal is ours (many
# later tables have it low).
VALENCE_AROUSAL = {
    "neutral": (0.0, 0.0), "happy": (0.81, 0.51), "sad": (-0.63, -0.27), "angry": (-0.51, 0.59),
    "fear": (-0.64, 0.60), "disgust": (-0.60, 0.35),
    "surprise": (0.40, 0.67), "contempt": (-0.32, -0.11), "calm": (0.68, -0.46),
}  # fmt: skip


def common_name(word: str) -> str:
    """Map a corpus's word to the common vocabulary.

    Raises:
        KeyError: If the word is unknown.
    """
    word = word.strip().lower()
    word = SYNONYMS.get(word, word)
    if word not in EMOTIONS:
        raise KeyError(f"unknown emotion {word!r}; known: {', '.join(EMOTIONS)}")
    return word


def valence_arousal_intensity(emotion: str, intensity: float = 1.0) -> tuple[float, float, float]:
    """The continuous condition of an emotion: its coordinates scaled by intensity, and
    the intensity (0 for neutral).
    """
    valence, arousal = VALENCE_AROUSAL[emotion]
    return valence * intensity, arousal * intensity, 0.0 if emotion == "neutral" else intensity
