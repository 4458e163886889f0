"""Draw landscape scenes with numpy, and describe them in words.

A scene is a small `Scene` record (sky, light, ground, background, object, colour, place, weather, style). `sample_scene` draws one at random,
`render` turns it into an RGB picture of any size, `caption` writes a prompt for it from a grammar with many phrasings. Everything is a
function of the random generator that is handed in, so a data set is named by its seed alone.

Coordinates: x runs from 0 to width/height, y from 0 (top) to 1 (bottom); one unit is the height of the picture. Colours are linear-looking
floats in 0..1, arrays are float32 of shape [height, width, 3].
"""
from __future__ import annotations

import functools
from dataclasses import asdict, dataclass

import numpy as np

SKIES = ("day", "sunset", "night", "overcast", "dawn")
GROUNDS = ("sea", "meadow", "desert", "snow")
BACKS = ("none", "mountains", "hills", "forest")
OBJECTS = ("none", "boat", "house", "lighthouse", "tree", "balloon")
COLOURS = ("red", "blue", "yellow", "green", "white")
PLACES = ("left", "centre", "right")
LIGHTS = ("none", "sun", "moon")
WEATHERS = ("none", "rain", "snow")
STYLES = ("plain", "vivid", "pastel", "mono", "sepia")
FIELDS = {
    "sky": SKIES, "ground": GROUNDS, "back": BACKS, "object": OBJECTS, "colour": COLOURS, "place": PLACES, "light": LIGHTS,
    "light_place": PLACES, "weather": WEATHERS, "style": STYLES, "clouds": ("none", "clouds"),
}

RGB = {
    "red": (0.80, 0.10, 0.10), "blue": (0.10, 0.27, 0.78), "yellow": (0.97, 0.77, 0.09), "green": (0.10, 0.55, 0.20),
    "white": (0.95, 0.95, 0.93),
}


@dataclass
class Scene:
    """What is in a picture; every field takes one of the words in `FIELDS`."""

    sky: str
    ground: str
    back: str
    object: str
    colour: str
    place: str
    light: str
    light_place: str
    weather: str
    style: str
    clouds: str

    def labels(self) -> list[int]:
        """Index of each field's word, in the order of `FIELDS`."""
        values = asdict(self)
        return [FIELDS[k].index(values[k]) for k in FIELDS]


def held_out(scene: Scene) -> bool:
    """True for one in nine combinations of object, colour, ground and sky: they are never trained on."""
    if scene.object == "none":
        return False
    o, c = OBJECTS.index(scene.object), COLOURS.index(scene.colour)
    return (5 * o + 2 * c + 4 * GROUNDS.index(scene.ground) + 7 * SKIES.index(scene.sky)) % 9 == 0


def sample_scene(rng: np.random.Generator, test: bool = False) -> Scene:
    """A random scene; with `test` one of the held-out combinations, otherwise never one of them."""
    while True:
        sky = rng.choice(SKIES, p=(0.24, 0.21, 0.22, 0.17, 0.16))
        ground = rng.choice(GROUNDS, p=(0.4, 0.28, 0.16, 0.16))
        if ground == "sea":
            obj = rng.choice(OBJECTS, p=(0.12, 0.48, 0.0, 0.24, 0.0, 0.16))
        else:
            obj = rng.choice(OBJECTS, p=(0.12, 0.0, 0.42, 0.08, 0.24, 0.14))
        colour = rng.choice(("green", "red", "yellow", "white"), p=(0.4, 0.25, 0.2, 0.15)) if obj == "tree" else rng.choice(COLOURS)
        back = rng.choice(BACKS, p=(0.3, 0.35, 0.15, 0.2))
        light = {"day": "sun", "sunset": "sun", "dawn": "sun", "night": "moon", "overcast": "none"}[sky]
        if rng.random() < 0.3:
            light = "none"
        weather = "none"
        if sky in ("overcast", "night") and rng.random() < 0.45:
            weather = str(rng.choice(("rain", "snow")))
        style = rng.choice(STYLES, p=(0.64, 0.1, 0.1, 0.08, 0.08))
        clouds = "clouds" if sky != "overcast" and rng.random() < 0.35 else "none"
        if sky in ("night", "overcast") and style == "pastel":
            style = "plain"
        place, light_place = str(rng.choice(PLACES)), str(rng.choice(PLACES))
        if obj == "balloon" or sky in ("sunset", "dawn"):  # neither hides the other
            while obj != "none" and light_place == place:
                light_place = str(rng.choice(PLACES))
        scene = Scene(str(sky), str(ground), str(back), str(obj), str(colour), place, str(light), light_place, weather, str(style), clouds)
        if held_out(scene) == test:
            return scene


# ---------------------------------------------------------------------------------------------------------------- noise and canvas


@functools.lru_cache(maxsize=256)
def _basis(n: int, cells: int) -> np.ndarray:
    """Quadratic B-spline weights [n, cells + 2] that spread `cells` random values smoothly over n pixels."""
    t = (np.arange(n, dtype=np.float32) + 0.5) / n * cells
    i = np.minimum(t.astype(int), cells - 1)
    f = t - i
    out = np.zeros((n, cells + 2), np.float32)
    rows = np.arange(n)
    out[rows, i] = 0.5 * (1 - f) ** 2
    out[rows, i + 1] = 0.5 + f - f * f
    out[rows, i + 2] = 0.5 * f * f
    return out


def noise2(rng: np.random.Generator, h: int, w: int, cy: int, cx: int, octaves: int = 1) -> np.ndarray:
    """Smooth noise [h, w], mean 0 and about -1..1, with cy x cx cells in the first octave; each octave halves cells and strength."""
    out = np.zeros((h, w), np.float32)
    gain = 1.0
    for _ in range(octaves):
        grid = rng.standard_normal((cy + 2, cx + 2)).astype(np.float32)
        out += gain * (_basis(h, cy) @ grid @ _basis(w, cx).T)
        cy, cx, gain = min(cy * 2, h), min(cx * 2, w), gain * 0.5
    return out


