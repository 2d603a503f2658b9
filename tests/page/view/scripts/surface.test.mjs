// The smooth surface of a mask. Run by node.
import assert from "node:assert/strict";
import test from "node:test";

const { smoothSurface } = await import(new URL("../../../../assets/viewer/surface.js", import.meta.url));

function ball(size, spacing_mm, radius_mm) {
  const mask = new Uint8Array(size[0] * size[1] * size[2]);
  const middle = size.map((n) => (n - 1) / 2);
  for (let z = 0, i = 0; z < size[2]; z++) {
    for (let y = 0; y < size[1]; y++) {
      for (let x = 0; x < size[0]; x++, i++) {
        const mm = [x, y, z].map((at, axis) => (at - middle[axis]) * spacing_mm[axis]);
        mask[i] = Math.hypot(...mm) <= radius_mm ? 1 : 0;
      }
    }
  }
  return { mask, middle };
}

test("a ball in thick slices has a smooth, closed surface at its radius, seen from outside", () => {
  const size = [60, 60, 24], spacing = [2, 2, 5], radius = 45;
  const { mask, middle } = ball(size, spacing, radius);
  const { points, triangles } = smoothSurface(mask, size, spacing);
  const at = (i) => [0, 1, 2].map((axis) => (points[3 * i + axis] - middle[axis]) * spacing[axis]);
  const radii = Array.from({ length: points.length / 3 }, (_, i) => Math.hypot(...at(i)));
  const mean = radii.reduce((a, b) => a + b, 0) / radii.length;
  assert.ok(Math.abs(mean - radius) < 2, `mean radius ${mean}`);
  assert.ok(Math.max(...radii.map((value) => Math.abs(value - mean))) < 2.5, "no steps as high as a slice");

  const edges = new Map();
  let volume = 0;
  for (let i = 0; i < triangles.length; i += 3) {
    const corners = [...triangles.subarray(i, i + 3)];
    corners.forEach((from, k) => {
      const key = `${from}-${corners[(k + 1) % 3]}`;
      edges.set(key, (edges.get(key) || 0) + 1);
    });
    const [[ax, ay, az], [bx, by, bz], [cx, cy, cz]] = corners.map(at);
    volume += (ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)) / 6;
  }
  for (const [key, times] of edges) {
    const [from, to] = key.split("-");
    assert.equal(times, edges.get(`${to}-${from}`), "each edge is shared by two triangles that face the same way");
  }
  const expected = (4 / 3) * Math.PI * radius ** 3;
  assert.ok(Math.abs(volume / expected - 1) < 0.08, `volume ${volume / expected} of the ball's`);
});

test("an empty mask has no surface, and one at the edge is closed", () => {
  assert.equal(smoothSurface(new Uint8Array(1000), [10, 10, 10], [5, 5, 5]), null);
  const full = smoothSurface(new Uint8Array(1000).fill(1), [10, 10, 10], [5, 5, 5]);
  assert.ok(full.points.every((value) => value > -2 && value < 11));
});
