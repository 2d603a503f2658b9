// Voxels of a slice that a tool covers. Places are (u, v) of the plane; the brush is round in millimetres.

// Calls paint(u, v) for each voxel whose centre lies within `radius_mm` of the line from `from` to `to`, and for the voxel
// at each of its ends, so that the smallest brush draws too.
export function brushLine(grid, from, to, radius_mm, paint) {
  const { nu, nv, mmU, mmV } = grid;
  for (const [u, v] of [from, to]) {
    if (u >= 0 && v >= 0 && u < nu && v < nv) paint(Math.floor(u), Math.floor(v));
  }
  const [ax, ay] = [from[0] * mmU, from[1] * mmV];
  const [dx, dy] = [to[0] * mmU - ax, to[1] * mmV - ay];
  const length2 = dx * dx + dy * dy;
  const low = (a, b, mm) => Math.max(Math.floor(Math.min(a, b) - radius_mm / mm), 0);
  const high = (a, b, mm, n) => Math.min(Math.ceil(Math.max(a, b) + radius_mm / mm), n - 1);
  for (let v = low(from[1], to[1], mmV); v <= high(from[1], to[1], mmV, nv); v++) {
    for (let u = low(from[0], to[0], mmU); u <= high(from[0], to[0], mmU, nu); u++) {
      const [px, py] = [(u + 0.5) * mmU - ax, (v + 0.5) * mmV - ay];
      const along = length2 ? Math.min(Math.max((px * dx + py * dy) / length2, 0), 1) : 0;
      if (Math.hypot(px - along * dx, py - along * dy) <= radius_mm) paint(u, v);
    }
  }
}

// Calls paint(u, v) for each voxel whose centre lies inside the closed line through `points`, by the even-odd rule.
export function fillContour(grid, points, paint) {
  const { nu, nv } = grid;
  const first = Math.max(Math.floor(Math.min(...points.map(([, v]) => v))), 0);
  const last = Math.min(Math.ceil(Math.max(...points.map(([, v]) => v))), nv - 1);
  for (let v = first; v <= last; v++) {
    const crossings = [];
    const y = v + 0.5;
    points.forEach(([u1, v1], i) => {
      const [u2, v2] = points[(i + 1) % points.length];
      if (v1 <= y !== v2 <= y) crossings.push(u1 + ((y - v1) / (v2 - v1)) * (u2 - u1));
    });
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const end = Math.min(Math.ceil(crossings[i + 1] - 0.5), nu);
      for (let u = Math.max(Math.ceil(crossings[i] - 0.5), 0); u < end; u++) paint(u, v);
    }
  }
}
