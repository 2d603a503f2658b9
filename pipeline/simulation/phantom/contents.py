"""Contents of the phantom's abdomen besides the labelled organs: vessels and bowel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.simulation.fields import Array, Box
from pipeline.simulation.phantom.shapes import Grid, tube
from pipeline.simulation.phantom.subject import Subject


def positions(g: Grid, inside: Array, rng: np.random.Generator, count: int) -> Array:
    """``count`` random points (n, 3) x, y, z in mm inside a mask (z, y, x) bool."""
    where = np.flatnonzero(inside)
    z, y, x = np.unravel_index(rng.choice(where, count), inside.shape)
    return (np.stack([x, y, z], 1) + rng.uniform(-0.5, 0.5, (count, 3))) * g.step_mm + g.first_mm


def grow_tree(rng: np.random.Generator, roots: Array, targets: Array, *, thickest_mm: float) -> tuple[Array, Array]:
    """Vessel tree: each target, the nearest first, is joined to the nearest vessel by a slightly curved branch.

    Args:
        roots: (n, 3) points of the trunk, from its origin, mm.
        targets: (m, 3) ends of the finest branches, mm.
        thickest_mm: largest radius.

    Returns:
        Points (k, 3) and radii (k,), mm. Radii grow with the number of targets that a branch feeds, after Murray's law
        (Proc Natl Acad Sci 12 (1926) 207), with an exponent of 0.28 instead of a third.
    """
    points = [*roots]
    parent = [max(i - 1, 0) for i in range(len(roots))]
    order = np.argsort(np.linalg.norm(targets - roots[-1], axis=1))
    known = np.full((len(roots) + len(targets) * 60, 3), np.inf)
    known[: len(roots)] = roots
    ends = []
    for target in targets[order]:
        n = len(points)
        gap = np.linalg.norm(known[:n] - target, axis=1)
        at = int(np.argmin(gap))
        steps = int(np.clip(gap[at] / 1.6, 1, 58))
        # Branches leave along the vessel they come from, then turn to their target.
        forward = points[at] - points[parent[at]]
        forward = forward / (np.linalg.norm(forward) + 1e-6)
        bow = forward * gap[at] * 0.25 + rng.normal(0, 0.05 * gap[at], 3)
        for k in range(1, steps + 1):
            t = k / steps
            point = points[at] * (1 - t) + target * t + bow * (4 * t * (1 - t)) * 0.5
            parent.append(at if k == 1 else len(points) - 1)
            points.append(point)
            known[len(points) - 1] = point
        ends.append(len(points) - 1)
    feeds = np.zeros(len(points))
    feeds[ends] = 1
    for i in range(len(points) - 1, 0, -1):
        feeds[parent[i]] += feeds[i]
    return np.array(points), np.minimum(1.3 * feeds**0.28, thickest_mm)


def hepatic_vessels(g: Grid, s: Subject, liver: Array, rng: np.random.Generator) -> Iterator[tuple[Box, Array]]:
    """Boxes and levels of the portal tree from the hilum and of three hepatic veins to the vena cava."""
    portal = np.array([[s.x(-0.10), s.y(0.02), s.z(0.52)], [s.x(-0.18), s.y(-0.06), s.z(0.47)]])
    yield tube(g, *grow_tree(rng, portal, positions(g, liver, rng, 210), thickest_mm=4.5))
    cava = np.array([s.x(-0.13), s.y(0.06), s.z(0.2)])
    targets = positions(g, liver, rng, 150)
    # Right, middle and left vein each drain their own third, split by direction seen from the vena cava.
    angle = np.arctan2(targets[:, 1] - cava[1], -(targets[:, 0] - cava[0]))
    for low, high in ((-0.55, 4.0), (-1.3, -0.55), (-4.0, -1.3)):
        own = targets[(angle >= low) & (angle < high)]
        if len(own):
            yield tube(g, *grow_tree(rng, cava[None], own, thickest_mm=3.6))


def wander(rng: np.random.Generator, start: Array, *, steps: int, step_mm: float, low: Array, high: Array) -> Array:
    """Winding path (n, 3) in mm inside a box: a random walk whose direction is correlated from step to step."""
    point, heading = np.array(start, float), rng.normal(0, 1, 3)
    path = [point]
    for _ in range(steps):
        heading = 0.86 * heading + 0.4 * rng.normal(0, 1, 3) * (1, 1, 0.7)
        heading = np.where((point < low) & (heading < 0) | (point > high) & (heading > 0), -heading, heading)
        point = point + step_mm * heading / (np.linalg.norm(heading) + 1e-6)
        path.append(point)
    return np.array(path)


def bowel_loops(s: Subject, rng: np.random.Generator, lowest_mm: float) -> list[tuple[Array, Array, float]]:
    """Loops of small bowel: path (n, 3) and radii (n,) in mm, relative intensity of the content."""
    loops = []
    low = np.array([s.x(-0.5), s.y(-0.58), lowest_mm + 5])
    high = np.array([s.x(0.62), s.y(-0.02), s.z(0.66)])
    for _ in range(int(rng.integers(15, 24))):
        start = rng.uniform(low, high)
        # Upper loops lie on the left, where the liver leaves room.
        if start[2] > s.z(0.85):
            start[0] = rng.uniform(s.x(0.05), s.x(0.6))
        path = wander(rng, start, steps=int(rng.integers(25, 60)), step_mm=4.0, low=low, high=high)
        wave = 1 + 0.12 * np.sin(np.arange(len(path)) * rng.uniform(0.4, 0.9))
        content = float(rng.choice([0.42, 0.6, 0.85, 1.05], p=[0.35, 0.3, 0.2, 0.15]))
        loops.append((path, rng.uniform(7, 11.5) * wave, content))
    return loops


def colon(s: Subject, rng: np.random.Generator, lowest_mm: float) -> list[tuple[Array, Array]]:
    """Ascending, transverse and descending colon: paths (n, 3) and radii (n,) in mm, with haustra."""
    t = np.linspace(0, 1, 34)[:, None]
    bottom = lowest_mm - 10
    corners = {
        "up": ([s.x(-0.58), s.y(0.05), bottom], [s.x(-0.56), s.y(-0.15), s.z(0.98)]),
        "across": ([s.x(-0.5), s.y(-0.45), s.z(1.0)], [s.x(0.5), s.y(-0.5), s.z(0.62)]),
        "down": ([s.x(0.66), s.y(-0.25), s.z(0.45)], [s.x(0.66), s.y(0.12), bottom]),
    }
    paths = []
    for a, b in corners.values():
        path = np.array(a) * (1 - t) + np.array(b) * t
        path = path + 7 * np.sin(t * rng.uniform(4, 9, 3) + rng.uniform(0, 6, 3))
        path[:, 2] -= (18 * np.sin(np.pi * t[:, 0])) if a[1] < s.y(-0.4) else 0
        wave = 1 + 0.16 * np.sin(np.arange(len(path)) * rng.uniform(0.9, 1.3))
        paths.append((path, rng.uniform(12, 17) * wave))
    return paths
