"""The moving parts: eyes, brows and mouth, painted per frame on small patches with a
few array operations each.

Patches are planar ``(3, h, w)`` float32: numpy's inner loops then run along rows, not
over three channels.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from eadbench.synthetic.canvas import Canvas, Light, noise
from eadbench.synthetic.cast import Actor

F = np.float32


@dataclass
class Pose:
    """State of the moving parts in one frame; units and signs as in ``Expression``,
    mouth channels as in ``MouthTrack``.
    """

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
    """A rectangle of the canvas with its canonical coordinates: ``x`` ``(w,)`` and
    ``y`` ``(h, 1)``.
    """

    def __init__(self, canvas: Canvas, left: float, top: float, width: float, height: float) -> None:
        d = canvas.density
        c0, r0 = round((left - canvas.left) * d), round((top - canvas.top) * d)
        c1, r1 = c0 + round(width * d), r0 + round(height * d)
        self.slices = np.s_[r0:r1, c0:c1]
        x, y = canvas.grid
        self.x, self.y = x[r0, c0:c1].copy(), y[r0:r1, c0 : c0 + 1].copy()
        self.density = d

    def load(self, image: np.ndarray) -> np.ndarray:
        """Colours as planar float32."""
        return np.ascontiguousarray(image[self.slices][..., :3].transpose(2, 0, 1), F)

    def store(self, image: np.ndarray, colour: np.ndarray) -> None:
        """Write colours back; the alpha channel stays."""
        np.minimum(colour, 255, out=colour)
        np.maximum(colour, 0, out=colour)
        image[self.slices][..., :3] = (colour + 0.5).astype(np.uint8).transpose(1, 2, 0)


def unit(values: np.ndarray) -> np.ndarray:
    """Clip to 0..1 in place (``np.clip`` costs more than the arithmetic on arrays this
    small).
    """
    np.maximum(values, 0, out=values)
    return np.minimum(values, 1, out=values)


def blob(distance: np.ndarray) -> np.ndarray:
    """exp(-d^2)."""
    out = distance * distance
    np.negative(out, out=out)
    return np.exp(out, out=out)


def blend(under: np.ndarray, over: np.ndarray, alpha: np.ndarray) -> None:
    """``over`` on ``under`` in place."""
    under += (over - under) * alpha


def colour(values: object, factor: float = 1.0) -> np.ndarray:
    """A colour that broadcasts over a planar patch."""
    return (np.asarray(values, F) * F(factor))[:, None, None]


class Eyes:
    """Both eyes: lids that close, sclera, iris with streaks, lashes, catchlight."""

    RADIUS = 6.2  # of the iris
    TEXTURE = 4  # its pixels per unit

    def __init__(self, actor: Actor, canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
        self.actor = actor
        a = actor
        self.reach = 20.0
        self.patches = [
            Patch(canvas, s * a.eye_distance - self.reach, 115 - 17, 2 * self.reach, 31) for s in (-1, 1)
        ]
        # towards the temple
        self.x = [
            ((p.x - s * a.eye_distance) * s).astype(F) for p, s in zip(self.patches, (-1, 1), strict=True)
        ]
        self.y = [(p.y - 115).astype(F) for p in self.patches]
        self.iris = self._iris(rng)
        # in a dark face full white would look too bright
        self.white = colour([232, 228, 224], 1 - 0.17 * a.darkness)
        self.caruncle = colour([178, 112, 104])
        self.lash = colour([30, 20, 18]) if a.lashes > 0.6 else colour(a.skin, 0.22)
        self.glint = float(light.direction[0]) * 2.6, float(light.direction[1]) * 2.6

    def _iris(self, rng: np.random.Generator) -> np.ndarray:
        """Iris with pupil, ``(60, 60, 4)`` float32, alpha in 0..1."""
        size = 60
        y, x = (np.mgrid[0:size, 0:size].astype(F) - (size - 1) / 2) / self.TEXTURE
        r, angle = np.hypot(x, y) / self.RADIUS, np.arctan2(y, x)
        streaks = np.interp(
            angle.ravel(), np.linspace(-np.pi, np.pi, 61), rng.normal(0, 1, 61), period=2 * np.pi
        ).reshape(angle.shape)
        body = (
            np.array(self.actor.iris, F)
            * (1.15 + 0.20 * streaks * (r > 0.4) + 0.35 * np.exp(-(((r - 0.58) / 0.18) ** 2)))[..., None]
        )
        body = body * (1 - 0.62 * np.clip((r - 0.78) / 0.2, 0, 1) ** 1.5)[..., None]
        pupil = np.clip((0.42 - r) * 14 + 0.5, 0, 1)[..., None]
        body = np.clip(body * (1 - pupil) + 8 * pupil, 0, 255)
        alpha = np.clip((1 - r) * 11 + 0.5, 0, 1)
        texture = np.dstack([body, alpha]).astype(F)
        return cv2.GaussianBlur(texture, (0, 0), 0.9)  # drawn at a smaller size

    def paint(self, image: np.ndarray, pose: Pose) -> None:
        """Draw both eyes over the closed lids of the still layer; ``sign`` is -1 for
        the eye on the image's left.
        """
        for patch, x, y, sign in zip(self.patches, self.x, self.y, (-1, 1), strict=True):
            skin = patch.load(image)
            self._paint_eye(skin, x, y, sign, patch.density, pose)
            patch.store(image, skin)

    def _paint_eye(
        self, skin: np.ndarray, x: np.ndarray, y: np.ndarray, sign: int, d: float, pose: Pose
    ) -> None:
        a = self.actor
        u = x / a.eye_width
        au = np.abs(u)
        arch = np.maximum(1 - u * u, 0)
        tilt = -a.eye_tilt * x - 0.2
        squint = max(pose.squint, 0.0)
        wide = 7.4 * a.eye_height * (1 + 0.36 * pose.lid) * (1 - 0.22 * squint) - 0.5 * abs(pose.slant)
        open_down = 4.2 * a.eye_height * (1 - 0.45 * pose.squint) + 0.6 * pose.lid
        down = open_down * (1 - 0.35 * pose.blink) + 0.8 * pose.blink
        # a slanting lid cuts the arch towards the nose (anger) or towards the temple
        # (sorrow)
        cut = (
            1
            - 0.45 * max(pose.slant, 0.0) * unit((0.55 - u) / 1.4)
            - 0.55 * max(-pose.slant, 0.0) * unit((u + 0.35) / 1.3)
        )
        lid_arch = arch**0.62
        top = (
            tilt
            - wide * (1 - pose.blink) * lid_arch * (1 - 0.10 * u) * cut
            + (down - 0.6) * arch * pose.blink
        )
        bottom = np.maximum(tilt + down * arch**0.75 * (1 + 0.12 * u), top)
        below, above = y - top, bottom - y
        aperture = unit(below * d + 0.5) * unit(above * d + 0.5) * (arch > 0)
        inside = unit((1.16 - au) * 6)
        if pose.blink < 0.97:
            self._paint_eyeball(skin, aperture, x, y, u, au, below, sign, d, pose)
        # folds of the lids: crease above, bag below, edge of the lower lid
        rise = 3.2 + 0.8 * a.crease + 1.2 * max(pose.lid, 0.0) - 1.2 * max(-pose.lid, 0.0)
        height = wide * (1 - 0.28 * pose.blink) + rise
        fold = tilt - height * arch**0.55 * (1 - 0.06 * u) * (0.5 + 0.5 * cut)
        crease = unit((1.05 - au) * 3) * (0.10 + 0.26 * a.crease) * (1 - 0.5 * pose.blink)
        dark = blob((y - fold) / 1.1) * crease
        dark += blob((y - bottom - 3.6) / 1.3) * (arch * (0.05 + 0.12 * a.age + 0.16 * squint))
        dark += blob((above + 0.35) / 0.75) * (inside * 0.30 * unit(0.7 + 0.4 * u))
        skin *= 1 - 0.75 * np.minimum(dark, 0.8)
        thick = (0.70 + 0.70 * a.lashes) * (0.75 + 0.4 * np.maximum(np.minimum(u, 1), -1))
        flick = 1.6 * a.lashes * unit(u - 0.6)
        lash = blob((below + 0.35 + flick) / thick) * (inside * (0.78 + 0.2 * a.lashes))
        blend(skin, self.lash, lash)

    def _paint_eyeball(self, skin, aperture, x, y, u, au, below, sign, d, pose) -> None:
        """Sclera, iris and reflections within the aperture."""
        under = np.maximum(below, 0)
        shade = (0.98 - 0.20 * np.minimum(au, 1) ** 2) - 0.36 * np.exp(under * F(-0.5))
        ball = self.white * shade
        blend(ball, self.caruncle, blob((u + 0.95) / 0.12))
        gx, gy = pose.gaze_x * sign, pose.gaze_y - 0.7
        centre = (self.iris.shape[0] - 1) / 2
        k = d / self.TEXTURE
        step = sign * k
        matrix = np.array(
            [[step, 0, (gx - x[0]) * sign * d - centre * step], [0, k, (gy - y[0, 0]) * d - centre * k]], F
        )
        iris = cv2.warpAffine(self.iris, matrix, (x.size, y.shape[0]), flags=cv2.INTER_LINEAR)
        iris = iris.transpose(2, 0, 1)
        blend(ball, iris[:3] * (0.55 + 0.45 * unit(under / 3.2)), iris[3])
        px, py = (x - gx) * sign, y - gy
        ball += 225 * blob((px - self.glint[0]) / 1.15) * blob((py - self.glint[1]) / 1.15)
        ball += 24 * blob((px + self.glint[0]) / 1.6) * blob((py - 2.4) / 1.2)
        np.minimum(ball, 252, out=ball)
        blend(skin, ball, aperture)


class Brows:
    """Both brows: a strip of single hairs bent along the brow's line."""

    ROWS, COLUMNS = 20, 64

    def __init__(self, actor: Actor, canvas: Canvas, rng: np.random.Generator) -> None:
        self.actor = actor
        half = actor.brow_width + 8
        self.patches = [
            Patch(canvas, s * actor.eye_distance - half, actor.brow_y - 18, 2 * half, 34) for s in (-1, 1)
        ]
        self.x = [
            ((p.x - s * actor.eye_distance) * s).astype(F) for p, s in zip(self.patches, (-1, 1), strict=True)
        ]
        self.strip = self._strip(rng)

    def _strip(self, rng: np.random.Generator) -> np.ndarray:
        """Hairs over (top .. bottom, inner .. outer), ``(ROWS, COLUMNS, 4)`` float32
        with alpha in 0..1.
        """
        scale = 8
        rows, columns = self.ROWS * scale, self.COLUMNS * scale
        big = np.zeros((rows, columns), np.uint8)
        for _ in range(420):
            q = rng.uniform(-0.98, 0.9)
            spread = (0.60 + 0.25 * (1 - q) / 2) * (1 - 0.55 * max(q - 0.3, 0))
            v = rng.normal(0, 0.30) * spread
            lean, rise = 0.05 + 0.07 * (q + 1) / 2, (-0.34 + 0.46 * (q + 1) / 2) + rng.normal(0, 0.05)
            x0, y0 = (q / 2 * 0.86 + 0.48) * columns, (v / 2 + 0.5) * rows
            end = (int(x0 + lean * columns), int(y0 + rise * rows * 0.5))
            cv2.line(
                big, (int(x0), int(y0)), end, int(rng.uniform(110, 235)), int(rng.integers(3, 6)), cv2.LINE_AA
            )
        hairs = cv2.resize(big, (self.COLUMNS, self.ROWS), interpolation=cv2.INTER_AREA).astype(F) / 255
        across = np.exp(-((np.linspace(-1, 1, self.ROWS)[:, None] / 0.5) ** 2))
        along = np.interp(
            np.linspace(-1, 1, self.COLUMNS), [-1, -0.85, -0.55, 0.45, 0.85, 1], [0, 0.35, 0.7, 0.7, 0.3, 0]
        )
        alpha = np.clip(1.15 * hairs + 0.35 * across * along, 0, 0.95)
        tone = 1 + 0.15 * noise((self.ROWS, self.COLUMNS), 1.0, rng)
        return np.dstack(
            [np.clip(np.array(self.actor.brow_colour, F) * tone[..., None], 0, 255), alpha]
        ).astype(F)

    def paint(self, image: np.ndarray, pose: Pose) -> None:
        """Draw both brows."""
        a = self.actor
        for patch, x, sign in zip(self.patches, self.x, (-1, 1), strict=True):
            q = (x + 1.0 + 2.6 * pose.furrow * unit(0.5 - x / 30)) / a.brow_width
            inner = np.minimum(np.maximum((0.55 - q) / 1.5, 0), 1.1)
            outer = np.minimum(np.maximum((q + 0.45) / 1.4, 0), 1.1)
            line = (
                a.brow_y
                - a.brow_arch * (1 - np.minimum(np.abs(q - 0.30) / 1.25, 1.2) ** 2)
                + 2.5 * unit(q - 0.35) ** 1.5
            )
            inner_rise = (7.5 if pose.brow_in > 0 else 6.0) * pose.brow_in
            line = line - inner_rise * inner - 6.5 * pose.brow_out * outer
            line = line - 4.5 * pose.brow_asym * sign * (0.4 + outer) + 1.6 * pose.furrow * inner
            half_thickness = a.brow_thick * (1.45 - 0.30 * np.maximum(np.minimum(q, 1), -1))
            offset = patch.y - line
            u = np.broadcast_to(((q / 2.04 + 0.5) * (self.COLUMNS - 1)).astype(F), offset.shape)
            v = (offset / (half_thickness * 2.3) + 0.5) * (self.ROWS - 1)
            strip = cv2.remap(
                self.strip,
                np.ascontiguousarray(u),
                v.astype(F),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
            ).transpose(2, 0, 1)
            skin = patch.load(image)
            skin *= 1 - 0.06 * blob((offset - 1.4 * half_thickness) / 3.0) * unit(1.1 - np.abs(q))
            blend(skin, strip[:3], strip[3])
            patch.store(image, skin)


