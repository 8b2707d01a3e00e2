"""Backdrop, camera and the motion of the head: from still layers and moving parts to
frames.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from eadbench.synthetic.acting import Expression
from eadbench.synthetic.canvas import Canvas, Light, blur, bump, noise, smooth
from eadbench.synthetic.cast import Actor
from eadbench.synthetic.features import Brows, Eyes, Mouth, Patch, Pose
from eadbench.synthetic.head import Head

PIVOT = 225.0  # the head nods and tilts about the neck
AXIS = 26.0  # depth of the axis that it rotates about
F = np.float32


@dataclass(frozen=True)
class Camera:
    """Frame size in pixels, pixels per unit, and where the face's middle (0, 128)
    appears.
    """

    width: int
    height: int
    scale: float
    x: float
    y: float

    def canvas(self) -> Canvas:
        """The part of the canonical plane that the frame shows, with a margin for
        motion, at about the frame's own resolution.
        """
        density = min(self.scale, 1.25)
        left, right = -self.x / self.scale - 12, (self.width - self.x) / self.scale + 12
        bottom = 128 + (self.height - self.y) / self.scale + 8
        left, right = max(left, -230.0), min(right, 230.0)
        return Canvas(left, -14.0, right - left, bottom + 14.0, density)


@dataclass(frozen=True)
class HeadPose:
    """Pose of the head in one frame: angles in radians (yaw to the right, pitch down,
    roll clockwise), shifts in units, zoom as a share.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    zoom: float = 0.0


