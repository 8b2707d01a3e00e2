"""The moving parts: eyes, brows and mouth, painted per frame on small patches with a few array operations each."""

from dataclasses import dataclass

import cv2
import numpy as np

from eadbench.corpora.studio.cast import Actor
from eadbench.corpora.studio.sculpture import Canvas, Light, blur, noise

F = np.float32


@dataclass
class Pose:
    """What the moving parts do in one frame; units and signs as in ``Expression``, mouth channels as in ``MouthTrack``."""

    brow_in: float = 0.0
    brow_out: float = 0.0
    brow_asym: float = 0.0
    furrow: float = 0.0
    lid: float = 0.0
    slant: float = 0.0
    squint: float = 0.0
    blink: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    corner: float = 0.0
    asym: float = 0.0
    stretch: float = 0.0
    rest_open: float = 0.0
    upper: float = 0.0
    lower: float = 0.0
    press: float = 0.0
    open: float = 0.0
    wide: float = 0.0
    round: float = 0.0
    close: float = 0.0
    bite: float = 0.0
    tongue: float = 0.0


class Patch:
    """A rectangle of the canvas with its canonical coordinates."""

    def __init__(self, canvas: Canvas, left: float, top: float, width: float, height: float) -> None:
        d = canvas.density
        c0, r0 = round((left - canvas.left) * d), round((top - canvas.top) * d)
        c1, r1 = c0 + round(width * d), r0 + round(height * d)
        self.slices = np.s_[r0:r1, c0:c1]
        x, y = canvas.grid
        self.x, self.y = x[r0, c0:c1].copy(), y[r0:r1, c0:c1].copy()
        self.density = d


def over(image: np.ndarray, patch: Patch, colour: np.ndarray, alpha: np.ndarray) -> None:
    """Blend a patch into an RGBA image in place (its alpha channel stays)."""
    target = image[patch.slices][..., :3]
    a = alpha[..., None]
    np.copyto(target, (target * (1 - a) + np.clip(colour, 0, 255) * a + 0.5).astype(np.uint8))


