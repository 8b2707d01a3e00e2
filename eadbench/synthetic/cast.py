"""The actors: an identity drawn from the seed and the name, the same whatever else is
filmed.
"""

from dataclasses import dataclass

import numpy as np

from eadbench.core.seeds import rng_for

# sRGB 0..255, from pale to dark
SKINS = (
    (243, 206, 182),
    (232, 188, 158),
    (222, 174, 138),
    (202, 152, 114),
    (176, 124, 88),
    (146, 100, 70),
    (116, 78, 54),
    (94, 62, 44),
)
HAIRS = {
    "black": (30, 26, 26), "dark brown": (58, 40, 30), "brown": (96, 64, 42), "chestnut": (124, 72, 42),
    "red": (158, 80, 40),
    "blond": (200, 160, 100), "grey": (150, 148, 146), "white": (212, 210, 206),
}  # fmt: skip
IRISES = ((92, 58, 32), (70, 44, 26), (110, 84, 48), (86, 110, 74), (84, 118, 150), (110, 134, 150))
CLOTHES = (
    (52, 62, 92),
    (120, 40, 48),
    (44, 84, 72),
    (86, 86, 92),
    (196, 190, 178),
    (146, 108, 62),
    (36, 38, 44),
    (104, 74, 112),
    (72, 112, 148),
)
MALE_HAIR = ("short", "side", "crew", "bald", "receding", "curly", "afro", "medium", "fringe")
FEMALE_HAIR = ("long", "bob", "curly_long", "bun", "fringe_long", "afro", "side_long", "short", "curly")
LANGUAGES = ("en-us", "en-gb-x-rp", "en-us", "en-gb-scotland", "en-029", "en-us")
# No variant with `breath` (f2, f3, f5 and others): espeak-ng gives them other samples
# in one call of four or so.
VARIANTS = {
    "male": ("m1", "m2", "m3", "m4", "m6", "m7", "m8"),
    "female": ("f1", "anika", "belinda", "f4", "Annie", "linda", "steph"),
}


@dataclass(frozen=True)
class Actor:
    """Everything that makes an identity. Lengths are in canonical units: the face lies
    in a square of 256, eyes at y = 115, mouth near 174.
    """

    name: str
    sex: str
    age: float
    skin: tuple[float, float, float]
    darkness: float
    hair: str
    hair_colour: tuple[float, float, float]
    beard: str
    iris: tuple[float, float, float]
    clothes: str
    clothes_colour: tuple[float, float, float]
    voice: str
    pitch: float
    rate: float
    half_width: float
    jaw: float
    chin: float
    chin_width: float
    crown: float
    hairline: float
    eye_distance: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    crease: float
    lashes: float
    brow_y: float
    brow_width: float
    brow_thick: float
    brow_arch: float
    brow_colour: tuple[float, float, float]
    nose_tip: float
    nose_width: float
    nose_bridge: float
    mouth_y: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    lip_colour: tuple[float, float, float]
    freckles: float
    neck: float
    ears: float


def _sex(name: str, rng: np.random.Generator) -> str:
    if name.startswith("Actor_"):
        return "male" if int(name[-2:]) % 2 else "female"
    if len(name) == 4 and name[0] in "MW" and name[1:].isdigit():
        return "male" if name[0] == "M" else "female"
    return "male" if rng.random() < 0.5 else "female"


def speaker_of(name: str) -> str:
    """Who appears in an HDTF video: its name without group and digits
    (``WDA/OliveMarsh1`` is OliveMarsh); ``Radio7`` and ids are speakers of their own.
    """
    name = name.rpartition("/")[2]
    short = name.rstrip("0123456789")
    return name if short in ("Radio", "M", "W", "Actor_") else short


