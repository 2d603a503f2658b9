"""The MR physics shared by phantom, simulated scanner and corruptions, one small function per effect.

Images are (z, y, x) with y as the phase-encode axis (anterior to posterior), as is usual in the abdomen.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.simulation.fields import Array, smooth_field


def coil_sensitivity(
    rng: np.random.Generator, shape: tuple[int, ...], spacing_mm_zyx: Array, log_sd: float, length_mm: float
) -> Array:
    """A receive coil's smooth multiplicative field (z, y, x) with median about 1.

    Modelled as in Sled et al., IEEE Trans Med Imaging 17 (1998) 87: the logarithm varies slowly.

    Args:
        log_sd: standard deviation of the natural logarithm.
        length_mm: correlation length.
    """
    return np.exp(np.float32(log_sd) * smooth_field(rng, shape, spacing_mm_zyx, length_mm))


def blur_in_plane(image: Array, sd_y: float, sd_x: float) -> Array:
    """Gaussian point spread in plane; standard deviations in voxels."""
    return ndimage.gaussian_filter(image, (0, sd_y, sd_x))


def add_breathing_ghosts(image: Array, amplitude: float, rng: np.random.Generator) -> None:
    """Add two ghosts, one on each side along the phase-encode axis, in place.

    Periodic motion gives discrete ghosts (Wood and Henkelman, Med Phys 12 (1985) 143); here the first pair, displaced
    by 15-35 % of the field of view.

    Args:
        amplitude: sum of both ghosts relative to the image.
    """
    step = int(image.shape[1] * rng.uniform(0.15, 0.35))
    image += np.float32(amplitude / 2) * (np.roll(image, step, 1) + np.roll(image, -step, 1))


def complex_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """White Gaussian noise of unit deviation in the real and the imaginary channel: (2, z, y, x) float32."""
    return rng.standard_normal((2, *shape), np.float32)


def rician_magnitude(signal: Array, noise: Array) -> Array:
    """Magnitude image of a real signal with noise (2, z, y, x) in both channels.

    It follows the Rician distribution (Gudbjartsson and Patz, Magn Reson Med 34 (1995) 910).
    """
    return np.hypot(signal + noise[0], noise[1])


def breathing(rng: np.random.Generator, slices: int, lines: int) -> Array:
    """Displacement (z, lines) while each phase-encode line is acquired, in units of the breathing amplitude.

    Lines are acquired from one end of k-space to the other, with 5 to 20 lines per breath; a random part with a
    standard deviation of 0.3 is added. Columns are ordered as ``np.fft.fftfreq``.
    """
    order = np.argsort(np.argsort(np.fft.fftfreq(lines)))
    period = rng.uniform(5, 20, (slices, 1))
    phase = rng.uniform(0, 2 * np.pi, (slices, 1))
    return np.sin(2 * np.pi * order / period + phase) + 0.3 * rng.standard_normal((slices, lines))


def move_while_encoding(image: Array, shift: Array) -> Array:
    """Magnitude image of a body that lies elsewhere for each phase-encode line.

    A displacement by d voxels is a phase of exp(-2 pi i k d) in k-space (Wood and Henkelman, Med Phys 12 (1985) 143).

    Args:
        shift: (z, lines) voxels along y, columns ordered as ``np.fft.fftfreq``.
    """
    k = np.fft.fftfreq(image.shape[1])
    spectrum = np.fft.fft(image, axis=1) * np.exp(-2j * np.pi * k * shift)[:, :, None]
    return np.abs(np.fft.ifft(spectrum, axis=1))


def limit_k_space(image: Array, axis: int, share: float) -> Array:
    """Remove the outer lines of k-space along one axis, as if they had not been acquired, and interpolate by zeros.

    Pixels grow by the factor 1 / ``share`` and edges ring (Bernstein et al., J Magn Reson Imaging 14 (2001) 270).

    Args:
        share: part of the lines that is kept, 0-1; the cut-off has a linear edge of 2 % of the lines.
    """
    k = np.abs(np.fft.rfftfreq(image.shape[axis])) * 2  # 1 is the highest frequency of the grid
    keep = np.clip((share - k) / 0.02 + 1, 0, 1)
    spectrum = np.fft.rfft(image, axis=axis) * np.expand_dims(keep, [a for a in range(3) if a != axis])
    return np.fft.irfft(spectrum, image.shape[axis], axis=axis)