def backdrop(camera: Camera, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A still, slightly blurred background, ``(H, W, 3)`` uint8.

    Args:
        camera: For the frame's size.
        kind: ``paper`` (plain studio paper), ``white``, or ``room`` (window, shelves,
            framed images out of focus).
        rng: Colours and furniture.
    """
    h, w = camera.height, camera.width
    y, x = np.mgrid[0:h, 0:w].astype(F) / max(h, w)
    if kind == "white":
        base = np.array([214, 214, 216], F)
    else:
        base = rng.uniform(70, 190) + rng.normal(0, 16, 3).astype(F)
    cx, cy = rng.uniform(0.3, 0.7) * w / max(h, w), rng.uniform(0.2, 0.5) * h / max(h, w)
    falloff = 1.10 - (0.22 if kind == "white" else 0.5) * ((x - cx) ** 2 + (y - cy) ** 2) ** 0.6
    image = base * falloff[..., None]
    if kind == "room":
        for _ in range(int(rng.integers(5, 11))):
            x0, y0 = rng.uniform(-0.1, 1) * w, rng.uniform(-0.1, 0.8) * h
            bw, bh = rng.uniform(0.06, 0.3) * w, rng.uniform(0.08, 0.6) * h
            shade = base * rng.uniform(0.4, 1.5) + rng.normal(0, 22, 3)
            cv2.rectangle(
                image, (int(x0), int(y0)), (int(x0 + bw), int(y0 + bh)), tuple(map(float, shade)), -1
            )
            cv2.rectangle(
                image,
                (int(x0), int(y0)),
                (int(x0 + bw), int(y0 + bh)),
                tuple(map(float, shade * 0.7)),
                max(2, w // 160),
            )
        image = blur(image, w / 130)
    image = image + noise((h, w), 1.0, rng)[..., None] * 1.6
    return np.clip(image, 0, 255).astype(np.uint8)


class Shot:
    """One actor before one camera, light and backdrop. ``frame`` renders; the still
    layers of expressions are drawn when first used and cached.
    """

    def __init__(
        self, actor: Actor, camera: Camera, light: Light, background: np.ndarray, rng: np.random.Generator
    ) -> None:
        self.actor, self.camera, self.light = actor, camera, light
        self.canvas = camera.canvas()
        self.head = Head(actor, self.canvas, rng)
        self.eyes = Eyes(actor, self.canvas, light, rng)
        self.brows = Brows(actor, self.canvas, rng)
        self.mouth = Mouth(actor, self.canvas, light, rng)
        self._layers: dict[Expression, np.ndarray] = {}
        self._plan_motion()
        self._plan_jaw()
        self._plate = self._with_torso(background)

    # ---- plans made once ------------------------------------------------------------

    def _plan_motion(self) -> None:
        """The window of the frame that moves and the fields that move it."""
        cam, s = self.camera, self.camera.scale
        c0, c1 = max(0, round(cam.x - 122 * s)), min(cam.width, round(cam.x + 122 * s))
        r0, r1 = max(0, round(cam.y - 142 * s)), min(cam.height, round(cam.y + 140 * s))
        self.window = np.s_[r0:r1, c0:c1]
        x = ((np.arange(c0, c1) + 0.5 - cam.x) / s).astype(F)[None, :].repeat(r1 - r0, 0)
        y = ((np.arange(r0, r1) + 0.5 - cam.y) / s + 128).astype(F)[:, None].repeat(c1 - c0, 1)
        above_neck = 1 - smooth(203, 264, y)
        off_shoulders = 1 - smooth(104, 122, np.abs(x)) * smooth(190, 215, y)
        weight = (above_neck * off_shoulders).astype(F)
        points = self._to_canvas(x, y)
        depth = cv2.remap(self.head.depth, *points, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) - AXIS
        self._rest_points = np.stack([m.ravel() for m in points])
        fields = (np.ones_like(x), x, PIVOT - y, depth, y - 128)
        self._fields = np.stack([(weight * field).ravel() for field in fields]).astype(F)
        self._window_shape = x.shape

    def _to_canvas(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c = self.canvas
        return ((x - c.left) * c.density - 0.5).astype(F), ((y - c.top) * c.density - 0.5).astype(F)

    def _plan_jaw(self) -> None:
        """The patch of skin that moves with the jaw and the mouth's corners, and by how
        much.
        """
        a = self.actor
        top, bottom, half_width = (
            a.nose_tip - 4,
            min(a.chin + 34, 128 + (self.camera.height - self.camera.y) / self.camera.scale + 6),
            72.0,
        )
        patch = Patch(self.canvas, -half_width, top, 2 * half_width, bottom - top)
        x, y = (
            np.broadcast_to(patch.x, (patch.y.shape[0], patch.x.size)),
            np.broadcast_to(patch.y, (patch.y.shape[0], patch.x.size)),
        )
        ax, d = np.abs(x), self.canvas.density
        drop = smooth(a.mouth_y - 1, a.mouth_y + 15, y) * (1 - smooth(a.chin + 3, a.chin + 30, y))
        drop = drop * (1 - smooth(a.half_width * 0.42, a.half_width * 1.05, ax))
        drag = bump(ax, y, a.mouth_width + 5, a.mouth_y, 13, 15) * np.sign(x)
        lift = bump(ax, y, a.mouth_width + 6, a.mouth_y - 2, 13, 15)
        lip = bump(x, y, 0, a.mouth_y - 7, 20, 7)
        self._jaw_patch = patch
        rows, columns = x.shape
        r0, c0 = patch.slices[0].start, patch.slices[1].start
        self._jaw_rest = (
            np.arange(columns, dtype=F)[None].repeat(rows, 0) + c0,
            np.arange(rows, dtype=F)[:, None].repeat(columns, 1) + r0,
        )
        self._jaw_fields = tuple((f * d).astype(F) for f in (drop, drag, lift, lip))

    def _with_torso(self, background: np.ndarray) -> np.ndarray:
        """Backdrop and the still body over the whole frame; the window is painted anew
        in each frame.
        """
        cam = self.camera
        x = ((np.arange(cam.width) + 0.5 - cam.x) / cam.scale).astype(F)[None, :].repeat(cam.height, 0)
        y = ((np.arange(cam.height) + 0.5 - cam.y) / cam.scale + 128).astype(F)[:, None].repeat(cam.width, 1)
        body = cv2.remap(
            self.layer(Expression()),
            *self._to_canvas(x, y),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        alpha = body[..., 3:].astype(F) / 255
        plate = (background * (1 - alpha) + body[..., :3] * alpha + 0.5).astype(np.uint8)
        self._window_background = np.ascontiguousarray(background[self.window])
        return plate

    def layer(self, expression: Expression) -> np.ndarray:
        """Still layer under an expression; drawn once per expression."""
        if expression not in self._layers:
            self._layers[expression] = self.head.layer(expression, self.light)
        return self._layers[expression]

    def drop_layers(self) -> None:
        """Drop the cached layers; the next take draws its own."""
        self._layers.clear()

    # ---- one frame ------------------------------------------------------------------

    def frame(self, layer: np.ndarray, pose: Pose, head: HeadPose) -> np.ndarray:
        """Render.

        Args:
            layer: Still layer (from ``layer``, or a mixture of two), ``(H, W, 4)``
                uint8.
            pose: Eyes, brows, mouth.
            head: Pose of the head.

        Returns:
            ``(height, width, 3)`` RGB uint8; the next call overwrites it, so copy what
            is needed later.
        """
        image = layer.copy()
        self._drag_jaw(layer, image, pose)
        self.eyes.paint(image, pose)
        self.brows.paint(image, pose)
        self.mouth.paint(image, pose)
        d = self.canvas.density
        shrink = head.zoom - head.yaw**2 / 2
        coefficients = -d * np.array(
            [
                [head.x, shrink, head.roll, head.yaw, 0.0],
                [head.y, head.roll, 0.0, head.pitch, head.zoom - head.pitch**2 / 2],
            ],
            F,
        )
        points = (self._rest_points + coefficients @ self._fields).reshape(2, *self._window_shape)
        warped = cv2.remap(image, points[0], points[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.extractChannel(warped, 3)
        inside = cv2.copyTo(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), alpha, self._window_background.copy())
        edge = np.flatnonzero((alpha - np.uint8(1)).ravel() < 254)  # neither 0 nor 255
        share = (alpha.ravel()[edge] * F(1 / 255))[:, None]
        pixels = inside.reshape(-1, 3)
        pixels[edge] = (
            pixels[edge] * share + self._window_background.reshape(-1, 3)[edge] * (1 - share) + 0.5
        ).astype(np.uint8)
        self._plate[self.window] = inside
        return self._plate

    def _drag_jaw(self, layer: np.ndarray, image: np.ndarray, pose: Pose) -> None:
        drop, drag, lift, lip = self._jaw_fields
        jaw = self.mouth.jaw(pose)
        outward = 4.5 * pose.stretch + 3.0 * max(pose.corner, 0) + 2.0 * pose.wide - 6.0 * pose.round
        up, _ = self.mouth.opening(pose)
        x = self._jaw_rest[0] - outward * drag
        y = self._jaw_rest[1] - jaw * drop + 3.2 * pose.corner * lift + 0.8 * up * lip
        image[self._jaw_patch.slices] = cv2.remap(
            layer, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