class Eyes:
    """Both eyes: lids that close, sclera, iris with streaks, lashes, catchlight."""

    def __init__(self, actor: Actor, canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
        self.actor, self.light = actor, light
        a = actor
        reach = 21.0
        self.patches = [Patch(canvas, s * a.eye_distance - reach, 115 - 17, 2 * reach, 34) for s in (-1, 1)]
        self.x = [((p.x - s * a.eye_distance) * s).astype(F) for p, s in zip(self.patches, (-1, 1), strict=True)]  # towards the temple
        self.y = [(p.y - 115).astype(F) for p in self.patches]
        self.iris, self.iris_radius = self._iris(canvas.density, rng), 6.3
        self.skin = np.array(a.skin, F)

    def _iris(self, density: float, rng: np.random.Generator) -> np.ndarray:
        """Iris and pupil with 4 pixels per unit, ``(64, 64, 4)`` float32."""
        side = 64
        y, x = (np.mgrid[0:side, 0:side].astype(F) - (side - 1) / 2) / 4
        r, angle = np.hypot(x, y) / 6.3, np.arctan2(y, x)
        streaks = np.interp(angle.ravel(), np.linspace(-np.pi, np.pi, 61), rng.normal(0, 1, 61), period=2 * np.pi).reshape(angle.shape)
        colour = np.array(self.actor.iris, F) * (1.15 + 0.22 * streaks * (r > 0.4) + 0.35 * np.exp(-(((r - 0.55) / 0.18) ** 2)))[..., None]
        colour = colour * (1 - 0.62 * np.clip((r - 0.78) / 0.2, 0, 1) ** 1.5)[..., None]
        pupil = np.clip((0.43 - r) * 14 + 0.5, 0, 1)[..., None]
        colour = colour * (1 - pupil) + 8 * pupil
        alpha = np.clip((1 - r) * 12 + 0.5, 0, 1)
        return np.dstack([np.clip(colour, 0, 255), alpha]).astype(F)

    def paint(self, image: np.ndarray, pose: Pose) -> None:
        for k, side in enumerate((-1, 1)):
            self._one(image, k, side, pose)

    def _one(self, image: np.ndarray, k: int, side: int, pose: Pose) -> None:
        a, patch, x, y = self.actor, self.patches[k], self.x[k], self.y[k]
        d = patch.density
        w = a.eye_width
        u = x / w
        arch = np.clip(1 - u * u, 0, 1)
        tilt = -a.eye_tilt * x - 0.2
        wide_open = 7.6 * a.eye_height * (1 + 0.42 * pose.lid) * (1 - 0.22 * max(pose.squint, 0)) - 1.1 * abs(pose.slant) * 0.5
        up = wide_open * (1 - pose.blink)
        down = (4.3 * a.eye_height * (1 - 0.45 * pose.squint) + 0.6 * pose.lid) * (1 - 0.35 * pose.blink) + 0.8 * pose.blink
        # a slanting lid cuts the arch towards the nose (anger) or towards the temple (sorrow)
        cut = (
            1
            - 0.42 * np.clip(pose.slant, 0, 1) * np.clip(0.55 - u, 0, 1.4) / 1.4
            - 0.52 * np.clip(-pose.slant, 0, 1) * np.clip(u + 0.35, 0, 1.3) / 1.3
        )
        top = tilt - up * arch**0.62 * (1 - 0.10 * u) * cut + (down - 0.6) * arch * pose.blink
        bottom = tilt + down * arch**0.75 * (1 + 0.12 * u)
        bottom = np.maximum(bottom, top)
        aperture = np.clip((y - top) * d + 0.5, 0, 1) * np.clip((bottom - y) * d + 0.5, 0, 1) * (arch > 0)
        # white of the eye with the lid's shadow, caruncle towards the nose
        shade = 0.97 - 0.20 * np.clip(np.abs(u), 0, 1) ** 2 - 0.34 * np.exp(-np.clip(y - top, 0, None) / 2.0)
        white = np.array([232, 228, 224], F) * (0.92 if a.darkness > 0.6 else 1.0) * shade[..., None]
        inner = np.exp(-(((u + 0.93) / 0.13) ** 2))[None, :, None]
        white = white * (1 - inner) + np.array([196, 128, 118], F) * 0.9 * inner
        # iris: placed by an affine sampling of its texture
        gx, gy = pose.gaze_x * side, pose.gaze_y - 0.7
        matrix = np.array([[d / 4, 0, 0], [0, d / 4, 0]], F)
        cx = (gx - float(x[0])) * side * side * 1.0 if side > 0 else (float(x[0]) - gx)
        matrix[0, 2] = abs(cx) * d - 31.5 * d / 4
        matrix[1, 2] = (gy - float(y[0, 0])) * d - 31.5 * d / 4
        iris = cv2.warpAffine(self.iris, matrix, (x.size, y.shape[0]), flags=cv2.INTER_LINEAR)
        ia = iris[..., 3:]
        eye = white * (1 - ia) + iris[..., :3] * (0.55 + 0.45 * np.clip((y - top) / 3.2, 0, 1))[..., None] * ia
        lx, ly, _ = self.light.direction
        glint = np.exp(-(((x * side - gx * side - 2.6 * lx) / 1.15) ** 2 + ((y - gy - 2.6 * ly) / 1.15) ** 2))
        eye = eye + (230 * glint + 26 * np.exp(-(((x * side - gx * side + 2.5 * lx) / 1.6) ** 2 + ((y - gy - 2.4) / 1.2) ** 2)))[..., None]
        over(image, patch, eye, aperture)
        # lash line, crease, lower lid
        inside = np.clip((1.16 - np.abs(u)) * 6, 0, 1)
        thick = (0.75 + 0.75 * a.lashes) * (0.75 + 0.4 * np.clip(u, -1, 1))
        flick = 1.6 * a.lashes * np.clip(u - 0.6, 0, 1)
        lash = np.exp(-(((y - top + 0.35 + flick) / thick) ** 2)) * inside * (0.78 + 0.2 * a.lashes)
        lower = 0.34 * np.exp(-(((y - bottom - 0.35) / 0.75) ** 2)) * inside * np.clip(0.7 + 0.4 * u, 0.2, 1)
        rim = 0.30 * np.exp(-(((y - bottom + 0.1) / 0.7) ** 2)) * inside * aperture
        dark = np.array([30, 20, 18], F) if a.lashes > 0.6 else self.skin * 0.22
        over(image, patch, np.broadcast_to(np.array([205, 150, 140], F), eye.shape), rim)
        over(image, patch, np.broadcast_to(self.skin * 0.40, eye.shape), lower)
        rise = 3.4 + 0.8 * a.crease + 1.2 * max(pose.lid, 0) - 1.2 * max(-pose.lid, 0)
        fold = tilt - (wide_open * (1 - 0.28 * pose.blink) + rise) * arch**0.55 * (1 - 0.06 * u) * (0.5 + 0.5 * cut)
        crease = np.exp(-(((y - fold) / 1.1) ** 2)) * np.clip((1.05 - np.abs(u)) * 3, 0, 1) * (0.14 + 0.30 * a.crease) * (1 - 0.5 * pose.blink)
        over(image, patch, np.broadcast_to(self.skin * 0.45, eye.shape), crease)
        bag = np.exp(-(((y - bottom - 3.6) / 1.3) ** 2)) * arch * (0.08 + 0.20 * a.age + 0.22 * max(pose.squint, 0))
        over(image, patch, np.broadcast_to(self.skin * 0.55, eye.shape), bag)
        over(image, patch, np.broadcast_to(dark, eye.shape), lash)


class Brows:
    """Both brows: a strip of single hairs bent along the brow's line."""

    ROWS, COLUMNS = 48, 128

    def __init__(self, actor: Actor, canvas: Canvas, rng: np.random.Generator) -> None:
        self.actor = actor
        half = actor.brow_width + 8
        self.patches = [Patch(canvas, s * actor.eye_distance - half, actor.brow_y - 18, 2 * half, 34) for s in (-1, 1)]
        self.x = [((p.x - s * actor.eye_distance) * s).astype(F) for p, s in zip(self.patches, (-1, 1), strict=True)]
        self.strip = self._strip(rng)

    def _strip(self, rng: np.random.Generator) -> np.ndarray:
        """Hairs over (inner .. outer, top .. bottom): ``(48, 128, 4)`` float32 with alpha in 0..1."""
        rows, columns = self.ROWS, self.COLUMNS
        big = np.zeros((rows * 4, columns * 4), np.uint8)
        for _ in range(330):
            q = rng.uniform(-0.96, 0.93)
            spread = (0.52 + 0.30 * (1 - q) / 2) * (1 - 0.45 * max(q - 0.3, 0))
            v = rng.normal(0, 0.33) * spread
            lean = 0.10 + 0.16 * (q + 1) / 2
            rise = (-0.55 + 0.55 * (q + 1) / 2 + rng.normal(0, 0.1)) * 0.45
            x0, y0 = (q / 2 * 0.8 + 0.5) * columns * 4, (v / 2 + 0.5) * rows * 4
            x1, y1 = x0 + lean * columns * 2.2, y0 + rise * rows * 2
            cv2.line(big, (int(x0), int(y0)), (int(x1), int(y1)), int(rng.uniform(120, 255)), int(rng.integers(3, 6)), cv2.LINE_AA)
        small = cv2.resize(big, (columns, rows), interpolation=cv2.INTER_AREA).astype(F) / 255
        body = np.exp(-((np.linspace(-1, 1, rows)[:, None] / 0.52) ** 2)) * np.interp(
            np.linspace(-1, 1, columns), [-1, -0.8, -0.5, 0.5, 0.85, 1], [0, 0.35, 0.6, 0.6, 0.25, 0]
        )
        alpha = np.clip(0.95 * small + 0.45 * body, 0, 0.96)
        tone = 1 + 0.25 * noise((rows, columns), 1.0, rng)
        colour = np.array(self.actor.brow_colour, F) * tone[..., None]
        return np.dstack([np.clip(colour, 0, 255), alpha]).astype(F)

    def paint(self, image: np.ndarray, pose: Pose) -> None:
        a = self.actor
        for patch, x, side in zip(self.patches, self.x, (-1, 1), strict=True):
            q = (x + 1.0 + 2.6 * pose.furrow * np.clip(0.5 - x / 30, 0, 1)) / a.brow_width
            inner, outer = np.clip((0.55 - q) / 1.5, 0, 1.1), np.clip((q + 0.45) / 1.4, 0, 1.1)
            line = a.brow_y - a.brow_arch * (1 - np.clip(np.abs(q - 0.30) / 1.25, 0, 1.2) ** 2) + 2.5 * np.clip(q - 0.35, 0, 1) ** 1.5
            line = (
                line
                - (7.5 if pose.brow_in > 0 else 6.0) * pose.brow_in * inner
                - 6.5 * pose.brow_out * outer
                - 4.5 * pose.brow_asym * side * (0.4 + outer)
            )
            line = line + 1.6 * pose.furrow * inner
            half = a.brow_thick * (1.30 - 0.25 * np.clip(q, -1, 1))
            u = (q / 2 / 1.02 + 0.5) * (self.COLUMNS - 1)
            v = ((patch.y - line) / half / 2 / 1.15 + 0.5) * (self.ROWS - 1)
            strip = cv2.remap(self.strip, np.broadcast_to(u.astype(F), v.shape).copy(), v.astype(F), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
            shadow = 0.10 * np.exp(-(((patch.y - line - 1.4 * half) / 3.0) ** 2)) * np.clip(1.1 - np.abs(q), 0, 1)
            over(image, patch, np.broadcast_to(np.array(a.skin, F) * 0.5, strip.shape[:2] + (3,)), shadow)
            over(image, patch, strip[..., :3], strip[..., 3])


class Mouth:
    """Lips, teeth, tongue and the dark between, over the skin; ``jaw`` tells how far the chin goes down."""

    def __init__(self, actor: Actor, canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
        self.actor, self.light = actor, light
        self.patch = Patch(canvas, -38, actor.mouth_y - 22, 76, 56)
        self.x, self.y = self.patch.x, (self.patch.y - actor.mouth_y).astype(F)
        self.lip = np.array(actor.lip_colour, F)
        self.skin = np.array(actor.skin, F)
        self.lines = np.interp(np.linspace(-1.3, 1.3, 261), np.linspace(-1.3, 1.3, 75), rng.normal(0, 1, 75)).astype(F)
        edges = np.cumsum([0.0, 7.9, 6.4, 6.6, 5.6])
        self.upper_gaps = sum(np.exp(-(((np.abs(self.x) - e) / 0.55) ** 2)) for e in edges).astype(F)
        self.lower_gaps = sum(np.exp(-(((np.abs(self.x) - e) / 0.5) ** 2)) for e in np.cumsum([0.0, 5.2, 5.6, 6.2])).astype(F)
        tooth = np.select(
            [np.abs(self.x) < e for e in edges[1:]], [(np.abs(self.x) - (e + f) / 2) / (f - e) for e, f in zip(edges, edges[1:], strict=False)], 0.5
        )
        self.scallop = (1.2 * (2 * tooth) ** 2).astype(F) * 0.6
        tone = 0.95 if actor.age > 0.6 else 1.0
        self.teeth = np.array([236, 230, 216], F) * tone

    def opening(self, pose: Pose) -> tuple[float, float]:
        """Gap between the lips above and below the line where they meet, in units."""
        free = (1 - pose.close) * (1 - pose.bite)
        jaw = (14.5 * pose.open + 10.0 * pose.rest_open * (1 - 0.5 * min(pose.open, 1))) * (1 - 0.15 * pose.round)
        up = (0.14 * jaw + 3.4 * pose.upper + 0.35 * pose.stretch) * (1 - 0.3 * pose.press) * free + 2.1 * pose.bite * (1 - pose.close)
        low = (0.86 * jaw * (1 - 0.15 * pose.press) + 2.6 * pose.lower) * free + 1.4 * pose.bite * (1 - pose.close)
        return up, low

    def jaw(self, pose: Pose) -> float:
        """Drop of the chin in units."""
        _, low = self.opening(pose)
        return max(0.0, 0.92 * (low - 1.6 * pose.lower * (1 - pose.close)) - 1.2 * pose.press * 0.5)

    def width(self, pose: Pose) -> float:
        """Half width of the mouth in units."""
        a = self.actor
        return a.mouth_width * (1 + 0.13 * pose.wide + 0.20 * pose.stretch + 0.10 * max(pose.corner, 0) - 0.36 * pose.round - 0.04 * pose.close)

    def paint(self, image: np.ndarray, pose: Pose) -> None:
        a, x, y, d = self.actor, self.x, self.y, self.patch.density
        up, low = self.opening(pose)
        w = self.width(pose)
        u = x / w
        au = np.minimum(np.abs(u), 1)
        k = 1 - au * au
        corner = 6.2 * pose.corner + np.where(u > 0, 1, -1) * 4.0 * pose.asym + 3.0 * abs(pose.asym) * (u * np.sign(pose.asym) > 0)
        line = -corner * au**1.8 + 0.9 * max(pose.corner, 0) * k
        bend = 0.55 if pose.round > 0.4 else 0.7
        in_top, in_bottom = line - up * k**bend, line + low * k**bend
        thin = (1 - 0.42 * pose.press) * (1 - 0.16 * max(pose.corner, 0)) * (1 - 0.28 * pose.close)
        pout = 1 + 0.35 * pose.round
        bow = k**0.62 * (1 - 0.20 * np.exp(-((u / 0.12) ** 2)) + 0.12 * np.exp(-(((au - 0.27) / 0.17) ** 2)))
        out_top = in_top - a.lip_upper * thin * pout * (1 - 0.25 * pose.upper) * bow
        out_bottom = in_bottom + a.lip_lower * thin * pout * (1 - 0.45 * pose.bite) * (1 - 0.12 * min(pose.open, 1)) * k**0.55
        # shade around: under the lower lip, in the corners
        under = 0.26 * np.exp(-(((y - out_bottom - 2.6) / 2.6) ** 2)) * k**0.6
        ends = sum(np.exp(-(((x - s * (w + 0.6)) / 2.0) ** 2) - ((y + float(corner[-1 if s > 0 else 0])) / 2.0) ** 2) for s in (-1, 1))
        over(image, self.patch, np.broadcast_to(self.skin * 0.42, (*y.shape[:1], x.size, 3)), np.clip(under + 0.42 * ends, 0, 0.6))
        # lips
        soft = d * 0.75
        lips = np.clip((y - out_top) * soft + 0.5, 0, 1) * np.clip((out_bottom - y) * soft + 0.5, 0, 1) * (k > 0)
        is_upper = np.clip(0.5 + (line - y) * 1.5, 0, 1) if up + low < 1.0 else (y < (in_top + in_bottom) / 2).astype(F)
        v_up = np.clip((y - out_top) / np.maximum(in_top - out_top, 0.6), 0, 1)
        v_low = np.clip((y - in_bottom) / np.maximum(out_bottom - in_bottom, 0.6), 0, 1)
        lx = float(self.light.direction[0])
        upper_shade = 0.92 - 0.26 * v_up**1.5
        lower_shade = 0.86 + 0.24 * np.exp(-(((v_low - 0.36) / 0.26) ** 2)) - 0.22 * v_low**3
        lines = self.lines[np.clip(((u + 1.3) * 100).astype(int), 0, 260)]
        shade = (upper_shade * is_upper + lower_shade * (1 - is_upper)) * (1 + 0.045 * lines) * (1 + 0.10 * u * lx) * (1 - 0.18 * au**4)
        gloss = 34 * np.exp(-(((v_low - 0.33) / 0.17) ** 2)) * np.exp(-(((u - 0.25 * lx) / 0.42) ** 2)) * (1 - is_upper) * (0.8 + 0.25 * lines)
        over(image, self.patch, self.lip * shade[..., None] + gloss[..., None], lips)
        gap = up + low
        if gap < 0.9 or pose.close > 0.6:
            seam = np.exp(-(((y - (in_top + in_bottom) / 2) / (0.85 + 0.25 * pose.press)) ** 2)) * np.clip(k * 6, 0, 1) * 0.75
            over(image, self.patch, np.broadcast_to(self.lip * 0.28, (*y.shape[:1], x.size, 3)), seam)
        if gap > 0.5:
            self._inside(image, pose, u, k, in_top, in_bottom, low)

    def _inside(self, image: np.ndarray, pose: Pose, u: np.ndarray, k: np.ndarray, top: np.ndarray, bottom: np.ndarray, low: float) -> None:
        x, y, d = self.x, self.y, self.patch.density
        inside = np.clip((y - top) * d + 0.5, 0, 1) * np.clip((bottom - y) * d + 0.5, 0, 1) * (k > 0.02)
        height = np.clip((y - top) / np.maximum(bottom - top, 0.8), 0, 1)
        colour = np.array([70, 22, 24], F) * (0.45 + 0.55 * height[..., None])
        # tongue: low in the mouth, its tip up for l, t, d, n, between the teeth for th
        reach = 13.5 - 3.0 * pose.tongue
        rise = 1.4 + 0.30 * low + pose.tongue * (0.55 * low + 1.0)
        body = np.sqrt(np.clip(1 - (x / reach) ** 2, 0, 1))
        crown = low + 1.5 - (rise + 1.5) * body
        tongue = np.clip((y - crown) * d * 0.7 + 0.5, 0, 1) * (body > 0)
        wet = 0.72 + 0.30 * np.exp(-(((y - crown - 1.8) / 2.2) ** 2)) - 0.16 * np.exp(-((x / 1.3) ** 2))
        tongue_colour = np.array([198, 96, 98], F) * wet[..., None]
        # lower teeth ride on the jaw
        jaw = max(low - 2.6 * pose.lower * (1 - pose.close), 0.0)
        edge = jaw - 0.6 - 1.3 * pose.lower + 0.018 * x * x
        lower_teeth = np.clip((y - edge) * d + 0.5, 0, 1) * (np.abs(x) < 18) * np.clip((k - 0.12) * 6, 0, 1)
        lower_colour = self.teeth * (0.74 - 0.012 * np.abs(x) - 0.30 * self.lower_gaps)[None, :, None] * np.ones_like(y[:, :1, None])
        upper_edge = 2.9 - self.scallop - 0.010 * x * x
        upper_teeth = np.clip((upper_edge - y) * d + 0.5, 0, 1) * (np.abs(x) < 25) * np.clip((k - 0.06) * 8, 0, 1)
        below_lip = np.clip((y - top) / 2.2, 0, 1)
        upper_colour = self.teeth * ((0.95 - 0.014 * np.abs(x) - 0.22 * self.upper_gaps) * (0.72 + 0.28 * below_lip))[..., None]
        for layer, alpha in ((lower_colour, lower_teeth), (tongue_colour, tongue), (upper_colour, upper_teeth)):
            colour = colour * (1 - alpha[..., None]) + layer * alpha[..., None]
        if pose.tongue > 0.8:
            tip = np.clip((y - np.maximum(crown, 0.6 * np.ones_like(crown))) * d * 0.7 + 0.5, 0, 1) * (np.abs(x) < 9) * (pose.tongue - 0.8) * 5
            tip = np.clip(tip, 0, 1) * np.clip((9 - np.abs(x)) * 0.5, 0, 1)
            colour = colour * (1 - tip[..., None]) + tongue_colour * 1.05 * tip[..., None]
        shadow = 1 - 0.45 * np.exp(-np.clip(y - top, 0, None) / 1.3)
        over(image, self.patch, colour * shadow[..., None], inside)


def static_shadow(layer: np.ndarray) -> np.ndarray:
    """Soft copy of a layer's alpha, for the shadow an actor throws on the wall."""
    return blur(layer[..., 3].astype(F) / 255, 9.0)
