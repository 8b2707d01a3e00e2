"""Which text conditions a sample: the clip's own caption, its label's description, or another clip's caption.

A caption written from the very clip that is to be rendered (``target``) tells the model what the answer looks like. ``label`` and
``other_clip`` do not.
"""

from typing import Literal

import pandas as pd

from eadbench.captions.wording import label_text
from eadbench.core.errors import EadbenchError
from eadbench.core.seeds import rng_for

CaptionSource = Literal["target", "label", "other_clip"]


def text_for(
    captions: pd.DataFrame,
    clip_id: str,
    source: CaptionSource,
    seed: int,
    emotion: str | None = None,
    intensity: float | None = None,
    same_speaker: bool = False,
) -> str | None:
    """The text that conditions a sample; the same for the same arguments.

    Args:
        captions: Table of captions (`schemas.CAPTIONS`) of the corpus.
        clip_id: Clip that is rendered.
        source: Where the text comes from.
        seed: The run's seed.
        emotion: Emotion asked for; the clip's own if not given.
        intensity: Intensity asked for, for ``label``.
        same_speaker: Whether ``other_clip`` must be of the same speaker; else it must be of another one.

    Returns:
        The text, or ``None`` where there is none: the clip has no caption, no label, or no other clip fits.

    Raises:
        EadbenchError: If the clip is not in the table, or the target's caption is asked for with another emotion than it has.
    """
    found = captions[captions.clip_id == clip_id]
    if found.empty:
        raise EadbenchError("the clip has no row in the captions table", clip_id, "clips and captions must come from the same run")
    own = found.iloc[0]
    label = own.emotion if isinstance(own.emotion, str) else None
    wanted = emotion or label
    if source == "target":
        if wanted != label:
            raise EadbenchError(
                f"the caption of a clip labelled {label!r} cannot ask for {wanted!r}", clip_id, "use caption_source label or other_clip"
            )
        return own.caption if isinstance(own.caption, str) else None
    if wanted is None:
        return None
    if source == "label":
        return label_text(wanted, intensity)
    return _other_caption(captions, own, wanted, seed, same_speaker)


def _other_caption(captions: pd.DataFrame, own: pd.Series, emotion: str, seed: int, same_speaker: bool) -> str | None:
    """A caption, drawn by name, of another clip of that emotion."""
    same = captions.speaker == own.speaker
    fits = captions[(captions.clip_id != own.clip_id) & (captions.emotion == emotion) & captions.caption.notna() & (same if same_speaker else ~same)]
    fits = fits.sort_values("clip_id")
    return str(rng_for(seed, "captions", "other_clip", own.clip_id, emotion).choice(fits.caption.to_numpy())) if len(fits) else None
