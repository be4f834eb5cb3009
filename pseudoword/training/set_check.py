"""What is doubtful about the pictures of a training set, before anything is learned from them.

A finding is a reason to look, in words and figures; one that `leaves_out` is reason enough to propose that the picture
be left out. Nothing is ever left out unless somebody says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

from torch import Tensor

from ..decoding import Decoded, on_gray
from ..embedding.metadata import encodable
from .caption_fit import EVERYDAY, CaptionFit, caption_fits
from .cropping import Window, render, shape_for, windows
from .dataset import Picture
from .near_duplicates import BITS, bits_apart, difference_hash, near_duplicates
from .picture_sharpness import BLURRED_FROM, edge_spread
from .round_trip import as_picture
from .set_outliers import FEW, FEWEST, Belonging, belongings
from .settings import TrainSettings

Kind = Literal["outlier", "duplicate", "caption", "small", "blurred", "round trip"]

SMALL_FROM = 1.05  # times; less is not seen
ENLARGED_FROM = 1.5
"""Times: beyond, more than half of a picture's pixels are made up, and the blur of that is learned."""
POOR_BY_DB = 6.0
"""The VAE loses four times as much of a picture as of the median one."""
POOR_BELOW_DB = 15.0
"""Below, even large shapes are off, whatever the other pictures have."""


@dataclass(frozen=True)
class Finding:
    """What is doubtful about a picture, in a sentence with its figures, and whether that speaks for leaving it out."""

    kind: Kind
    sentence: str
    leaves_out: bool


@dataclass(frozen=True)
class Measured:
    """Figures of one picture at the size of training, taken from its pixels.

    `shape` (width, height) is what is trained, `enlargement` by how much the picture is enlarged to that, 1 or more;
    `spread` that of its clearest edges there (see `edge_spread`); `psnr` that of its round trip, None before it.
    """

    picture: Picture
    shape: tuple[int, int]
    enlargement: float
    spread: float | None
    hash: bytes
    psnr: float | None = None


@dataclass(frozen=True, eq=False)
class SeenByClip:
    """What a CLIP model says of the pictures of a set: features (N, D) of unit length, in their order.

    `contrast` and `logit_scale` are the model's (see `contrast_of`), `everyday` its features (M, D) of the everyday
    texts, `captions` (D,) those of captions by their text. `is_reliable` is false for a model that does not know this
    kind of pictures: then nothing that it alone says speaks for leaving a picture out.
    """

    features: Tensor
    contrast: float
    logit_scale: float
    everyday: Tensor
    captions: Mapping[str, Tensor]
    is_reliable: bool


@dataclass(frozen=True)
class Checked:
    """One picture with its figures and what was found; `belonging` and `caption` are None where nothing can be said."""

    measured: Measured
    findings: tuple[Finding, ...]
    belonging: Belonging | None
    caption: CaptionFit | None

    @property
    def leaves_out(self) -> bool:
        """Whether it is proposed to be left out."""
        return any(finding.leaves_out for finding in self.findings)


def measure(picture: Picture, decoded: Decoded, settings: TrainSettings, size: int, latent_factor: int) -> Measured:
    """The figures of `picture`, which shows `decoded`, trained at `size`."""
    # Of a picture that is shown whole, the border that is added would have the sharpest edges.
    shape, window = _trained_part(decoded, replace(settings, crop="center"), size, latent_factor)
    pixels, _ = render(decoded, window, shape, latent_factor, alpha_mask=False)
    enlargement = max(1.0, shape[0] / (window.right - window.left))
    return Measured(picture, shape, enlargement, edge_spread(as_picture(pixels)), difference_hash(on_gray(decoded)))


def trained_pixels(decoded: Decoded, settings: TrainSettings, size: int, latent_factor: int) -> tuple[Tensor, Tensor]:
    """What a training at `size` sees of `decoded` first: pixels (3, H, W) in [-1, 1], and the loss mask (1, h, w)."""
    shape, window = _trained_part(decoded, settings, size, latent_factor)
    return render(decoded, window, shape, latent_factor, alpha_mask=settings.alpha_mask)


