"""Emotions in face and voice: facial actions after the Facial Action Coding System
(FACS), prosody, and the strength of each level.
"""

from dataclasses import dataclass, fields, replace

from eadbench.core.emotions import EMOTIONS


@dataclass(frozen=True)
class Expression:
    """Facial actions; 0 is rest, 1 (or -1) the strongest. The numbers in brackets are
    FACS action units.

    Attributes:
        brow_in: Inner brow up (1) or down (4).
        brow_out: Outer brow up (2) or down.
        brow_asym: One brow higher than the other.
        furrow: Brows drawn together (4).
        lid: Upper lid raised (5) or drooping.
        slant: Lid slanting down towards the nose (anger) or, negative, towards the
            temple (sorrow).
        squint: Lower lid raised (6, 7).
        corner: Mouth corners up (12) or down (15).
        asym: One corner up (14).
        stretch: Mouth wide (20) or narrow.
        open: Mouth open at rest (25, 26).
        upper: Upper lip raised (10).
        lower: Lower lip pulled down (16).
        press: Lips pressed thin (23, 24).
        chin: Chin raised, dimpled (17).
        nose: Nose wrinkled (9).
        cheek: Cheeks raised (6).
        fold: Nasolabial fold.
        fold_asym: The fold on one side only.
        forehead: Wrinkles across the forehead (1 + 2).
        pitch: Head down (positive) or up, in units of 6 degrees.
        roll: Head tilted, in units of 6 degrees.
        yaw: Head turned away, in units of 6 degrees.
    """

    brow_in: float = 0.0
    brow_out: float = 0.0
    brow_asym: float = 0.0
    furrow: float = 0.0
    lid: float = 0.0
    slant: float = 0.0
    squint: float = 0.0
    corner: float = 0.0
    asym: float = 0.0
    stretch: float = 0.0
    open: float = 0.0
    upper: float = 0.0
    lower: float = 0.0
    press: float = 0.0
    chin: float = 0.0
    nose: float = 0.0
    cheek: float = 0.0
    fold: float = 0.0
    fold_asym: float = 0.0
    forehead: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    yaw: float = 0.0

    def times(self, weight: float) -> "Expression":
        """All actions scaled."""
        return Expression(*(getattr(self, f.name) * weight for f in fields(self)))

    def mixed(self, other: "Expression", share: float) -> "Expression":
        """``1 - share`` of this one and ``share`` of the other."""
        return Expression(
            *(getattr(self, f.name) * (1 - share) + getattr(other, f.name) * share for f in fields(self))
        )

    def mirrored(self) -> "Expression":
        """The same with left and right exchanged."""
        return replace(
            self,
            brow_asym=-self.brow_asym,
            asym=-self.asym,
            fold_asym=-self.fold_asym,
            roll=-self.roll,
            yaw=-self.yaw,
        )


@dataclass(frozen=True)
class Prosody:
    """Changes of the voice at full strength: rate in words per minute, pitch and pitch
    range in espeak-ng's 0..99, gain in dB.
    """

    rate: float = 0.0
    pitch: float = 0.0
    range: float = 0.0
    gain: float = 0.0
    articulation: float = 1.0


EXPRESSIONS = {
    "neutral": Expression(),
    "happy": Expression(
        brow_in=0.2, brow_out=0.25, squint=0.8, corner=1.0, stretch=0.45, open=0.1, upper=0.35, cheek=1.0,
        fold=0.8,
        lid=-0.1, roll=0.25, pitch=-0.2,
    ),
    "sad": Expression(
        brow_in=1.0, brow_out=-0.75, furrow=0.4, lid=-0.55, slant=-0.9, corner=-1.0, stretch=-0.15, chin=0.9,
        fold=0.35, forehead=0.35,
        pitch=0.8, roll=0.4,
    ),
    "angry": Expression(
        brow_in=-1.0, brow_out=0.35, furrow=1.0, lid=0.2, slant=1.0, squint=0.5, corner=-0.45, stretch=-0.05,
        upper=0.1, press=0.75, nose=0.35, fold=0.45,
        chin=0.4, pitch=0.45,
    ),
    "fear": Expression(
        brow_in=1.0, brow_out=0.35, furrow=0.6, lid=0.85, slant=-0.3, corner=-0.5, stretch=0.55, open=0.22,
        lower=0.8,
        forehead=0.75, pitch=-0.3, yaw=0.5,
    ),
    "disgust": Expression(
        brow_in=-0.6, brow_out=-0.25, furrow=0.55, lid=-0.4, slant=0.4, squint=0.9, corner=-0.55, open=0.05,
        upper=1.0,
        nose=1.0, cheek=0.55, fold=1.0,
        chin=0.4, pitch=-0.2, yaw=0.7, roll=-0.2,
    ),
    "surprise": Expression(brow_in=1.1, brow_out=1.2, lid=1.0, open=0.5, stretch=-0.3, forehead=1.0,
    pitch=-0.35),
    "contempt": Expression(
        brow_in=-0.2, brow_out=0.3, brow_asym=0.7, lid=-0.5, squint=0.25, corner=0.1, asym=1.0, press=0.45,
        fold_asym=1.0, pitch=-0.6, roll=-0.6, yaw=-0.3,
    ),
    "calm": Expression(brow_out=0.15, lid=-0.25, squint=0.15, corner=0.35, stretch=0.1, cheek=0.25, fold=0.1),
}  # fmt: skip

PROSODIES = {
    "neutral": Prosody(),
    "happy": Prosody(rate=14, pitch=16, range=35, gain=2.0, articulation=1.1),
    "sad": Prosody(rate=-34, pitch=-14, range=-28, gain=-5.0, articulation=0.8),
    "angry": Prosody(rate=20, pitch=8, range=30, gain=5.0, articulation=1.2),
    "fear": Prosody(rate=30, pitch=24, range=10, gain=-1.0, articulation=0.95),
    "disgust": Prosody(rate=-20, pitch=-9, range=5, gain=0.0, articulation=1.0),
    "surprise": Prosody(rate=6, pitch=24, range=48, gain=3.0, articulation=1.15),
    "contempt": Prosody(rate=-16, pitch=-7, range=-14, gain=-1.5, articulation=0.9),
    "calm": Prosody(rate=-12, pitch=-4, range=-10, gain=-2.0, articulation=0.95),
}
STRENGTH = {1: 0.5, 2: 0.75, 3: 1.0}

assert set(EXPRESSIONS) == set(PROSODIES) == set(EMOTIONS)
