"""The head without its moving parts: a height field for skin and skull, lit softly;
hair, neck, clothes. Drawn once per take, not per frame.
"""

from functools import cached_property

import numpy as np

from eadbench.synthetic.acting import Expression
from eadbench.synthetic.canvas import Canvas, Light, Silhouette, blur, bump, noise, smooth
from eadbench.synthetic.cast import Actor
from eadbench.synthetic.hair import Hair


class Head(Silhouette):
    """An actor's still parts on a canvas.

    Args:
        actor: Whose head.
        canvas: Where it is drawn.
        rng: For textures; seed it by the actor's name.
    """

    def __init__(self, actor: Actor, canvas: Canvas, rng: np.random.Generator) -> None:
        super().__init__(actor, canvas)
        x, d = self.x, canvas.density
        self.pores = noise(x.shape, 0.55 * d, rng)
        self.mottle = noise(x.shape, 3.2 * d, rng)
        self.patches = noise(x.shape, 11 * d, rng)
        self.freckle_map = np.clip(noise(x.shape, 0.9 * d, rng) - 1.5, 0, 1)
        self.stubble_map = np.clip(0.55 + 0.45 * noise(x.shape, 0.45 * d, rng), 0, 1)
        self.cloth_map = noise(x.shape, 1.0 * d, rng)
        self.folds = noise(x.shape, 13 * d, rng)
        self.hair = Hair(actor, self, rng)
        self.relief = self._relief()
        self.albedo = self._albedo()

    # ---- shape ----------------------------------------------------------------------

    @cached_property
    def skull(self) -> np.ndarray:
        """Smooth depth of the head towards the viewer in units, 0 at its outline;
        without features.
        """
        return (64 * np.sqrt(np.clip(1 - np.clip(self.rho, 0, 0.985) ** 2.4, 0, 1))).astype(np.float32)

    @cached_property
    def depth(self) -> np.ndarray:
        """Depth that turning the head moves pixels by: skull with the nose, smooth,
        hair included.
        """
        a, x, y = self.actor, self.x, self.y
        wide = np.clip(self.rho / 1.16, 0, 1)
        dome = 70 * np.sqrt(np.clip(1 - wide**2.2, 0, 1))
        below_nose = smooth(a.nose_tip, a.nose_tip + 9, y)
        z = dome + 15 * np.exp(-((x / 9) ** 2)) * smooth(104, a.nose_tip - 4, y) * (1 - below_nose)
        return blur(z.astype(np.float32), 2.5 * self.canvas.density)

    def _relief(self) -> np.ndarray:
        """Height of the resting face above the skull, in units."""
        a, ax, x, y = self.actor, self.ax, self.x, self.y
        tip, mouth = a.nose_tip, a.mouth_y
        z = 3.2 * bump(ax, y, a.eye_distance * 0.9, a.brow_y + 2, 19, 6) * (1.25 if a.sex == "male" else 0.6)
        z -= 6.5 * bump(ax, y, a.eye_distance * 0.97, 112.5, 15.5, 9) + 4.0 * bump(ax, y, 13.5, 111, 5.5, 8)
        z += 5.2 * bump(ax, y, a.eye_distance, 115.5, 11, 7.5)
        ridge = a.nose_bridge * 5 * smooth(96, 112, y) + (13 - 2 * a.nose_bridge) * smooth(106, tip - 3, y)
        ridge = ridge * (1 - smooth(tip - 4, tip + 8, y))
        width = 5.0 + 0.4 * a.nose_width * smooth(110, tip - 2, y)
        z += ridge * np.exp(-((x / width) ** 2))
        z += 4.5 * bump(x, y, 0, tip - 3.5, 6.5, 5.5) + 5.5 * bump(ax, y, a.nose_width, tip - 1.5, 4.0, 4.8)
        z -= 3.5 * bump(ax, y, a.nose_width * 0.55, tip + 3.0, 3.0, 1.8)
        z += (
            4.5 * bump(ax, y, 40, 136, 15, 10)
            + 3.5 * bump(ax, y, 31, 150, 16, 14)
            - 3.0 * a.age * bump(ax, y, 43, 166, 9, 15)
        )
        z += (
            4.5 * bump(x, y, 0, mouth, 24, 17)
            - 1.6 * bump(x, y, 0, tip + 12, 2.6, 6)
            + 0.9 * bump(ax, y, 4.6, tip + 12, 2.4, 6)
        )
        z -= 3.2 * bump(x, y, 0, mouth + 15.5, 15, 4.2)
        z += 6.5 * bump(x, y, 0, a.chin - 15, 13, 9.5) - 2.5 * bump(ax, y, a.half_width * 0.92, 92, 9, 15)
        z -= (0.3 + 1.5 * a.age) * self._fold_groove(0.0, 0.0)
        z -= 1.6 * a.age * bump(ax, y, a.eye_distance - 2, 128 + 0.0 * ax, 11, 2.2)
        return z.astype(np.float32)

    def _fold_groove(self, raised: float, wide: float) -> np.ndarray:
        """Profile of the nasolabial fold, 1 in its groove and negative on the cheek
        beside it.
        """
        a = self.actor
        t = np.clip((self.y - (a.nose_tip - 6)) / (a.mouth_y + 8 - a.nose_tip + 6), 0, 1)
        line = (
            a.nose_width
            + 4.5
            + (a.mouth_width + 7 + wide - a.nose_width - 4.5) * t**0.85
            + 3.0 * np.sin(np.pi * t) * raised
        )
        distance = self.ax - line
        below_mouth = smooth(a.mouth_y - 3, a.mouth_y + 12, self.y)
        window = smooth(a.nose_tip - 9, a.nose_tip - 1, self.y) * (1 - below_mouth)
        return (np.exp(-((distance / 2.1) ** 2)) - 0.75 * np.exp(-(((distance - 7.5) / 5.5) ** 2))) * window

    def _expressed(self, e: Expression) -> np.ndarray:
        """What an expression adds to the relief: folds, furrows, wrinkles, raised
        cheeks.
        """
        a, ax, x, y = self.actor, self.ax, self.x, self.y
        mature = 0.75 + 0.6 * a.age
        sign = np.where(x > 0, 1.0, -1.0)
        one_sided = np.clip(e.fold_asym * sign, 0, 1) * smooth(-4, 4, sign * x)
        z = np.zeros_like(x)
        fold = e.fold + one_sided
        if np.any(fold > 0):
            z -= 3.4 * fold * self._fold_groove(max(e.cheek, abs(e.fold_asym) * 0.5), 4 * max(e.stretch, 0))
        if e.cheek:
            z += e.cheek * (
                4.8 * bump(ax, y, 32, 142, 14, 10) - 2.6 * bump(ax, y, a.eye_distance + 2, 126.5, 13, 2.0)
            )
        if e.squint:
            z += e.squint * (
                2.0 * bump(ax, y, a.eye_distance, 122.5, 11, 2.4)
                - 1.6 * bump(ax, y, a.eye_distance + 1, 127, 11, 1.5)
            )
            crow_feet = sum(
                bump(ax, y, a.eye_distance + 19, 113 + k * (ax - a.eye_distance - 19) * 0.3 + 4 * k, 4.5, 0.9)
                for k in (-1, 0, 1)
            )
            z -= 1.1 * e.squint * mature * crow_feet
        if e.furrow:
            z -= 3.0 * e.furrow * mature * bump(ax, y, 4.8 - 1.2 * smooth(94, 108, y), 98, 1.5, 8.5)
            z += 2.4 * e.furrow * (bump(x, y, 0, 98, 2.6, 8) + bump(ax, y, 9.5, 97, 4, 6))
        if e.nose:
            for k in range(3):
                z -= 2.3 * e.nose * bump(ax, y, 6.5 + 1.2 * k, 112 + 5 * k - 0.7 * (ax - 6), 6.5, 1.2)
            z -= 2.0 * e.nose * bump(x, y, 0, 104, 10, 1.4)
            z += 2.6 * e.nose * bump(ax, y, a.nose_width + 2, a.nose_tip - 5, 5, 5)
        if e.forehead:
            for k, base_y in enumerate((88 - a.brow_arch, 80, 72)):
                wrinkle_y = base_y + 2.5 * (ax / 34) ** 2 - 0.9 * np.sin(x / 7 + 2 * k)
                reach = 36 if e.brow_out > 0 else 17
                z -= (
                    (2.6 - 0.4 * k)
                    * e.forehead
                    * mature
                    * np.exp(-(((y - wrinkle_y) / 1.3) ** 2) - (ax / reach) ** 4)
                )
                z += 1.6 * e.forehead * np.exp(-(((y - wrinkle_y - 4) / 2.4) ** 2) - (ax / reach) ** 4)
        if e.chin:
            z += e.chin * (
                2.6 * bump(x, y, 0, a.mouth_y + 22, 9, 7) - 2.6 * bump(x, y, 0, a.mouth_y + 14, 14, 2.4)
            )
            z += 0.5 * e.chin * self.mottle * bump(x, y, 0, a.mouth_y + 24, 9, 7)
        corners_down = max(-e.corner, 0)
        if corners_down:
            z -= (
                2.6
                * corners_down
                * bump(ax, y, a.mouth_width + 3.0 + 0.30 * (y - a.mouth_y - 6), a.mouth_y + 12, 1.9, 8)
            )
        return z

    # ---- colour ---------------------------------------------------------------------

    def _albedo(self) -> np.ndarray:
        """Skin colour before light, ``(H, W, 3)`` float32."""
        a, ax, x, y = self.actor, self.ax, self.x, self.y
        skin = np.array(a.skin, np.float32)
        pale = 1 - a.darkness
        red = (
            0.55 * bump(ax, y, 35, 148, 17, 14)
            + 0.5 * bump(x, y, 0, a.nose_tip - 4, 11, 9)
            + 0.2 * bump(x, y, 0, a.chin - 12, 14, 9)
        )
        red = (
            red
            + 0.25 * smooth(0.86, 1.05, self.rho) * bump(ax, y, a.half_width, 122, 14, 22)
            + 0.10 * self.patches
        )
        colour = skin * (1 + 0.028 * self.mottle + 0.016 * self.pores + 0.02 * self.patches)[..., None]
        colour = colour * (
            1 + (0.05 + 0.10 * pale) * red[..., None] * np.array([0.7, -0.9, -0.75], np.float32)
        )
        eye_bag = bump(ax, y, a.eye_distance - 4, 125, 10, 5)
        socket = bump(ax, y, a.eye_distance, 113, 17, 10) + 0.6 * eye_bag * (0.4 + a.age)
        colour = colour * (1 - socket[..., None] * np.array([0.13, 0.17, 0.13], np.float32))
        nostril = bump(ax, y, a.nose_width * 0.52, a.nose_tip + 2.2, 3.4 + 0.15 * (a.nose_width - 9), 1.7)
        colour = colour * (1 - 0.72 * nostril[..., None])
        colour = colour * (1 - 0.20 * bump(ax, y, a.nose_width + 4.2, a.nose_tip - 0.5, 1.6, 4.5)[..., None])
        if a.freckles:
            area = bump(ax, y, 24, 140, 26, 16) + 0.5 * bump(x, y, 0, 136, 14, 14)
            colour = colour * (
                1
                - (0.9 * a.freckles * self.freckle_map * area)[..., None]
                * np.array([0.3, 0.42, 0.5], np.float32)
            )
        return self._bearded(colour).astype(np.float32)

    def _bearded(self, colour: np.ndarray) -> np.ndarray:
        a, ax, y = self.actor, self.ax, self.y
        if a.beard == "none" and a.sex == "female":
            return colour
        line = a.nose_tip + 7 + 0.0 * ax
        moustache = bump(ax, y, 9, a.mouth_y - 11.5 + 0.055 * (ax - 6) ** 2 * (ax > 6), 13, 4.6)
        chin = bump(ax, y, 0, a.chin - 6, 17, 16) * smooth(a.mouth_y + 6, a.mouth_y + 12, y)
        jaw = smooth(a.nose_tip + 8, a.mouth_y + 4, y + 0.42 * (ax - 20)) * smooth(0.60, 0.78, self.rho)
        jaw = jaw + smooth(a.mouth_y + 8, a.mouth_y + 16, y)
        jaw = (
            np.clip(jaw, 0, 1)
            * (1 - smooth(a.half_width * 1.1, a.half_width * 1.2, ax))
            * smooth(line[0, 0] - 16, line[0, 0] + 6, y + 0.3 * ax)
        )
        mask, strength = {
            "none": (np.maximum(moustache, jaw), 0.10), "stubble": (np.maximum(moustache, jaw), 0.34),
            "full": (np.maximum(moustache, jaw), 0.92),
            "goatee": (np.maximum(moustache, np.maximum(chin, bump(ax, y, 23, a.mouth_y + 4, 4, 14))), 0.9),
            "moustache": (moustache, 0.92),
        }[a.beard]  # fmt: skip
        hair = np.array(a.hair_colour, np.float32) * (0.55 + 0.75 * self.stubble_map[..., None])
        if a.beard in ("none", "stubble"):
            hair = np.array(a.skin, np.float32) * np.array([0.50, 0.52, 0.58], np.float32)
        weight = np.clip(mask * 1.25, 0, 1) ** (0.8 if strength > 0.5 else 1) * strength
        weight = weight * (
            0.55 + 0.45 * self.stubble_map if strength < 0.5 else 0.80 + 0.20 * self.stubble_map
        )
        return colour * (1 - weight[..., None]) + hair * weight[..., None]

    # ---- light ----------------------------------------------------------------------

    def lit_skin(self, expression: Expression, light: Light) -> np.ndarray:
        """Skin of the face under a light, ``(H, W, 3)`` float32 in 0..255."""
        d = self.canvas.density
        z = (
            blur(self.skull + 0.72 * self.relief + 0.62 * self._expressed(expression), 0.7 * d)
            + 0.03 * self.pores
        )
        # steeper slopes would make the outline black
        dy, dx = (np.clip(slope, -2.0, 2.0) for slope in np.gradient(z, 1 / d))
        n = 1 / np.sqrt(1 + dx * dx + dy * dy)
        nx, ny, nz = -dx * n, -dy * n, n
        lx, ly, lz = light.direction
        facing = nx * lx + ny * ly + nz * lz
        hollow = np.clip(blur(z, 5 * d) - z, 0, 4)
        occlusion = np.clip(1 - 0.10 * hollow, 0.5, 1)
        ambient = light.ambient * (0.82 + 0.30 * (-ny)) * occlusion
        shade = []
        # red light reaches further round: it scatters in skin
        for wrap, tint in zip((0.34, 0.20, 0.16), light.tint, strict=True):
            diffuse = np.clip((facing + wrap) / (1 + wrap), 0, None)
            shade.append(ambient + light.strength * 1.12 * tint * diffuse * (0.55 + 0.45 * occlusion))
        colour = self.albedo * np.stack(shade, -1) * self.hair.shadow[..., None]
        hx, hy, hz = lx, ly, lz + 1
        norm = np.sqrt(hx * hx + hy * hy + hz * hz)
        gloss = np.clip((nx * hx + ny * hy + nz * hz) / norm, 0, 1)
        oily = (0.95 + 0.08 * self.pores) * (0.45 + 0.6 * bump(self.x, self.y, 0, 112, 24, 46))
        broad, narrow = 0.07 + 0.13 * self.actor.darkness, 0.05 + 0.10 * self.actor.darkness
        shine = broad * gloss**18 + narrow * gloss**70
        beardless = (
            1.0
            if self.actor.beard in ("none", "stubble", "moustache")
            else 1 - 0.7 * smooth(160, 175, self.y)
        )
        colour = colour + (255 * light.strength * shine * oily * beardless)[..., None] * light.tint
        return colour

    def lit_neck(self, light: Light) -> tuple[np.ndarray, np.ndarray]:
        """Neck: colour and coverage."""
        a, x, y = self.actor, self.x, self.y
        half = a.neck + 10 * smooth(206, 246, y) ** 2
        across = np.clip(x / half, -1, 1)
        round_shade = np.sqrt(np.clip(1 - across**2, 0, 1))
        side_light = 0.16 * np.sin(np.radians(light.azimuth)) * across
        jaw_shadow = 1 - 0.42 * np.exp(-((np.clip((self.rho - 1) * self.radius, 0, None) / 15) ** 2))
        shade = (0.56 + 0.36 * round_shade + side_light) * jaw_shadow
        tendon = (
            1 - 0.08 * bump(self.ax, y, 15 - 0.12 * (y - 200), 226, 2.5, 16) - 0.10 * bump(x, y, 0, 243, 7, 6)
        )
        colour = (
            np.array(a.skin, np.float32)
            * (1 + 0.02 * self.mottle)[..., None]
            * (shade * tendon)[..., None]
            * np.array([1, 0.955, 0.93], np.float32)
        )
        alpha = np.clip((half - self.ax) * self.canvas.density * 0.8 + 0.5, 0, 1) * smooth(150, 160, y)
        return colour, alpha

    def lit_ears(self, light: Light) -> tuple[np.ndarray, np.ndarray]:
        """Ears: colour and coverage."""
        a, ax, y = self.actor, self.ax, self.y
        cx, cy, sx, sy = a.half_width + 2.5, 124.0, 8.0 * a.ears, 18.0 * a.ears
        u, v = (ax - cx - 0.10 * (124 - y)) / sx, (y - cy) / sy
        r = np.sqrt(u * u + v * v * (1 + 0.15 * np.sign(v)))
        side_light = 1 + 0.22 * np.sin(np.radians(light.azimuth)) * np.sign(self.x)
        inner = (
            1
            - 0.30 * bump(u, v, -0.15, 0.05, 0.45, 0.55)
            - 0.25 * np.exp(-(((r - 0.72) / 0.10) ** 2)) * (v < 0.5)
        )
        shade = (0.80 + 0.16 * np.clip(1 - r, 0, 1)) * inner * side_light
        colour = np.array(a.skin, np.float32) * shade[..., None] * np.array([1.03, 0.93, 0.9], np.float32)
        return colour, np.clip((1 - r) * sx * self.canvas.density * 0.8 + 0.5, 0, 1)

    def lit_clothes(self, light: Light) -> tuple[np.ndarray, np.ndarray]:
        """Shoulders and what covers them."""
        a, x, y, ax = self.actor, self.x, self.y, self.ax
        d = self.canvas.density
        half_shoulders = 112 if a.sex == "male" else 98
        t = np.clip((ax - a.neck) / (half_shoulders - a.neck), 0, None)
        line = 233 + 17 * t**1.2 + 70 * np.clip(t - 0.82, 0, None) ** 1.6
        neckline = {"crew": 243.0, "vneck": 262.0, "shirt": 256.0, "jacket": 264.0, "turtle": 222.0}[
            a.clothes
        ]
        open_at_neck = neckline - (neckline - 226) * np.clip(ax / (a.neck + 4), 0, 2) ** (
            2.2 if a.clothes in ("crew", "turtle") else 1.1
        )
        if a.clothes == "turtle":
            line = np.where(ax < a.neck + 5, np.minimum(line, 221 + 0.005 * ax**2), line)
            open_at_neck = line
        top = np.maximum(line, np.where(ax < a.neck + 4, open_at_neck, line))
        alpha = np.clip((y - top) * d * 0.8 + 0.5, 0, 1)
        side_light = 0.16 * np.sin(np.radians(light.azimuth)) * np.clip(x / half_shoulders, -1, 1)
        shade = (
            0.92
            - 0.30 * np.clip(ax / half_shoulders, 0, 1.2) ** 2
            + side_light
            + 0.06 * self.folds
            + 0.05 * self.cloth_map
        )
        shade = shade * (1 - 0.28 * np.exp(-(((y - top) / 3.5) ** 2)) * (ax < a.neck + 14))
        colour = np.array(a.clothes_colour, np.float32) * shade[..., None]
        if a.clothes in ("jacket", "shirt"):
            lapel = a.neck * 0.95 - 0.55 * (y - 228) + (8 if a.clothes == "jacket" else 0)
            edge = np.exp(-(((ax - lapel) / 1.6) ** 2)) * (y > 226)
            colour = colour * (1 - 0.45 * edge[..., None])
            if a.clothes == "jacket":
                under = smooth(0, 2, lapel - ax)[..., None]
                colour = (
                    colour * (1 - under) + np.array([205, 205, 208], np.float32) * shade[..., None] * under
                )
        return colour, alpha

    def layer(self, expression: Expression, light: Light) -> np.ndarray:
        """Everything still of the actor, ``(H, W, 4)`` uint8: RGB over a transparent
        ground, alpha last.
        """
        rows, columns = self.canvas.shape
        colour, alpha = np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), np.float32)
        back, front = self.hair.lit(light)
        parts = [back, self.lit_neck(light), self.lit_clothes(light)]
        if not self.hair.over_shoulders:
            parts.append(self.lit_ears(light))
        parts += [(self.lit_skin(expression, light), self.face_alpha), front]
        for over, cover in parts:
            joint = cover + alpha * (1 - cover)
            share = np.where(joint > 1e-4, cover / np.maximum(joint, 1e-4), 0)[..., None]
            colour, alpha = colour * (1 - share) + over * share, joint
        # colour beyond the edge, so that interpolation does not mix in black
        d = self.canvas.density
        spread = blur(colour * alpha[..., None], 2.5 * d) / np.maximum(blur(alpha, 2.5 * d), 1e-3)[..., None]
        colour = np.where(alpha[..., None] < 0.02, spread, colour)
        return np.dstack([np.clip(colour, 0, 255), alpha * 255]).round().astype(np.uint8)
