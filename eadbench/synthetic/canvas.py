"""What heads are drawn on: the light, the grid of coordinates, the outline of a head
on it, and functions that shape brightness.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

from eadbench.synthetic.cast import Actor


@dataclass(frozen=True)
class Light:
    """Key light: direction it comes from (azimuth to the viewer's right, elevation;
    degrees), strength, warmth (-1 cool .. 1 warm), ambient share.
    """

    azimuth: float = -30.0
    elevation: float = 40.0
    strength: float = 0.56
    warmth: float = 0.1
    ambient: float = 0.56

    @property
    def direction(self) -> np.ndarray:
        """Unit vector towards the light; x right, y down, z to the viewer."""
        a, e = np.radians(self.azimuth), np.radians(self.elevation)
        return np.array([np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)], np.float32)

    @property
    def tint(self) -> np.ndarray:
        return np.array([1 + 0.07 * self.warmth, 1.0, 1 - 0.09 * self.warmth], np.float32)


@dataclass(frozen=True)
class Canvas:
    """A grid of canonical coordinates: x to the right with the face's middle at 0, y
    down. ``density`` pixels per unit.
    """

    left: float
    top: float
    width: float
    height: float
    density: float

    @property
    def shape(self) -> tuple[int, int]:
        return round(self.height * self.density), round(self.width * self.density)

    @cached_property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x ``(H, W)`` and y ``(H, W)``, float32, at pixel centres."""
        rows, columns = self.shape
        x = self.left + (np.arange(columns, dtype=np.float32) + 0.5) / self.density
        y = self.top + (np.arange(rows, dtype=np.float32) + 0.5) / self.density
        return np.broadcast_to(x, (rows, columns)).copy(), np.broadcast_to(y[:, None], (rows, columns)).copy()


def bump(x: np.ndarray, y: np.ndarray, cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
    """A Gaussian hill of height 1."""
    return np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)


def smooth(start: float, end: float, x: np.ndarray) -> np.ndarray:
    """Smooth step from 0 at ``start`` to 1 at ``end``."""
    share = np.clip((x - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with reflected borders."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def noise(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of standard deviation 1."""
    field = blur(rng.standard_normal(shape).astype(np.float32), max(sigma, 0.3))
    return field / (field.std() + 1e-6)


def polar_outline(points: list[tuple[float, float]], centre: float) -> CubicSpline:
    """Radius as a function of the angle from straight down (0) to straight up (pi),
    through points ``(|x|, y)`` of a symmetric outline.
    """
    xy = np.array(points, float)
    angle = np.arctan2(xy[:, 0], xy[:, 1] - centre)
    radius = np.hypot(xy[:, 0], xy[:, 1] - centre)
    order = np.argsort(angle)
    return CubicSpline(angle[order], radius[order], bc_type=((1, 0.0), (1, 0.0)))


class Silhouette:
    """An actor's outline on a canvas, in polar coordinates around the head's centre.

    Args:
        actor: Whose outline.
        canvas: Where it is drawn.

    Attributes:
        x, y, ax: Coordinates of the pixels and ``|x|``, ``(H, W)`` float32 in units.
        angle: From straight down (0) to straight up (pi), ``(H, W)``.
        radius: Distance of the outline from the centre at that angle, in units.
        rho: Distance from the centre as a share of ``radius``.
        face_alpha: Coverage of the face, 0..1.
    """

    CENTRE = 128.0

    def __init__(self, actor: Actor, canvas: Canvas) -> None:
        self.actor, self.canvas = actor, canvas
        x, y = canvas.grid
        self.x, self.y, self.ax = x, y, np.abs(x)
        a = actor
        angle, distance = np.arctan2(self.ax, y - self.CENTRE), np.hypot(x, y - self.CENTRE)
        face = polar_outline(
            [
                (0, a.chin), (a.chin_width, a.chin - 4.0), (a.half_width * a.jaw * 0.70, a.chin - 18),
                (a.half_width * a.jaw, 176),
                (a.half_width * 0.985, 146), (a.half_width, 122), (a.half_width * 0.985, 98),
                (a.half_width * 0.86, 64), (a.half_width * 0.48, a.crown + 8), (0, a.crown),
            ], self.CENTRE,
        )  # fmt: skip
        self.radius = face(angle.ravel()).reshape(angle.shape).astype(np.float32)
        self.rho = distance / self.radius
        self.face_alpha = np.clip((self.radius - distance) * canvas.density * 0.8 + 0.5, 0, 1)
        self.angle = angle
