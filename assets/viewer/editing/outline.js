// The outlines of a mask in each plane, as the server makes them (pipeline/exports/planes.py): bits of OUTLINE_BITS where
// a voxel touches the outside within that plane, a corner counted.

import { OUTLINE_BITS } from "../planes.js";

export function outlineBits(mask, [nx, ny, nz], into) {
  const [right, back, up] = [1, nx, nx * ny]; // distances of neighbours
  const { axial, coronal, sagittal } = OUTLINE_BITS;
  into.fill(0);
  for (let z = 0, at = 0; z < nz; z++) {
    const zEdge = z === 0 || z === nz - 1;
    for (let y = 0; y < ny; y++) {
      const yEdge = y === 0 || y === ny - 1;
      for (let x = 0; x < nx; x++, at++) {
        if (!mask[at]) continue;
        const xEdge = x === 0 || x === nx - 1;
        let bits = 0;
        if (xEdge || yEdge || touchesOutside(mask, at, right, back)) bits |= axial;
        if (xEdge || zEdge || touchesOutside(mask, at, right, up)) bits |= coronal;
        if (yEdge || zEdge || touchesOutside(mask, at, back, up)) bits |= sagittal;
        into[at] = bits;
      }
    }
  }
  return into;
}

function touchesOutside(mask, at, across, down) {
  for (let row = at - down; row <= at + down; row += down) {
    if (!mask[row - across] || !mask[row] || !mask[row + across]) return true;
  }
  return false;
}