def _trained_part(
    decoded: Decoded, settings: TrainSettings, size: int, latent_factor: int
) -> tuple[tuple[int, int], Window]:
    width, height = decoded.rgb.size
    shape = shape_for(width, height, size, latent_factor, buckets=settings.buckets)
    return shape, windows(width, height, shape, settings, 0)[0]


def check_set(pictures: Sequence[Measured], clip: SeenByClip | None) -> list[Checked]:
    """What is found about each of `pictures`; without `clip` nothing about belonging, duplicates and captions."""
    found: list[list[Finding]] = [[*_about_size(one), *_about_blur(one)] for one in pictures]
    belonging: Sequence[Belonging | None] = [None] * len(pictures)
    captions: Sequence[CaptionFit | None] = [None] * len(pictures)
    if clip is not None and pictures:
        belonging = belongings(clip.features, clip.contrast) or belonging
        captions = _captions(pictures, clip)
        for place, finding in _duplicates(pictures, clip.features):
            found[place].append(finding)
    for place, (own, fit) in enumerate(zip(belonging, captions, strict=True)):
        if clip is not None and own is not None and own.is_outlier:
            found[place].insert(0, _outlier(own, clip.is_reliable))
        if fit is not None and fit.is_doubtful:
            found[place].append(_unfit(pictures, place, fit))
    usual = [one.psnr for one in pictures if one.psnr is not None]
    for place, one in enumerate(pictures):
        found[place] += _about_round_trip(one, usual)
    return [
        Checked(one, tuple(findings), own, fit)
        for one, findings, own, fit in zip(pictures, found, belonging, captions, strict=True)
    ]


def remarks_on(count: int, clip: SeenByClip | None) -> list[str]:
    """What should be known about a check of `count` pictures."""
    if clip is None:
        return []
    if count < FEWEST:
        return [f"With fewer than {FEWEST} pictures nobody can say which of them doesn't belong."]
    if count <= FEW:
        return [f"Among {count} pictures only one that differs grossly from the others can be told not to belong."]
    return []


def _outlier(own: Belonging, is_reliable: bool) -> Finding:
    sentence = (
        f"It may not belong: its mean cosine with the others is {own.with_others:.2f}, and among those it is "
        f"{own.among_others:.2f}."
    )
    return Finding("outlier", sentence, is_reliable)


def _about_size(one: Measured) -> list[Finding]:
    if one.enlargement < SMALL_FROM:
        return []
    picture, (width, height) = one.picture, one.shape
    sentence = (
        f"It has {picture.width} × {picture.height} pixels and is enlarged {one.enlargement:.1f} times to "
        f"{width} × {height}; what is enlarged is soft."
    )
    return [Finding("small", sentence, one.enlargement >= ENLARGED_FROM)]


def _about_blur(one: Measured) -> list[Finding]:
    if one.spread is None or one.spread < BLURRED_FROM or one.enlargement >= ENLARGED_FROM:  # which is told already
        return []
    sentence = (
        f"It is blurred: at {one.shape[0]} × {one.shape[1]} its clearest edges are spread by {one.spread:.2f} pixels, "
        f"and those of sharp pictures by less than {BLURRED_FROM}."
    )
    return [Finding("blurred", sentence, True)]