def noise1(rng: np.random.Generator, n: int, cells: int, octaves: int = 1, gain: float = 0.5) -> np.ndarray:
    """Smooth one-dimensional noise [n]."""
    out = np.zeros(n, np.float32)
    g = 1.0
    for _ in range(octaves):
        out += g * (_basis(n, cells) @ rng.standard_normal(cells + 2).astype(np.float32))
        cells, g = min(cells * 2, n), g * gain
    return out


def rgb(*c: float) -> np.ndarray:
    """A colour as a float32 vector."""
    return np.array(c, np.float32)


def mix(a: np.ndarray, b: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """Linear blend from a (t = 0) to b (t = 1); t may be an array of one dimension less than the result."""
    if isinstance(t, np.ndarray) and t.ndim:
        t = t[..., None]
    return a + (b - a) * t


def smooth(t: np.ndarray, lo: float, hi: float) -> np.ndarray:
    """Smoothstep from lo to hi."""
    t = np.clip((t - lo) / (hi - lo), 0, 1)
    return t * t * (3 - 2 * t)


class Canvas:
    """A picture being drawn, or with `layer` a transparent one (premultiplied colour and `alpha`)."""

    def __init__(self, h: int, w: int, layer: bool = False):
        self.h, self.w, self.aspect = h, w, w / h
        self.y = ((np.arange(h, dtype=np.float32) + 0.5) / h)[:, None]
        self.x = ((np.arange(w, dtype=np.float32) + 0.5) / h)[None, :]
        self.img = np.zeros((h, w, 3), np.float32)
        self.alpha = np.zeros((h, w), np.float32) if layer else None

    def cut(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
        """Pixel slices of a box, one pixel larger on each side."""
        return (slice(max(0, int(y0 * self.h) - 1), min(self.h, int(y1 * self.h) + 2)),
                slice(max(0, int(x0 * self.h) - 1), min(self.w, int(x1 * self.h) + 2)))

    def paint(self, sl: tuple[slice, slice], mask: np.ndarray, colour: np.ndarray) -> None:
        """Blend a colour (one vector or [h, w, 3]) over the box by its coverage mask."""
        m = mask[..., None]
        self.img[sl] += m * (colour - self.img[sl])
        if self.alpha is not None:
            self.alpha[sl] += mask * (1 - self.alpha[sl])

    def poly(self, points, colour, to=None, across: bool = True) -> None:
        """A convex polygon (points in any turn) in one colour, or shaded from `colour` to `to` across x (or down y)."""
        p = np.asarray(points, np.float32)
        (x0, y0), (x1, y1) = p.min(0), p.max(0)
        sl = self.cut(x0, y0, x1, y1)
        x, y = self.x[:, sl[1]], self.y[sl[0]]
        q = np.roll(p, -1, 0)
        d = q - p
        turn = np.sign(np.sum(p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1])) or 1
        dist = np.full((y.shape[0], x.shape[1]), -1e9, np.float32)
        for (px, py), (dx, dy) in zip(p, d):
            n = np.hypot(dx, dy)
            if n > 1e-9:
                np.maximum(dist, turn * ((x - px) * dy - (y - py) * dx) / n, out=dist)
        mask = np.clip(0.5 - dist * self.h, 0, 1)
        if to is not None:
            t = np.clip((x - x0) / max(x1 - x0, 1e-6), 0, 1) if across else np.clip((y - y0) / max(y1 - y0, 1e-6), 0, 1)
            colour = mix(colour, to, np.broadcast_to(t, mask.shape))
        self.paint(sl, mask, colour)

    def disc(self, cx, cy, rx, ry, colour, to=None, light=(0.0, 0.0)) -> None:
        """An ellipse; with `to` shaded like a ball from `colour` at the light's side to `to` away from it."""
        sl = self.cut(cx - rx, cy - ry, cx + rx, cy + ry)
        x, y = (self.x[:, sl[1]] - cx) / rx, (self.y[sl[0]] - cy) / ry
        r = np.sqrt(x * x + y * y)
        mask = np.clip(0.5 - (r - 1) * min(rx, ry) * self.h, 0, 1)
        if to is not None:
            t = np.clip(np.hypot(x - light[0], y - light[1]) / 1.7, 0, 1)
            colour = mix(colour, to, t)
        self.paint(sl, mask, colour)

    def below(self, line: np.ndarray, colour) -> np.ndarray:
        """Fill under a height line (y of each column); returns the coverage mask."""
        mask = np.clip(0.5 + (self.y - line[None, :]) * self.h, 0, 1)
        self.img += mask[..., None] * (colour - self.img)
        return mask


# ---------------------------------------------------------------------------------------------------------------- palettes

# top of the sky, middle, horizon, glow of the light, strength of daylight on things, tint of that light
SKY = {
    "day": (rgb(0.13, 0.40, 0.82), rgb(0.36, 0.64, 0.93), rgb(0.77, 0.88, 0.96), rgb(1.0, 0.96, 0.82), 1.0, rgb(1.0, 0.99, 0.95)),
    "sunset": (rgb(0.20, 0.16, 0.42), rgb(0.83, 0.33, 0.30), rgb(1.0, 0.70, 0.30), rgb(1.0, 0.80, 0.40), 0.72, rgb(1.0, 0.80, 0.62)),
    "night": (rgb(0.015, 0.025, 0.10), rgb(0.04, 0.07, 0.22), rgb(0.12, 0.18, 0.36), rgb(0.72, 0.80, 1.0), 0.50, rgb(0.76, 0.84, 1.0)),
    "overcast": (rgb(0.50, 0.54, 0.59), rgb(0.63, 0.66, 0.70), rgb(0.78, 0.80, 0.81), rgb(0.9, 0.9, 0.9), 0.74, rgb(0.95, 0.97, 1.0)),
    "dawn": (rgb(0.42, 0.50, 0.82), rgb(0.86, 0.62, 0.78), rgb(1.0, 0.82, 0.74), rgb(1.0, 0.92, 0.80), 0.85, rgb(1.0, 0.90, 0.90)),
}
# near and far colour of the ground
GROUND = {
    "sea": (rgb(0.03, 0.20, 0.36), rgb(0.10, 0.42, 0.58)),
    "meadow": (rgb(0.16, 0.42, 0.10), rgb(0.45, 0.66, 0.24)),
    "desert": (rgb(0.78, 0.50, 0.24), rgb(0.95, 0.76, 0.46)),
    "snow": (rgb(0.76, 0.84, 0.95), rgb(0.96, 0.97, 1.0)),
}


def _along(place: str, rng: np.random.Generator, aspect: float) -> float:
    """x of something at the left, centre or right."""
    lo, hi = {"left": (0.20, 0.26), "centre": (0.47, 0.53), "right": (0.74, 0.80)}[place]
    return float(rng.uniform(lo, hi)) * aspect


@dataclass
class _Light:
    """Where the light is, its colour, and how bright and tinted it makes things."""

    x: float
    y: float
    side: float
    level: float
    tint: np.ndarray
    haze: np.ndarray
    night: bool

    def lit(self, colour, k: float = 1.0) -> np.ndarray:
        """A surface colour under this light, k times as bright."""
        return np.clip(np.asarray(colour, np.float32) * self.tint * (self.level * k), 0, 1)


def _sky(cv: Canvas, s: Scene, hz: float, rng: np.random.Generator) -> _Light:
    top, mid, low, glow, level, tint = (v + rng.uniform(-0.03, 0.03, 3).astype(np.float32) if i < 3 else v for i, v in enumerate(SKY[s.sky]))
    t = np.clip(cv.y / hz, 0, 1)
    bend = float(rng.uniform(0.5, 0.7))
    col = np.where((t < bend)[..., None], mix(top, mid, t / bend), mix(mid, low, (t - bend) / (1 - bend)))
    cv.img += np.clip(col, 0, 1)
    lx = _along(s.light_place, rng, cv.aspect)
    low_sun = s.sky in ("sunset", "dawn")
    ly = hz - float(rng.uniform(0.03, 0.13)) if low_sun else hz * float(rng.uniform(0.2, 0.42))
    d2 = (cv.x - lx) ** 2 + (cv.y - ly) ** 2
    shown = s.light != "none"
    if s.light == "moon" or s.sky == "night":
        stars = rng.random((max(1, int(90 * cv.aspect * hz)), 4)).astype(np.float32)
        for sx, sy, b, z in stars:
            cv.disc(sx * cv.aspect, sy * hz * 0.92, 0.0016 + 0.0026 * z * z, 0.0016 + 0.0026 * z * z, rgb(0.75, 0.8, 1) * (0.45 + 0.55 * b))
    strength = {"day": 0.55, "sunset": 0.75, "night": 0.36, "overcast": 0.2, "dawn": 0.6}[s.sky] * (1.0 if shown else 0.4)
    halo = strength * np.exp(-d2 / (0.09 if not low_sun else 0.16)) + (0.5 * strength * np.exp(-d2 / 0.012) if shown else 0)
    cv.img += np.clip(halo, 0, 1)[..., None] * (glow - cv.img)
    if shown:
        r = {"day": 0.055, "sunset": 0.075, "night": 0.062, "overcast": 0.05, "dawn": 0.068}[s.sky] * float(rng.uniform(0.9, 1.15))
        core = {"sunset": rgb(1.0, 0.90, 0.56), "night": rgb(0.97, 0.97, 0.90), "dawn": rgb(1.0, 0.95, 0.84)}.get(s.sky, rgb(1.0, 0.98, 0.86))
        if s.light == "moon":
            cv.disc(lx, ly, r, r, core, core * 0.82, (-0.4, -0.4))
            for _ in range(4):
                a, q = rng.uniform(0, 6.28), rng.uniform(0.1, 0.6)
                k = r * float(rng.uniform(0.12, 0.24))
                cv.disc(lx + r * q * np.cos(a), ly + r * q * np.sin(a), k, k, core * 0.86)
        else:
            cv.disc(lx, ly, r, r, core)
    light = _Light(lx, ly, -1.0 if lx < cv.aspect / 2 else 1.0, level, tint, low, s.sky == "night")
    if s.clouds == "clouds" or s.sky == "overcast":
        _clouds(cv, s, hz, light, glow, rng)
    return light


def _clouds(cv: Canvas, s: Scene, hz: float, light: _Light, glow, rng) -> None:
    n = noise2(rng, cv.h, cv.w, 6, max(2, int(2.5 * cv.aspect)), 4)
    shift = max(1, cv.h // 40)
    up = np.roll(n, shift, 0)
    # a share of the sky that does not depend on chance: clouds that were asked for are seen
    lo = float(np.quantile(n[: max(1, int(cv.h * hz * 0.7))], 0.42)) if s.sky != "overcast" else -0.9
    cover = smooth(n, lo, lo + 0.75) * smooth(cv.y, hz, hz * 0.55) * (0.92 if s.sky != "overcast" else 0.8)
    edge = np.clip(0.55 + 0.9 * (n - up), 0, 1)
    bright = {"day": rgb(1, 1, 1), "sunset": rgb(1.0, 0.72, 0.52), "night": rgb(0.22, 0.27, 0.42), "overcast": rgb(0.84, 0.86, 0.88),
              "dawn": rgb(1.0, 0.90, 0.90)}[s.sky]
    dark = {"day": rgb(0.68, 0.75, 0.85), "sunset": rgb(0.48, 0.24, 0.38), "night": rgb(0.05, 0.07, 0.17), "overcast": rgb(0.42, 0.45, 0.50),
            "dawn": rgb(0.66, 0.56, 0.74)}[s.sky]
    near = np.exp(-((cv.x - light.x) ** 2 + (cv.y - light.y) ** 2) / 0.05) * (0.5 if s.light != "none" else 0.1)
    col = mix(mix(dark, bright, edge), glow, near)
    cv.img += cover[..., None] * (col - cv.img)


def _back(cv: Canvas, s: Scene, hz: float, light: _Light, rng: np.random.Generator) -> None:
    n = cv.w
    if s.back == "mountains":
        for far in (1, 0):
            height = (0.26 if far else 0.17) * float(rng.uniform(0.85, 1.2))
            cells = max(2, int((4 if far else 5) * cv.aspect))
            peaks = 1 - np.minimum(1.1 * np.abs(noise1(rng, n, cells)), 1.6) ** 0.85
            ridge = peaks + 0.30 * noise1(rng, n, 2 * cells, 4, 0.5) + 0.35 * noise1(rng, n, 2)
            ridge = (ridge - ridge.min()) / max(float(np.ptp(ridge)), 1e-3)
            line = hz - height * (0.16 + 0.84 * ridge)
            rock = light.lit(mix(rgb(0.36, 0.38, 0.46), light.haze / max(light.level, 0.4), 0.45 if far else 0.15))
            broad = np.ones(max(3, n // 24), np.float32)
            even = np.convolve(np.pad(line, len(broad), mode="edge"), broad / len(broad), "same")[len(broad) : len(broad) + n]
            slope = np.gradient(even) * n / cv.aspect
            side = np.clip(0.5 + 0.34 * slope * light.side, 0, 1)[None, :]
            tex = noise2(rng, cv.h, cv.w, 24, max(2, int(20 * cv.aspect)), 2)
            depth = np.clip((cv.y - line[None, :]) / height, 0, 1)
            shade = 0.62 + 0.6 * np.clip(side + 0.28 * tex, 0, 1)
            col = np.clip(rock * shade[..., None], 0, 1)
            high = (hz - cv.y) / height
            cap = smooth(high + 0.10 * tex + 0.10 * side, *((0.50, 0.62) if far else (0.66, 0.78)))
            white = light.lit(rgb(0.97, 0.98, 1.0)) * (0.72 + 0.28 * np.clip(side + 0.2 * tex, 0, 1))[..., None]
            col = mix(col, white, cap)
            col = mix(col, light.haze, smooth(depth, 0.3, 1.0) * 0.45)
            cv.below(line, col)
    elif s.back == "hills":
        for k, h in enumerate((0.15, 0.10, 0.055)):
            line = hz - h * (0.75 + 0.5 * noise1(rng, n, max(2, int(2 * cv.aspect)), 2, 0.3))
            base = {"desert": rgb(0.72, 0.46, 0.28), "snow": rgb(0.80, 0.86, 0.95)}.get(s.ground, rgb(0.24, 0.46, 0.22))
            col = mix(light.lit(base, 1.0 - 0.12 * k), light.haze, (0.55, 0.32, 0.12)[k])
            depth = np.clip((cv.y - line[None, :]) / h, 0, 1)
            cv.below(line, mix(np.clip(col * 1.12, 0, 1), col * 0.86, depth))
    elif s.back == "forest":
        xs = cv.x[0]
        for k, h in enumerate((0.17, 0.12)):
            line = np.full(n, hz + 0.01, np.float32)
            for tx in np.arange(-0.05, cv.aspect + 0.05, 0.045 - 0.008 * k):
                tx += rng.uniform(-0.015, 0.015)
                th = h * rng.uniform(0.65, 1.15)
                tall = np.clip(1 - np.abs(xs - tx) / (0.3 * th + 0.012), 0, 1)
                saw = tall - 0.10 * ((tall * 5) % 1.0) * (tall > 0)
                line = np.minimum(line, hz + 0.01 - th * saw)
            base = rgb(0.62, 0.70, 0.72) if s.ground == "snow" and k == 1 else rgb(0.10, 0.27, 0.16)
            col = mix(light.lit(base, 1.0), light.haze, 0.38 if k == 0 else 0.06)
            depth = np.clip((cv.y - line[None, :]) / h, 0, 1)
            cv.below(line, mix(np.clip(col * 1.2, 0, 1), col * 0.7, depth))


def _reflect(cv: Canvas, src: np.ndarray, hz: float, rng: np.random.Generator, squeeze: float) -> np.ndarray:
    """`src` mirrored at the horizon with ripples; rows above the horizon are meaningless."""
    depth = np.clip((cv.y - hz) / (1 - hz), 0, 1)
    wave = noise2(rng, cv.h, cv.w, 70, max(2, int(9 * cv.aspect)), 2)
    yy = hz - (cv.y - hz) * squeeze + wave * (0.006 + 0.035 * depth)
    xx = cv.x + noise2(rng, cv.h, cv.w, 50, max(2, int(6 * cv.aspect)), 1) * (0.003 + 0.016 * depth)
    iy = np.clip((yy * cv.h).astype(int), 0, cv.h - 1)
    ix = np.clip((xx * cv.h).astype(int), 0, cv.w - 1)
    return src[iy, ix]


def _ground(cv: Canvas, s: Scene, hz: float, light: _Light, rng: np.random.Generator) -> None:
    near, far = (c + rng.uniform(-0.03, 0.03, 3).astype(np.float32) for c in GROUND[s.ground])
    depth = np.clip((cv.y - hz) / (1 - hz), 0, 1)
    flat = np.full(cv.w, hz, np.float32)
    if s.ground == "sea":
        mirror = _reflect(cv, cv.img, hz, rng, 0.9)
        base = light.lit(mix(far, near, depth), 1.05)
        wave = noise2(rng, cv.h, cv.w, 64, max(2, int(7 * cv.aspect)), 2)
        col = mix(mirror, base, np.broadcast_to(0.30 + 0.42 * depth, wave.shape))
        col = np.clip(col * (1 + (0.05 + 0.13 * depth) * wave)[..., None], 0, 1)
        crest = smooth(wave, 0.75, 1.35) * (0.10 + 0.30 * depth)
        col = mix(col, light.lit(rgb(0.9, 0.97, 1.0)), crest)
        if s.light != "none":
            width = 0.035 + 0.13 * depth
            path = np.exp(-((cv.x - light.x) / width) ** 2)
            spark = smooth(noise2(rng, cv.h, cv.w, 84, max(2, int(22 * cv.aspect)), 1), 0.0, 0.7)
            glint = SKY[s.sky][3] if s.light == "sun" else rgb(0.9, 0.94, 1.0)
            col = mix(col, glint, np.clip(path * (0.25 + 0.75 * spark), 0, 1) * 0.85)
        cv.below(flat, col)
        return
    if s.ground == "desert":
        cv.below(flat, light.lit(far))
        for k in range(4):
            d = (0.0, 0.18, 0.42, 0.70)[k]
            line = hz + (1 - hz) * d + (0.010 + 0.035 * d) * noise1(rng, cv.w, max(2, int(2 * cv.aspect)), 2, 0.3)
            slope = np.gradient(line) * cv.w / cv.aspect
            face = np.clip(0.62 - 0.9 * slope * light.side, 0.25, 1)[None, :]
            fall = np.clip((cv.y - line[None, :]) / 0.16, 0, 1)
            ripple = noise2(rng, cv.h, cv.w, 90, max(2, int(5 * cv.aspect)), 1) * 0.05
            tone = mix(far, near, d) * (0.74 + 0.34 * (face + (0.75 - face) * fall) + ripple)[..., None]
            cv.below(line, light.lit(tone))
        return
    tex = noise2(rng, cv.h, cv.w, 40, max(2, int(12 * cv.aspect)), 3)
    soft = noise2(rng, cv.h, cv.w, 5, max(2, int(2 * cv.aspect)), 1)
    if s.ground == "meadow":
        line = flat + 0.006 * noise1(rng, cv.w, max(2, int(3 * cv.aspect)), 2)
        tone = mix(far, near, np.clip(depth + 0.12 * soft, 0, 1)) * (1 + (0.05 + 0.13 * depth) * tex + 0.07 * soft)[..., None]
        cv.below(line, light.lit(tone))
        if rng.random() < 0.6:
            bloom = light.lit(RGB[str(rng.choice(("red", "yellow", "white")))], 1.1)
            for fx, fy, z in rng.random((int(70 * cv.aspect), 3)):
                y = hz + (1 - hz) * (0.12 + 0.88 * fy)
                r = 0.002 + 0.0055 * fy * (0.6 + 0.4 * z)
                cv.disc(fx * cv.aspect, y, r, r * 0.8, bloom)
    else:
        line = flat + 0.008 * noise1(rng, cv.w, max(2, int(3 * cv.aspect)), 2)
        tone = mix(far, near, np.clip(0.25 + 0.5 * depth + 0.28 * soft, 0, 1)) * (1 + 0.025 * tex)[..., None]
        cv.below(line, light.lit(tone, 1.0))
    if s.light != "none":
        sheen = np.exp(-((cv.x - light.x) / 0.35) ** 2) * (1 - depth) * (cv.y > hz)
        cv.img += (0.16 * sheen)[..., None] * (SKY[s.sky][3] - cv.img)


# ---------------------------------------------------------------------------------------------------------------- objects


def _boat(cv: Canvas, x: float, y: float, z: float, c, light: _Light, rng) -> None:
    """A sailing boat whose waterline is at y; z is the height of the mast."""
    lean = -light.side * 0.02 * z
    flip = -light.side
    hull, sail = light.lit(c, 0.95), light.lit(mix(np.asarray(c, np.float32), rgb(1, 1, 1), 0.12), 1.12)
    dark, bright = hull * 0.55, np.clip(hull * 1.25 + 0.04, 0, 1)
    L = 0.46 * z
    a, b = (dark, bright) if light.side > 0 else (bright, dark)
    cv.poly([(x - 0.012 * z + lean, y - z), (x + 0.012 * z + lean, y - z), (x + 0.014 * z, y - 0.1 * z), (x - 0.014 * z, y - 0.1 * z)],
            light.lit((0.35, 0.22, 0.12)))
    s1, s2 = np.clip(sail * 1.08, 0, 1), sail * 0.74
    cv.poly([(x + flip * 0.03 * z + lean, y - 0.97 * z), (x + flip * 0.03 * z, y - 0.22 * z), (x + flip * 0.50 * z, y - 0.24 * z)], s1, s2)
    cv.poly([(x - flip * 0.03 * z + lean, y - 0.86 * z), (x - flip * 0.03 * z, y - 0.22 * z), (x - flip * 0.36 * z, y - 0.22 * z)], s2, s1)
    cv.poly([(x - L, y - 0.16 * z), (x + L, y - 0.16 * z), (x + 0.72 * L, y + 0.02 * z), (x - 0.72 * L, y + 0.02 * z)], a, b)
    cv.poly([(x - L, y - 0.165 * z), (x + L, y - 0.165 * z), (x + 0.97 * L, y - 0.135 * z), (x - 0.97 * L, y - 0.135 * z)], light.lit((0.96, 0.94, 0.9)))


def _window(cv: Canvas, x0, y0, x1, y1, light: _Light) -> None:
    glass = rgb(1.0, 0.85, 0.45) if light.night else light.lit((0.25, 0.36, 0.48))
    cv.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], light.lit((0.92, 0.9, 0.86)))
    m = 0.14 * (x1 - x0)
    cv.poly([(x0 + m, y0 + m), (x1 - m, y0 + m), (x1 - m, y1 - m), (x0 + m, y1 - m)], glass, np.clip(glass * 1.25, 0, 1), False)


def _house(cv: Canvas, x: float, y: float, z: float, c, light: _Light, rng) -> None:
    """A house with a gable at one side; z is the height to the ridge."""
    d = light.side
    wall, front = light.lit(c, 1.0), light.lit(c, 1.0)
    roof = light.lit((0.36, 0.24, 0.20) if c[0] < 0.7 or c[1] > 0.5 else (0.26, 0.26, 0.30))
    w, top = 0.78 * z, y - 0.56 * z
    gx = x + d * 0.30 * w
    cv.poly([(x - 0.75 * w, y + 0.02 * z), (x + 0.75 * w, y + 0.02 * z), (x + 0.6 * w, y - 0.03 * z), (x - 0.6 * w, y - 0.03 * z)], light.lit((0.2, 0.22, 0.18), 0.9))
    cv.poly([(x - 0.7 * w, top), (x + 0.7 * w, top), (x + 0.7 * w, y), (x - 0.7 * w, y)], wall * 0.80, wall * 0.68, False)
    chim = x - d * 0.36 * w
    cv.poly([(chim - 0.07 * w, y - 1.08 * z), (chim + 0.07 * w, y - 1.08 * z), (chim + 0.07 * w, y - 0.7 * z), (chim - 0.07 * w, y - 0.7 * z)], light.lit((0.5, 0.3, 0.25)))
    r0, r1 = sorted((gx + d * 0.02 * w, x - d * 0.52 * w))
    cv.poly([(x - 0.78 * w, top + 0.03 * z), (x + 0.78 * w, top + 0.03 * z), (r1, y - z), (r0, y - z)], roof * 1.15, roof * 0.8, False)
    g0, g1 = sorted((gx - d * 0.40 * w, gx + d * 0.40 * w))
    cv.poly([(g0, top), (gx, y - 0.93 * z), (g1, top), (g1, y), (g0, y)], np.clip(front * 1.12, 0, 1), front * 0.96)
    e = 0.07 * z
    cv.poly([(g0 - 0.06 * w, top + e), (gx, y - z - 0.02 * z), (gx, y - z + e * 1.2), (g0 - 0.01 * w, top + e * 1.6)], roof * 0.9)
    cv.poly([(g1 + 0.06 * w, top + e), (gx, y - z - 0.02 * z), (gx, y - z + e * 1.2), (g1 + 0.01 * w, top + e * 1.6)], roof * 0.75)
    dw = 0.11 * w
    cv.poly([(gx - dw, y - 0.34 * z), (gx + dw, y - 0.34 * z), (gx + dw, y), (gx - dw, y)], light.lit((0.34, 0.2, 0.12)), light.lit((0.24, 0.14, 0.09)))
    _window(cv, gx - 0.1 * w, top - 0.06 * z, gx + 0.1 * w, top + 0.13 * z, light)
    for k in (0.16, 0.62):
        wx = x - d * k * w
        _window(cv, wx - 0.11 * w, top + 0.14 * z, wx + 0.11 * w, top + 0.34 * z, light)


def _lighthouse(cv: Canvas, x: float, y: float, z: float, c, light: _Light, rng) -> None:
    """A tapering tower in bands of its colour and white (grey for a white one), on a rock; z is its height."""
    for k in range(5):
        rx = 0.16 * z * float(rng.uniform(0.7, 1.3))
        g = float(rng.uniform(0.2, 0.34))
        cv.disc(x + (k - 2) * 0.10 * z, y + 0.02 * z, rx, 0.075 * z * float(rng.uniform(0.7, 1.2)), light.lit((g * 1.3, g * 1.2, g * 1.15)),
                light.lit((g * 0.5, g * 0.5, g * 0.55)), (0.4 * light.side, -0.6))
    hi, lo = 0.062 * z, 0.115 * z
    base, top = y, y - 0.76 * z
    other = (0.95, 0.95, 0.93) if c[0] < 0.9 or c[2] < 0.5 else (0.80, 0.81, 0.84)
    for k in range(5):
        y0, y1 = base + (top - base) * k / 5, base + (top - base) * (k + 1) / 5
        r0, r1 = lo + (hi - lo) * k / 5, lo + (hi - lo) * (k + 1) / 5
        col = light.lit(c if k % 2 == 0 else other, 1.1)
        a, b = (col * 0.62, col) if light.side > 0 else (col, col * 0.62)
        cv.poly([(x - r0, y0), (x + r0, y0), (x + r1, y1), (x - r1, y1)], a, b)
    cv.poly([(x - 1.5 * hi, top), (x + 1.5 * hi, top), (x + 1.5 * hi, top - 0.025 * z), (x - 1.5 * hi, top - 0.025 * z)], light.lit((0.25, 0.25, 0.28)))
    lamp = rgb(1.0, 0.93, 0.60) if light.night else light.lit((0.85, 0.9, 0.92))
    cv.poly([(x - 0.8 * hi, top - 0.025 * z), (x + 0.8 * hi, top - 0.025 * z), (x + 0.8 * hi, top - 0.13 * z), (x - 0.8 * hi, top - 0.13 * z)], lamp)
    cap = light.lit(c if min(c) < 0.8 else (0.4, 0.42, 0.46), 0.85)
    cv.poly([(x - 1.15 * hi, top - 0.125 * z), (x + 1.15 * hi, top - 0.125 * z), (x, y - z)], cap, cap * 0.7)


def _tree(cv: Canvas, x: float, y: float, z: float, c, light: _Light, rng) -> None:
    """A broad-leaved tree of height z."""
    bark = light.lit((0.30, 0.20, 0.13))
    cv.poly([(x - 0.05 * z, y), (x + 0.05 * z, y), (x + 0.025 * z, y - 0.55 * z), (x - 0.025 * z, y - 0.55 * z)], bark * 1.2, bark * 0.6)
    leaf = light.lit(c, 1.0)
    for _ in range(22):
        a, q = rng.uniform(0, 6.28), np.sqrt(rng.uniform(0, 1))
        r = z * float(rng.uniform(0.09, 0.16))
        cx, cy = x + 0.24 * z * q * np.cos(a), y - 0.66 * z + 0.22 * z * q * np.sin(a)
        k = 0.72 + 0.5 * float(np.clip((y - 0.45 * z - cy) / (0.45 * z), 0, 1)) + 0.10 * light.side * np.cos(a)
        cv.disc(cx, cy, r, r * 0.9, np.clip(leaf * k * 1.15, 0, 1), leaf * k * 0.72, (0.5 * light.side, -0.5))


def _balloon(cv: Canvas, x: float, y: float, z: float, c, light: _Light, rng) -> None:
    """A hot-air balloon; y is the underside of the basket, z its height."""
    r = 0.36 * z
    cy = y - z + r
    col = light.lit(c, 1.12)
    stripe = light.lit(mix(np.asarray(c, np.float32), rgb(1.0, 0.96, 0.88) if min(c) < 0.8 else rgb(0.75, 0.78, 0.84), 0.55), 1.1)
    for e in (-1, 1):
        cv.poly([(x + e * 0.5 * r, cy + 0.8 * r), (x + e * 0.46 * r, cy + 0.8 * r), (x + e * 0.13 * r, y - 0.12 * z), (x + e * 0.17 * r, y - 0.12 * z)], light.lit((0.3, 0.25, 0.2)))
    cv.poly([(x - 0.83 * r, cy + 0.5 * r), (x + 0.83 * r, cy + 0.5 * r), (x + 0.3 * r, cy + 1.22 * r), (x - 0.3 * r, cy + 1.22 * r)], col * 0.78, col * 0.62)
    cv.disc(x, cy, r, r, np.clip(col * 1.1, 0, 1), col * 0.55, (0.5 * light.side, -0.5))
    cv.disc(x, cy, 0.62 * r, r * 0.995, np.clip(stripe * 1.08, 0, 1), stripe * 0.6, (0.6 * light.side, -0.5))
    cv.disc(x, cy, 0.30 * r, r * 0.995, np.clip(col * 1.1, 0, 1), col * 0.62, (0.6 * light.side, -0.5))
    w = 0.08 * z
    cv.poly([(x - w, y - 0.13 * z), (x + w, y - 0.13 * z), (x + 0.8 * w, y), (x - 0.8 * w, y)], light.lit((0.55, 0.38, 0.2)), light.lit((0.36, 0.24, 0.12)))


DRAW = {"boat": _boat, "house": _house, "lighthouse": _lighthouse, "tree": _tree, "balloon": _balloon}
# height of the object and where its foot stands between horizon (0) and lower edge (1)
SIZE = {"boat": (0.44, 0.49, 0.34, 0.46), "house": (0.38, 0.42, 0.36, 0.48), "lighthouse": (0.58, 0.64, 0.28, 0.38), "tree": (0.54, 0.60, 0.42, 0.54),
        "balloon": (0.40, 0.44, -0.16, -0.06)}


def _object(cv: Canvas, s: Scene, hz: float, light: _Light, rng: np.random.Generator) -> None:
    lo, hi, near, far = SIZE[s.object]
    small = min(1.0, cv.aspect / 0.8)
    z = float(rng.uniform(lo, hi)) * small
    x = _along(s.place, rng, cv.aspect)
    y = hz + (1 - hz) * float(rng.uniform(near, far))
    if s.object == "balloon":
        y = max(y, z + 0.03)
    layer = Canvas(cv.h, cv.w, layer=True)
    colour = np.clip(np.asarray(RGB[s.colour]) * rng.uniform(0.93, 1.07), 0, 1).astype(np.float32)
    DRAW[s.object](layer, x, y, z, colour, light, rng)
    if s.ground == "sea" and s.object != "balloon":
        mirrored = _reflect(cv, np.dstack([layer.img, layer.alpha]), y, rng, 1.0)
        mask = mirrored[..., 3] * 0.62 * (cv.y > y) * np.exp(-3.2 * np.clip(cv.y - y, 0, 1))
        cv.img += mask[..., None] * (mirrored[..., :3] * 0.86 - cv.img)
    elif s.object != "balloon":
        reach = 0.42 * z
        away = -light.side
        sl = cv.cut(x - 1.6 * z, y - 0.08 * z, x + 1.6 * z, y + 0.08 * z)
        xx, yy = (cv.x[:, sl[1]] - x - away * reach) / (0.75 * z), (cv.y[sl[0]] - y - 0.005) / (0.055 * z)
        cv.paint(sl, 0.42 * np.exp(-(xx * xx) ** 2 - yy * yy) * (1 if light.level > 0.3 else 0.5), light.lit((0.10, 0.10, 0.16)))
    m = layer.alpha[..., None]
    cv.img += layer.img - m * cv.img
    if s.object == "lighthouse" and light.night:
        top = y - 0.845 * z
        d2 = (cv.x - x) ** 2 + (cv.y - top) ** 2
        beam = np.exp(-((cv.y - top) / (0.006 + 0.10 * np.abs(cv.x - x))) ** 2) * 0.5 * np.exp(-np.abs(cv.x - x) * 1.6)
        cv.img += np.clip(0.9 * np.exp(-d2 / 0.0012) + 0.4 * np.exp(-d2 / 0.02) + beam, 0, 0.95)[..., None] * (rgb(1, 0.93, 0.66) - cv.img)
    elif s.object == "house" and light.night:
        d2 = (cv.x - x) ** 2 + (cv.y - y + 0.3 * z) ** 2
        cv.img += (0.20 * np.exp(-d2 / 0.03))[..., None] * (rgb(1, 0.8, 0.45) - cv.img)


def _weather(cv: Canvas, s: Scene, rng: np.random.Generator) -> None:
    if s.weather == "rain":
        cv.img += 0.22 * (rgb(0.50, 0.56, 0.63) - cv.img)
        for rx, ry, q in rng.random((int(95 * cv.aspect), 3)):
            x, y, n = rx * cv.aspect, ry, 0.07 + 0.06 * q
            cv.poly([(x, y), (x + 0.007, y), (x + 0.007 - 0.18 * n, y + n), (x - 0.18 * n, y + n)], mix(cv.img[int(y * (cv.h - 1)), int(rx * (cv.w - 1))], rgb(0.86, 0.9, 0.95), 0.6))
    elif s.weather == "snow":
        for fx, fy, q in rng.random((int(120 * cv.aspect), 3)):
            r = 0.006 + 0.008 * q * q
            cv.disc(fx * cv.aspect, fy, r, r, rgb(0.97, 0.98, 1.0))


def _style(img: np.ndarray, style: str) -> np.ndarray:
    grey = (img @ rgb(0.3, 0.59, 0.11))[..., None]
    if style == "vivid":
        out = grey + (img - grey) * 1.45
        return (out - 0.5) * 1.1 + 0.5
    if style == "pastel":
        return 0.42 + 0.55 * (grey + (img - grey) * 0.8)
    if style == "mono":
        return np.repeat((grey - 0.5) * 1.15 + 0.5, 3, 2)
    if style == "sepia":
        return grey * rgb(1.08, 0.86, 0.62) + rgb(0.05, 0.03, 0.01)
    return img


def render(scene: Scene, rng: np.random.Generator, height: int = 256, width: int | None = None) -> np.ndarray:
    """Draw a scene: uint8 [height, width, 3]."""
    cv = Canvas(height, width or height)
    hz = float(rng.uniform(0.56, 0.60))
    light = _sky(cv, scene, hz, rng)
    _back(cv, scene, hz, light, rng)
    _ground(cv, scene, hz, light, rng)
    if scene.object != "none":
        _object(cv, scene, hz, light, rng)
    _weather(cv, scene, rng)
    img = _style(np.clip(cv.img, 0, 1), scene.style)
    return (np.clip(img, 0, 1) * 255 + 0.5).astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------- captions

WORDS = {
    "boat": ("boat", "sailboat", "sailing boat", "ship", "yacht"),
    "house": ("house", "cottage", "cabin", "home"),
    "lighthouse": ("lighthouse", "light house", "lighthouse tower"),
    "tree": ("tree", "big tree", "lone tree"),
    "balloon": ("hot air balloon", "balloon", "hot-air balloon"),
    "sea": ("sea", "ocean", "water", "lake", "calm sea", "waves"),
    "meadow": ("meadow", "field", "green meadow", "grass", "grassland", "flower meadow"),
    "desert": ("desert", "sand dunes", "sandy desert", "dunes"),
    "snow": ("snow", "snowy field", "snow covered ground", "winter landscape", "snowy plain"),
    "mountains": ("mountains", "snowy mountains", "mountain range", "mountains in the background", "distant mountains"),
    "hills": ("hills", "rolling hills", "hills in the background", "low hills"),
    "forest": ("forest", "pine forest", "woods", "forest in the background", "fir trees"),
    "clouds": ("clouds", "cloudy sky", "some clouds", "white clouds"),
    "rain": ("rain", "rainy", "heavy rain", "raining"),
    "snowfall": ("snowfall", "falling snow", "snowing", "snowflakes"),
    "day": ("blue sky", "daytime", "clear blue sky", "sunny day", "bright day", "day"),
    "sunset": ("sunset", "at sunset", "orange sky", "golden hour", "sunset sky", "evening"),
    "night": ("night", "at night", "starry night", "night sky", "starry sky", "stars"),
    "overcast": ("overcast sky", "grey sky", "gray sky", "overcast", "gloomy day"),
    "dawn": ("dawn", "at dawn", "pink sky", "early morning", "sunrise"),
    "vivid": ("vivid colors", "vibrant colours", "vivid", "saturated colors"),
    "pastel": ("pastel colors", "pastel", "soft pastel colours"),
    "mono": ("black and white", "monochrome", "black and white photo", "greyscale"),
    "sepia": ("sepia", "sepia photo", "old sepia photograph"),
}
PLACE_WORDS = {
    "left": ("on the left", "at the left", "on the left side", "to the left"),
    "centre": ("in the middle", "in the center", "in the centre", "centered"),
    "right": ("on the right", "at the right", "on the right side", "to the right"),
}
OPEN = ("", "", "", "", "a picture of ", "a painting of ", "a photo of ", "an image of ", "a beautiful view of ", "illustration of ", "landscape, ")
TAGS = ("masterpiece", "best quality", "highly detailed", "beautiful", "scenery", "landscape", "no humans", "4k", "digital art", "wallpaper")


def caption(scene: Scene, rng: np.random.Generator, full: bool = False) -> str:
    """A prompt for the scene. What is seldom said is left out at random, unless `full` asks for everything that matters."""

    def pick(key: str) -> str:
        return str(rng.choice(WORDS[key]))

    def say(p: float) -> bool:
        return full or rng.random() < p

    place = str(rng.choice(PLACE_WORDS[scene.place]))
    sky, ground = pick(scene.sky), pick(scene.ground)
    thing = ""
    if scene.object != "none":
        noun = pick(scene.object)
        colour = "" if scene.object == "tree" and scene.colour == "green" and rng.random() < 0.5 else scene.colour
        thing = f"{colour} {noun}".strip()
        if rng.random() < 0.9:
            thing = f"a {thing}"
        if say(0.85):
            thing = f"{thing} {place}"
    light = ""
    if scene.light != "none" and say(0.8):
        lead = {"sun": ("sun", "the sun", "setting sun" if scene.sky == "sunset" else "bright sun"), "moon": ("moon", "the moon", "full moon")}[scene.light]
        light = f"{rng.choice(lead)} {rng.choice(PLACE_WORDS[scene.light_place])}" if say(0.8) else str(rng.choice(lead))
    rest = [t for t in (
        light,
        pick(scene.back) if scene.back != "none" and say(0.9) else "",
        pick("clouds") if scene.clouds != "none" and say(0.7) else "",
        pick("snowfall" if scene.weather == "snow" else "rain") if scene.weather != "none" else "",
        pick(scene.style) if scene.style != "plain" else "",
    ) if t]
    rng.shuffle(rest)
    form = rng.random()
    if form < 0.4:
        parts = [t for t in (thing, ground if say(0.95) else "", sky if say(0.95) else "") if t]
        if rng.random() < 0.35:
            rng.shuffle(parts)
        text = ", ".join(parts + rest)
    elif form < 0.75:
        on = {"sea": ("on the", "at the"), "meadow": ("in the", "on a"), "desert": ("in the", "in a"), "snow": ("in the", "on")}[scene.ground]
        head = f"{thing} {rng.choice(on)} {ground}" if thing else f"{rng.choice(('the', 'a view of the'))} {ground}"
        bare = sky.removeprefix("at ")
        when = rng.choice((f", {sky}", f" under a {bare}" if "sky" in sky else f" {sky}" if sky.startswith("at ") else f", {bare}"))
        text = head + str(when) + ("".join(f", {t}" for t in rest) if rng.random() < 0.6 else (" with " + " and ".join(rest) if rest else ""))
    else:
        bare = sky.removeprefix("at ")
        text = f"{bare} over the {ground}" + (f" with {thing}" if thing else "") + "".join(f", {t}" for t in rest)
    text = str(rng.choice(OPEN)) + text
    for tag in rng.choice(TAGS, size=int(rng.choice((0, 0, 0, 1, 2))), replace=False):
        text = f"{text}, {tag}" if rng.random() < 0.7 else f"{tag}, {text}"
    return text


def make(seed: int, height: int = 256, width: int | None = None, test: bool = False) -> tuple[np.ndarray, str, Scene]:
    """Picture, caption and scene number `seed` of the data set."""
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, test)
    text = caption(scene, rng, full=test)
    return render(scene, rng, height, width), text, scene
