"""Hair: outline, strands, highlights, and its shadow on the skin."""

from functools import cached_property

import cv2
import numpy as np

from eadbench.synthetic.canvas import Light, Silhouette, noise
from eadbench.synthetic.cast import Actor

# style -> thickness above the crown and at the sides, how far down the sides reach (y),
# whether strands curl
STYLES = {
    "short": (9, 5, 112, False), "side": (12, 5, 112, False), "crew": (5, 2.5, 106, False),
    "bald": (0, 0, 0, False), "receding": (5, 4, 112, False),
    "curly": (16, 11, 116, True), "afro": (26, 24, 138, True), "medium": (13, 10, 150, False),
    "fringe": (12, 7, 122, False),
    "long": (11, 12, 300, False), "bob": (12, 13, 206, False), "curly_long": (15, 19, 250, True),
    "bun": (7, 3, 110, False),
    "fringe_long": (11, 12, 290, False),
    "side_long": (13, 12, 300, False),
}  # fmt: skip
LONG = ("long", "bob", "curly_long", "fringe_long", "side_long", "medium", "afro")


class Hair:
    """Hair of one actor around a head."""

    def __init__(self, actor: Actor, head: Silhouette, rng: np.random.Generator) -> None:
        self.actor, self.head = actor, head
        self.top, self.side, self.end, self.curly = STYLES[actor.hair]
        self.over_shoulders = actor.hair in LONG
        parting = {"side": -22.0, "side_long": -20.0, "medium": 14.0}.get(actor.hair, 0.0)
        self.parting = parting * (1 if rng.random() < 0.5 else -1)
        shape = head.x.shape
        d = head.canvas.density
        self._strand_noise = noise((512, 128), 0.6, rng)
        self._fine_noise = noise((512, 128), 0.35, rng)
        self._edge = noise(shape, (3.0 if self.curly else 1.6) * d, rng)
        curl = noise(shape, 1.7 * d, rng) - noise(shape, 4.0 * d, rng)
        self._curl = 1 - np.clip(np.abs(curl), 0, 2)
        self._tip = np.interp(head.x, np.linspace(-90, 90, 91), rng.normal(0, 1, 91)).astype(np.float32)

    @cached_property
    def _outer(self) -> np.ndarray:
        """Signed distance in units to the hair's outline, positive inside."""
        h = self.head
        up = (1 - np.cos(h.angle)) / 2
        thickness = self.side + (self.top - self.side) * np.clip((up - 0.5) * 2, 0, 1) ** 1.5
        reach = h.radius + thickness * np.clip(up * 3.2, 0, 1)
        inside = reach - h.rho * h.radius
        if self.over_shoulders:
            wide = (
                self.actor.half_width
                + self.side
                + 0.06 * np.clip(h.y - 120, 0, None) * (1.6 if self.curly else 0.7)
            )
            taper = wide - 0.004 * np.clip(h.y - self.end + 60, 0, None) ** 2
            inside = np.where(
                h.y > 118,
                np.minimum(np.maximum(taper - h.ax, -50), (self.end - h.y) + 2.5 * self._tip),
                inside,
            )
        return inside + (1.6 if self.curly else 0.2) * self._edge

    @cached_property
    def _hairline(self) -> np.ndarray:
        """Y of the front edge of the hair over the forehead."""
        a, h = self.actor, self.head
        x = h.x - self.parting * 0.25
        line = (
            a.hairline
            + 0.004 * x**2
            + 0.0000022 * np.abs(x) ** 4
            + 1.2 * self._tip * (0.3 if self.curly else 0.7)
        )
        if a.hair == "receding":
            line = a.hairline - 14 + 14 * np.exp(-((x / 11) ** 2)) * 0.4 + 0.011 * x**2
        if a.hair in ("fringe", "fringe_long"):
            line = 82 + 0.002 * x**2 + 2.2 * self._tip
        if a.hair in ("side", "side_long"):
            line = (
                a.hairline
                - 2
                + 0.006 * x**2
                + 9 * np.tanh((h.x - self.parting) * -np.sign(self.parting) / 18)
                + 1.0 * self._tip
            )
        if a.hair == "long":
            line = a.hairline - 4 + 0.012 * x**2 + 0.6 * self._tip
        return line

    @cached_property
    def front(self) -> np.ndarray:
        """Coverage of the hair before face and ears, 0..1."""
        a, h = self.actor, self.head
        d = h.canvas.density
        if a.hair == "bald":
            return np.zeros_like(h.x)
        soft = 0.35 if self.curly else 0.5
        over_forehead = (self._hairline - h.y) * soft
        inset = {
            "long": 3.0,
            "side_long": 3.0,
            "fringe_long": 5.0,
            "bob": 6.0,
            "curly_long": 2.0,
            "medium": 0.0,
            "afro": 0.0,
        }.get(a.hair, -1.0)
        flare = (-0.02 if a.hair == "bob" else 0.02) * np.clip(h.y - 120, 0, None)
        beside = (h.ax - (a.half_width * 0.985 - inset + flare + 0.6 * self._tip)) * 0.7
        # sideburns: within the face's edge, down to the ear
        sideburns = np.minimum((h.ax - a.half_width * 0.91) * 0.5, (min(self.end, 122) - h.y) * 0.35)
        mask = np.maximum(over_forehead, np.minimum(beside, (self.end - h.y) * 0.4 + self._tip))
        if a.hair not in ("bun", "receding", "crew"):
            mask = np.maximum(mask, sideburns)
        mask = np.minimum(mask * 1.0, self._outer * 0.8)
        return np.clip(mask * d + 0.5, 0, 1).astype(np.float32)

    @cached_property
    def back(self) -> np.ndarray:
        """Coverage of the hair behind the neck."""
        h = self.head
        if self.actor.hair == "bald":
            return np.zeros_like(h.x)
        cover = np.clip(self._outer * h.canvas.density * 0.7 + 0.5, 0, 1)
        if self.actor.hair == "bun":
            knot = 17 - np.hypot(h.x, (h.y - self.actor.crown + 10) * 1.15)
            cover = np.maximum(cover, np.clip(knot * h.canvas.density * 0.7 + 0.5, 0, 1))
        if self.over_shoulders:
            return cover
        return cover * np.clip((128 - h.y) * 0.3 - 0.08 * h.ax + 5, 0, 1)

    @cached_property
    def strands(self) -> np.ndarray:
        """Brightness pattern of the strands, about -1..1."""
        h = self.head
        if self.curly:
            return (self._curl - 0.4).astype(np.float32)
        px, py = self.parting, self.actor.crown + 4
        angle = np.arctan2(h.x - px, -(h.y - py) + 18)
        distance = np.hypot(h.x - px, h.y - py)
        hanging = np.clip((h.y - 100) / 50, 0, 1)
        away = (
            angle * 62 * (1 - hanging)
            + (h.x * 1.15 + 62 * np.sign(h.x)) * hanging
            + 2.2 * np.sin(distance / 17)
        )
        t = np.mod(distance / 9.0, 128).astype(np.float32)

        def pattern(texture: np.ndarray, per: float, stretch: float) -> np.ndarray:
            s = np.mod(away * per + 512, 512).astype(np.float32)
            return cv2.remap(
                texture.T.copy(), s, t * np.float32(stretch), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
            )

        # fine strands fade towards the crown, where they would fall between the pixels
        coarse, fine = pattern(self._strand_noise, 0.45, 1.0), pattern(self._fine_noise, 1.1, 0.6)
        far = np.clip((distance - 8) / 40, 0, 1)
        return ((0.65 * coarse) * (0.25 + 0.75 * far) + 0.45 * fine * far).astype(np.float32)

    @cached_property
    def shadow(self) -> np.ndarray:
        """Factor on the skin's light below the hair's edge."""
        h = self.head
        soft = cv2.GaussianBlur(
            np.roll(self.front, round(3 * h.canvas.density), axis=0), (0, 0), 5.5 * h.canvas.density
        )
        return (1 - 0.42 * soft).astype(np.float32)

    def lit(self, light: Light) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Back and front hair: colour ``(H, W, 3)`` and coverage ``(H, W)`` each."""
        h, a = self.head, self.actor
        colour = np.array(a.hair_colour, np.float32)
        lx, ly, _ = light.direction
        r = np.hypot(h.x, h.y - 112) / (a.half_width + self.side)
        dome = np.clip(
            1.08
            - 0.42 * np.clip(r - 0.25, 0, 1.2) ** 2
            + 0.24 * (h.x / 70) * lx
            - 0.16 * ((h.y - 110) / 90) * -ly,
            0.35,
            1.4,
        )
        # in fair hair dark gaps would look like spots
        contrast = 0.34 - 0.20 * float(colour.mean()) / 255 if self.curly else 0.24
        texture = 1 + contrast * self.strands
        band = np.exp(-(((np.hypot(h.x - 24 * lx, (h.y - 84) * 1.05) - 44) / 9) ** 2)) * (h.y < 100)
        band = band + 0.45 * np.exp(-(((h.y - 150 - 0.1 * h.ax) / 16) ** 2)) * (h.ax > a.half_width * 0.9)
        gloss = band * np.clip(0.5 + 0.6 * self.strands, 0, 1.4) * (0.35 if self.curly else 1.0)
        lit = colour * (dome * texture)[..., None] + gloss[..., None] * (18 + 0.30 * colour) * light.tint
        edge = cv2.GaussianBlur(self.front, (0, 0), 2.5 * h.canvas.density)
        front = lit * (0.80 + 0.20 * np.clip(edge * 1.3, 0, 1))[..., None]
        depth = 0.62 - 0.2 * np.clip((h.y - 150) / 60, 0, 1) * (h.ax < a.half_width * 0.8)
        return (lit * depth[..., None] if self.over_shoulders else lit, self.back), (front, self.front)