class Mouth:
    """Lips, teeth, tongue and the dark between, over the skin; ``jaw`` is the drop of
    the chin.
    """

    def __init__(self, actor: Actor, canvas: Canvas, light: Light, rng: np.random.Generator) -> None:
        self.actor = actor
        self.patch = Patch(canvas, -37, actor.mouth_y - 19, 74, 52)
        self.x, self.y = self.patch.x, (self.patch.y - actor.mouth_y).astype(F)
        self.ax = np.abs(self.x)
        self.lip = colour(actor.lip_colour)
        self.seam = colour(actor.lip_colour, 0.28)
        self.lit_from = float(light.direction[0])
        self.lines = np.interp(
            np.linspace(-1.3, 1.3, 261), np.linspace(-1.3, 1.3, 75), rng.normal(0, 1, 75)
        ).astype(F)
        edges = np.cumsum([0.0, 7.4, 6.0, 6.2, 5.4])
        gaps = sum(blob((self.ax - F(e)) / F(0.55)) for e in edges)
        low_gaps = sum(blob((self.ax - F(e)) / F(0.5)) for e in np.cumsum([0.0, 5.0, 5.4, 6.0]))
        within = [(self.ax - (e + f) / 2) / (f - e) for e, f in pairwise(edges)]
        tooth = np.select([self.ax < e for e in edges[1:]], within, 0.5)
        self.upper_edge = (2.9 - 2.9 * tooth**2 - 0.010 * self.x**2).astype(F)
        teeth = colour([238, 232, 219], 0.95 if actor.age > 0.6 else 1.0)
        self.upper_teeth = teeth * (0.96 - 0.014 * self.ax - 0.22 * gaps).astype(F)
        self.lower_teeth = teeth * (0.74 - 0.012 * self.ax - 0.28 * low_gaps).astype(F)
        self.deep = colour([74, 24, 26])
        self.tongue = colour([198, 96, 98])
        self.groove = (0.16 * blob(self.x / 1.3)).astype(F)

    def opening(self, pose: Pose) -> tuple[float, float]:
        """Gap between the lips above and below the line where they meet, in units."""
        free = (1 - pose.close) * (1 - pose.bite)
        jaw = 15.0 * pose.open + 10.0 * pose.rest_open * (1 - 0.5 * min(pose.open, 1))
        jaw = jaw * (1 - 0.15 * pose.round)
        up = (0.14 * jaw + 3.4 * pose.upper + 0.35 * max(pose.stretch, 0.0)) * (1 - 0.3 * pose.press)
        low = 0.86 * jaw * (1 - 0.15 * pose.press) + 2.6 * pose.lower
        up = up * free + 2.1 * pose.bite * (1 - pose.close)
        low = low * free + 1.4 * pose.bite * (1 - pose.close)
        return up, low

    def jaw(self, pose: Pose) -> float:
        """Drop of the chin in units."""
        _, low = self.opening(pose)
        return max(0.0, 0.92 * (low - 1.6 * pose.lower * (1 - pose.close)) - 0.6 * pose.press)

    def width(self, pose: Pose) -> float:
        """Half width of the mouth in units."""
        wider = (
            0.13 * pose.wide
            + 0.20 * pose.stretch
            + 0.10 * max(pose.corner, 0.0)
            - 0.36 * pose.round
            - 0.04 * pose.close
        )
        return self.actor.mouth_width * (1 + wider)

    def paint(self, image: np.ndarray, pose: Pose) -> None:
        """Draw the mouth over the skin."""
        a, x, y, d = self.actor, self.x, self.y, self.patch.density
        up, low = self.opening(pose)
        w = self.width(pose)
        u = x / F(w)
        au = np.minimum(np.abs(u), 1)
        k = 1 - au * au
        smile = max(pose.corner, 0.0)
        lifted = (
            6.2 * pose.corner
            + 4.0 * pose.asym * np.sign(u)
            + 3.0 * abs(pose.asym) * (u * np.sign(pose.asym) > 0)
        )
        line = (0.9 * smile) * k - lifted * au**1.8
        bend = k ** (0.55 if pose.round > 0.4 else 0.7)
        in_top, in_bottom = line - up * bend, line + low * bend
        thin = (
            (1 - 0.42 * pose.press) * (1 - 0.16 * smile) * (1 - 0.28 * pose.close) * (1 + 0.35 * pose.round)
        )
        bow = k**0.62 * (1 - 0.20 * blob(u / 0.12) + 0.12 * blob((au - 0.27) / 0.17))
        upper = a.lip_upper * thin * (1 - 0.25 * pose.upper) * bow
        lower = a.lip_lower * thin * (1 - 0.45 * pose.bite) * (1 - 0.12 * min(pose.open, 1.0)) * k**0.55
        out_top, out_bottom = in_top - upper, in_bottom + lower
        skin = self.patch.load(image)
        # shade around: under the lower lip, in the corners
        shade = blob((y - out_bottom - 2.4) / 2.4) * (0.20 * k**0.6)
        for s in (-1, 1):
            shade += (
                0.30 * blob((x - s * (w + 0.5)) / 1.8) * blob((y + float(lifted[-1 if s > 0 else 0])) / 1.8)
            )
        skin *= 1 - 0.75 * shade
        # lips
        soft = d * 0.75
        lips = unit((y - out_top) * soft + 0.5) * unit((out_bottom - y) * soft + 0.5) * (k > 0)
        gap = up + low
        is_upper = unit((line - y) * 1.5 + 0.5) if gap < 1.0 else (y < (in_top + in_bottom) * 0.5).astype(F)
        v_up = unit((y - out_top) / np.maximum(upper, 0.6))
        v_low = unit((y - in_bottom) / np.maximum(lower, 0.6))
        lines = self.lines[np.minimum(np.maximum(((u + 1.3) * 100).astype(np.intp), 0), 260)]
        light = 0.86 + 0.24 * blob((v_low - 0.36) / 0.26) - 0.22 * v_low**3
        light += (0.06 - 0.26 * v_up * v_up + 0.0 - (light - 0.86)) * is_upper
        light *= (1 + 0.045 * lines) * (1 + 0.10 * self.lit_from * u) * (1 - 0.18 * au**4)
        gloss = (
            32
            * blob((v_low - 0.33) / 0.17)
            * (blob((u - 0.25 * self.lit_from) / 0.42) * (0.8 + 0.25 * lines))
            * (1 - is_upper)
        )
        blend(skin, self.lip * light + gloss, lips)
        if gap < 0.9 or pose.close > 0.6:
            seam = blob((y - (in_top + in_bottom) * 0.5) / (0.85 + 0.25 * pose.press)) * (
                0.75 * np.minimum(k * 6, 1)
            )
            blend(skin, self.seam, seam)
        if gap > 0.5:
            self._inside(skin, pose, k, in_top, in_bottom, low)
        self.patch.store(image, skin)

    def _inside(
        self, skin: np.ndarray, pose: Pose, k: np.ndarray, top: np.ndarray, bottom: np.ndarray, low: float
    ) -> None:
        """Dark, lower teeth, tongue, upper teeth between the lips; only the rows that
        are open.
        """
        first = int((float(top.min()) - self.y[0, 0]) * self.patch.density) - 1
        last = int((float(bottom.max()) - self.y[0, 0]) * self.patch.density) + 3
        rows = np.s_[max(first, 0) : last]
        x, ax, y, d = self.x, self.ax, self.y[rows], self.patch.density
        under = np.maximum(y - top, 0)
        inside = unit((y - top) * d + 0.5) * unit((bottom - y) * d + 0.5) * (k > 0.02)
        deep = self.deep * (0.45 + 0.55 * np.minimum(under / np.maximum(bottom - top, 0.8), 1))
        # lower teeth ride on the jaw
        jaw = max(low - 2.6 * pose.lower * (1 - pose.close), 0.0)
        edge = jaw - 0.6 - 1.3 * pose.lower + 0.018 * x * x
        blend(deep, self.lower_teeth, unit((y - edge) * d + 0.5) * ((ax < 18) * unit((k - 0.12) * 6)))
        # tongue: low in the mouth, its tip up for l, t, d, n, between the teeth for th
        reach = 13.5 - 3.0 * pose.tongue
        rise = 1.4 + 0.30 * low + pose.tongue * (0.55 * low + 1.0)
        body = np.sqrt(np.maximum(1 - (x / reach) ** 2, 0))
        crown = low + 1.5 - (rise + 1.5) * body
        wet = self.tongue * (0.72 + 0.30 * blob((y - crown - 1.8) / 2.2) - self.groove)
        blend(deep, wet, unit((y - crown) * (d * 0.7) + 0.5) * (body > 0))
        blend(
            deep,
            self.upper_teeth * (0.72 + 0.28 * np.minimum(under / 2.2, 1)),
            unit((self.upper_edge - y) * d + 0.5) * ((ax < 25) * unit((k - 0.06) * 8)),
        )
        if pose.tongue > 0.8:
            tip = unit((y - np.maximum(crown, 0.6)) * (d * 0.7) + 0.5) * (
                unit((9 - ax) * 0.5) * min((pose.tongue - 0.8) * 5, 1.0)
            )
            blend(deep, wet, tip)
        deep *= 1 - 0.45 * np.exp(under / F(-1.3))
        blend(skin[:, rows], deep, inside)
