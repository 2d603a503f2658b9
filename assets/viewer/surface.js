// A smooth surface of a mask for the 3-D view: the mask is sampled on a grid of equal sides, blurred, and its level of one
// half is followed by surface nets (Gibson, MICCAI 1998): one point in each cell that the surface crosses.

const SIDE_MM = 3; // of the grid: a liver has about 50,000 triangles
const MARGIN = 4; // cells around the mask, so that the blur ends within the grid
const ROUNDS = 2; // of the blur; each averages as many neighbours as the thickest voxel is long

// Points, 3 numbers each, in voxels of the mask (centre of the first voxel at 0, 0, 0), and triangles; null of an empty one.
export function smoothSurface(mask, size, spacing_mm) {
  const box = boundingBox(mask, size);
  if (!box) return null;
  const grid = sample(mask, size, spacing_mm, box);
  for (let round = 0; round < ROUNDS; round++) {
    for (const axis of [0, 1, 2]) blur(grid, axis, Math.max(1, Math.round((0.5 * spacing_mm[axis]) / SIDE_MM)));
  }
  return surfaceNets(grid);
}

function boundingBox(mask, [nx, ny, nz]) {
  const low = [nx, ny, nz], high = [-1, -1, -1];
  for (let z = 0, i = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, i++) {
        if (!mask[i]) continue;
        low[0] = Math.min(low[0], x); high[0] = Math.max(high[0], x);
        low[1] = Math.min(low[1], y); high[1] = Math.max(high[1], y);
        low[2] = Math.min(low[2], z); high[2] = Math.max(high[2], z);
      }
    }
  }
  return high[0] < 0 ? null : { low, high };
}

// The mask around its box, linearly interpolated: values, their number along each axis, and where they lie in voxels.
function sample(mask, size, spacing_mm, { low, high }) {
  const step = spacing_mm.map((mm) => SIDE_MM / mm);
  const origin = low.map((first, axis) => first - MARGIN * step[axis]);
  const n = low.map((first, axis) => Math.ceil((high[axis] - first) / step[axis]) + 2 * MARGIN + 1);
  const values = new Float32Array(n[0] * n[1] * n[2]);
  const held = (x, y, z) => (
    x >= 0 && y >= 0 && z >= 0 && x < size[0] && y < size[1] && z < size[2] ? mask[x + size[0] * (y + size[1] * z)] : 0
  );
  for (let k = 0, i = 0; k < n[2]; k++) {
    const z = origin[2] + k * step[2], z0 = Math.floor(z), fz = z - z0;
    for (let j = 0; j < n[1]; j++) {
      const y = origin[1] + j * step[1], y0 = Math.floor(y), fy = y - y0;
      for (let h = 0; h < n[0]; h++, i++) {
        const x = origin[0] + h * step[0], x0 = Math.floor(x), fx = x - x0;
        const line = (yy, zz) => (1 - fx) * held(x0, yy, zz) + fx * held(x0 + 1, yy, zz);
        const plane = (zz) => (1 - fy) * line(y0, zz) + fy * line(y0 + 1, zz);
        values[i] = (1 - fz) * plane(z0) + fz * plane(z0 + 1);
      }
    }
  }
  return { values, n, step, origin };
}

// The mean of 2 * reach + 1 neighbours along an axis, in place.
function blur({ values, n }, axis, reach) {
  const stride = [1, n[0], n[0] * n[1]][axis], length = n[axis];
  const line = new Float32Array(length);
  const [a, b] = [0, 1, 2].filter((other) => other !== axis);
  const strides = [1, n[0], n[0] * n[1]];
  for (let i = 0; i < n[a]; i++) {
    for (let j = 0; j < n[b]; j++) {
      const start = i * strides[a] + j * strides[b];
      for (let k = 0; k < length; k++) line[k] = values[start + k * stride];
      for (let k = 0; k < length; k++) {
        let sum = 0;
        for (let m = Math.max(k - reach, 0); m <= Math.min(k + reach, length - 1); m++) sum += line[m];
        values[start + k * stride] = sum / (2 * reach + 1);
      }
    }
  }
}

function surfaceNets({ values, n, step, origin }) {
  const points = [], triangles = [];
  const strides = [1, n[0], n[0] * n[1]];
  const pointOf = new Int32Array(values.length).fill(-1);
  eachCell(n, (x, y, z, i) => {
    const point = cellPoint(values, strides, i);
    if (!point) return;
    pointOf[i] = points.length / 3;
    points.push(...[x, y, z].map((cell, axis) => origin[axis] + (cell + point[axis]) * step[axis]));
  });
  // Each edge of the grid that crosses the surface is shared by four cells, whose points make two triangles.
  eachCell(n, (x, y, z, i) => {
    for (const [axis, a, b] of [[0, 1, 2], [1, 2, 0], [2, 0, 1]]) {
      if ([x, y, z][a] === 0 || [x, y, z][b] === 0) continue;
      const inside = values[i] >= 0.5;
      if (inside === values[i + strides[axis]] >= 0.5) continue;
      const ring = [i - strides[a] - strides[b], i - strides[b], i, i - strides[a]].map((cell) => pointOf[cell]);
      const [p, q, r, s] = inside ? ring : ring.reverse();
      triangles.push(p, q, r, p, r, s);
    }
  });
  return { points: Float32Array.from(points), triangles: Uint32Array.from(triangles) };
}

function eachCell(n, visit) {
  for (let z = 0; z + 1 < n[2]; z++) {
    for (let y = 0; y + 1 < n[1]; y++) {
      for (let x = 0; x + 1 < n[0]; x++) visit(x, y, z, x + n[0] * (y + n[1] * z));
    }
  }
}

// The mean of where the surface crosses the cell's edges, 0-1 along each axis; null where it does not.
function cellPoint(values, strides, i) {
  const corner = (bits) => values[i + (bits & 1) * strides[0] + ((bits >> 1) & 1) * strides[1] + (bits >> 2) * strides[2]];
  const sum = [0, 0, 0];
  let crossings = 0;
  for (let from = 0; from < 8; from++) {
    for (let axis = 0; axis < 3; axis++) {
      if ((from >> axis) & 1) continue;
      const [one, other] = [corner(from), corner(from | (1 << axis))];
      if (one >= 0.5 === other >= 0.5) continue;
      crossings += 1;
      for (let k = 0; k < 3; k++) sum[k] += k === axis ? (0.5 - one) / (other - one) : (from >> k) & 1;
    }
  }
  return crossings ? sum.map((value) => value / crossings) : null;
}