def _duplicates(pictures: Sequence[Measured], features: Tensor) -> list[tuple[int, Finding]]:
    """For each picture with a better twin, which that is: the larger one, else the sharper, else the first."""
    best = sorted(
        range(len(pictures)), key=lambda place: (-_pixels(pictures[place]), _softness(pictures[place]), place)
    )
    rank = {place: number for number, place in enumerate(best)}
    twins: dict[int, int] = {}
    for pair in near_duplicates([one.hash for one in pictures], features):
        better, worse = sorted(pair, key=rank.__getitem__)
        if worse not in twins or rank[better] < rank[twins[worse]]:
            twins[worse] = better
    found = []
    for worse, better in twins.items():
        kept, other = pictures[better], pictures[worse]
        sentence = (
            f"It is nearly the same as {kept.picture.path.name}: {bits_apart(kept.hash, other.hash)} of {BITS} bits of "
            f"their difference hashes differ, and their cosine is {float(features[better] @ features[worse]):.3f}."
        )
        found.append((worse, Finding("duplicate", sentence, True)))
    return found


def _captions(pictures: Sequence[Measured], clip: SeenByClip) -> list[CaptionFit | None]:
    """How the captions of those that have one fit."""
    with_caption = [place for place, one in enumerate(pictures) if one.picture.filewords in clip.captions]
    fits: list[CaptionFit | None] = [None] * len(pictures)
    if with_caption:
        texts = [pictures[place].picture.filewords for place in with_caption]
        captions = clip.features.new_zeros(len(texts), clip.features.shape[1])
        for row, text in enumerate(texts):
            captions[row] = clip.captions[text]
        found = caption_fits(clip.features[with_caption], captions, texts, clip.everyday, clip.logit_scale)
        for place, fit in zip(with_caption, found, strict=True):
            better = None if fit.better is None else with_caption[fit.better]
            fits[place] = replace(fit, better=better)
    return fits


def _unfit(pictures: Sequence[Measured], place: int, fit: CaptionFit) -> Finding:
    """A caption can be mended, so it is no reason to leave the picture out."""
    if fit.better is not None:
        other = pictures[fit.better].picture
        reason = (
            f"with a cosine of {fit.cosine:.2f} less than “{_short(other.filewords)}”, which stands beside "
            f"{other.path.name}, with {fit.better_cosine:.2f}"
        )
    else:
        reason = f"no better than {round(fit.beaten * len(EVERYDAY))} of {len(EVERYDAY)} everyday texts do"
    caption = _short(pictures[place].picture.filewords)
    return Finding("caption", f"Its caption “{caption}” fits it {reason}; correct the caption.", False)


def _about_round_trip(one: Measured, usual: Sequence[float]) -> list[Finding]:
    """The VAE's loss is no fault of the picture, but tells that fine detail of it will not be learned."""
    if one.psnr is None:
        return []
    middle = median(usual)
    if one.psnr >= POOR_BELOW_DB and one.psnr >= middle - POOR_BY_DB:
        return []
    others = f", and {middle:.1f} dB is the median of the set" if len(usual) > 1 else ""
    sentence = f"The VAE brings it back with only {one.psnr:.1f} dB{others}: its fine detail cannot be learned."
    return [Finding("round trip", sentence, False)]


def _pixels(one: Measured) -> int:
    return one.picture.width * one.picture.height


def _softness(one: Measured) -> float:
    return 0.0 if one.spread is None else round(one.spread, 1)


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def checked_json(one: Checked) -> dict[str, Any]:
    """What is known of one picture, as plain JSON values; null where nothing can be said."""
    measured, own, fit = one.measured, one.belonging, one.caption
    picture = measured.picture
    return {
        "name": encodable(picture.path.name),
        "width": picture.width,
        "height": picture.height,
        "caption": encodable(picture.filewords),
        "enlargement": round(measured.enlargement, 3),
        "edge_spread": None if measured.spread is None else round(measured.spread, 3),
        "psnr": None if measured.psnr is None else round(measured.psnr, 2),
        "cosine_with_others": None if own is None else round(own.with_others, 4),
        "cosine_among_others": None if own is None else round(own.among_others, 4),
        "caption_cosine": None if fit is None else round(fit.cosine, 4),
        "leave_out": one.leaves_out,
        "findings": [
            {"kind": finding.kind, "sentence": encodable(finding.sentence), "leaves_out": finding.leaves_out}
            for finding in one.findings
        ],
    }
