// Slices between two drawn ones, from the signed distance to their outlines, which is mixed linearly (Raya and Udupa, IEEE
// Trans Med Imaging 9 (1990) 32). Distances are exact (Felzenszwalb and Huttenlocher, Theory Comput 8 (2012) 415).

const FAR = 1e20;

// The slice at `share`, 0-1, of the way from one to the other; nu * nv values each, u fastest, neither of them empty.
export function between(one, other, grid, share) {
  return mix(signedDistance(one, grid), signedDistance(other, grid), share);
}

// Calls paint(slice, cut) with the new content of every slice between neighbours of `drawn`, and returns these slices.
// Neighbours of which one is empty are left out.
export function fillBetween(cutOf, drawn, grid, paint) {
  const filled = [];
  for (let i = 0; i + 1 < drawn.length; i++) {
    const [first, last] = [drawn[i], drawn[i + 1]];
    const cuts = [cutOf(first), cutOf(last)];
    if (last - first < 2 || cuts.some((cut) => !cut.includes(1))) continue;
    const [one, other] = cuts.map((cut) => signedDistance(cut, grid));
    for (let slice = first + 1; slice < last; slice++) {
      paint(slice, mix(one, other, (slice - first) / (last - first)));
      filled.push(slice);
    }
  }
  return filled;
}

// Distance to the outline, mm: negative inside, positive outside, measured between voxel centres.
export function signedDistance(cut, grid) {
  const outside = distance2(cut, 1, grid), inside = distance2(cut, 0, grid);
  return outside.map((squared, i) => Math.sqrt(squared) - Math.sqrt(inside[i]));
}

function mix(one, other, share) {
  return Uint8Array.from(one, (value, i) => ((1 - share) * value + share * other[i] <= 0 ? 1 : 0));
}

// Squared distance of each voxel to the nearest one of that value, mm^2.
function distance2(cut, value, { nu, nv, mmU, mmV }) {
  const squared = Float64Array.from(cut, (held) => (held === value ? 0 : FAR));
  const line = new Float64Array(Math.max(nu, nv));
  for (let u = 0; u < nu; u++) {
    for (let v = 0; v < nv; v++) line[v] = squared[u + v * nu];
    const along = lineDistance2(line, nv, mmV);
    for (let v = 0; v < nv; v++) squared[u + v * nu] = along[v];
  }
  for (let v = 0; v < nv; v++) {
    const along = lineDistance2(squared.subarray(v * nu, (v + 1) * nu), nu, mmU);
    squared.set(along, v * nu);
  }
  return squared;
}

// The lower envelope of parabolas with these feet, `mm` apart.
function lineDistance2(feet, n, mm) {
  const at = new Int32Array(n), from = new Float64Array(n + 1), found = new Float64Array(n);
  let last = 0;
  from[0] = -Infinity;
  from[1] = Infinity;
  for (let q = 1; q < n; q++) {
    const meet = (p) => (feet[q] - feet[p] + mm * mm * (q * q - p * p)) / (2 * mm * mm * (q - p));
    while (last > 0 && meet(at[last]) <= from[last]) last -= 1;
    from[last + 1] = meet(at[last]);
    last += 1;
    at[last] = q;
    from[last + 1] = Infinity;
  }
  for (let q = 0, k = 0; q < n; q++) {
    while (from[k + 1] < q) k += 1;
    found[q] = Math.min((mm * (q - at[k])) ** 2 + feet[at[k]], FAR);
  }
  return found;
}