def cast(seed: int, layout: str, name: str) -> Actor:
    """Draw an actor.

    Args:
        seed: The run's seed.
        layout: ``hdtf``, ``mead`` or ``ravdess``; the same name in another layout is
            another person.
        name: Id of the speaker or, for HDTF, of the video; MEAD's and RAVDESS's ids
            contain the sex.
    """
    name = speaker_of(name)
    rng = rng_for(seed, "studio", "actor", layout, name)
    u = rng.uniform
    sex = _sex(name, rng)
    male = sex == "male"
    tone = (len(SKINS) - 1) * u(0, 1) ** 1.3
    paler = int(tone)
    darker = min(paler + 1, len(SKINS) - 1)
    skin = np.array(SKINS[paler]) * (1 - tone + paler) + np.array(SKINS[darker]) * (tone - paler)
    skin = np.clip(skin * u(0.96, 1.03) + rng.normal(0, 3, 3), 30, 250)
    darkness = float(np.clip(1 - (skin.mean() - 60) / 150, 0, 1))
    age = float(rng.beta(1.3, 1.8))
    hair_colours = ["black", "dark brown", "brown", "chestnut", "blond", "red", "blond", "brown"]
    if age > 0.72:
        hair_colours = ["grey", "white"]
    elif tone > 4:
        hair_colours = ["black", "dark brown", "black"]
    hair_colour_name = hair_colours[int(u(0, len(hair_colours)))]
    hair_colour = np.array(HAIRS[hair_colour_name]) * u(0.88, 1.12)
    hair = (MALE_HAIR if male else FEMALE_HAIR)[int(u(0, 9))]
    if tone < 3.5 and hair == "afro":
        hair = "curly"
    beard = ["none", "none", "stubble", "full", "goatee", "moustache"][int(u(0, 6))] if male else "none"
    brow_colour = np.array(HAIRS["dark brown"]) * 0.6 + np.minimum(hair_colour, 120) * 0.4
    brow_colour = np.minimum(brow_colour, skin * 0.55)
    lip_tint = np.array([0.86, 0.60, 0.58]) if tone < 4.5 else np.array([0.92, 0.72, 0.74])
    lip_colour = skin * lip_tint + np.array([u(-6, 14), u(-8, 4), u(-8, 6)])
    if not male and u(0, 1) < 0.55:
        lipstick = np.array([(176, 52, 62), (196, 86, 92), (150, 44, 66)][int(u(0, 3))])
        lip_colour = lip_colour * 0.6 + lipstick * 0.4 * (0.75 if tone > 4.5 else 1)
    lip_factor = 1.25 if tone > 4.5 else 1.0
    return Actor(
        name=name, sex=sex, age=age, skin=tuple(skin), darkness=darkness, hair=hair,
        hair_colour=tuple(hair_colour), beard=beard,
        iris=IRISES[int(u(0, 2 if tone > 3.5 else 6))],
        clothes=["crew", "vneck", "shirt", "jacket", "turtle"][int(u(0, 5))],
        clothes_colour=tuple(np.array(CLOTHES[int(u(0, len(CLOTHES)))]) * u(0.85, 1.15)),
        voice=f"{LANGUAGES[int(u(0, len(LANGUAGES)))]}+{VARIANTS[sex][int(u(0, 7))]}",
        pitch=u(28, 48) if male else u(46, 66), rate=u(158, 178),
        half_width=u(58, 64) if male else u(55, 60), jaw=u(0.76, 0.88) if male else u(0.68, 0.78),
        chin=u(214, 221) if male else u(209, 215),
        chin_width=u(19, 26) if male else u(14, 20), crown=u(24, 31), hairline=u(58, 68),
        eye_distance=u(26, 29.5), eye_width=u(11.8, 13.4),
        eye_height=u(0.9, 1.12), eye_tilt=u(-0.10, 0.16), crease=u(0.2, 1.0),
        lashes=u(0.35, 0.55) if male else u(0.75, 1.1),
        brow_y=u(95, 99), brow_width=u(15, 18), brow_thick=u(3.0, 4.6) if male else u(2.0, 3.3),
        brow_arch=u(1.5, 4.0),
        brow_colour=tuple(brow_colour), nose_tip=u(142, 149),
        nose_width=u(9.8, 12.0) * (1.15 if tone > 4.5 else 1), nose_bridge=u(0.75, 1.2),
        mouth_y=u(173, 177), mouth_width=u(21, 25.5), lip_upper=u(3.4, 5.2) * lip_factor,
        lip_lower=u(5.0, 7.2) * lip_factor, lip_colour=tuple(np.clip(lip_colour, 20, 235)),
        freckles=float(u(0, 1) < 0.3) * u(0.3, 1.0) if tone < 2.5 else 0.0,
        neck=u(34, 40) if male else u(26, 31), ears=u(0.85, 1.15),
    )  # fmt: skip
