// The outlines of a mask in each plane, as the server makes them (pipeline/exports/planes.py): bits of OUTLINE_BITS where
// a voxel touches the outside within that plane, a corner counted.

import { OUTLINE_BITS } from "../planes.js";
import { planeGrid } from "./grid.js";

export function outlineBits(mask, size_xyz, into) {
  into.fill(0);
  for (const [plane, bit] of Object.entries(OUTLINE_BITS)) {
    const grid = planeGrid(size_xyz, [1, 1, 1], plane);
    const slices = size_xyz[grid.axes[2]];
    for (let slice = 0; slice < slices; slice++) {
      for (let v = 0; v < grid.nv; v++) {
        let at = slice * grid.strideW + v * grid.strideV;
        for (let u = 0; u < grid.nu; u++, at += grid.strideU) {
          if (mask[at] && touchesOutside(mask, grid, at, u, v)) into[at] |= bit;
        }
      }
    }
  }
  return into;
}

function touchesOutside(mask, { nu, nv, strideU, strideV }, at, u, v) {
  if (u === 0 || v === 0 || u === nu - 1 || v === nv - 1) return true;
  for (let row = at - strideV; row <= at + strideV; row += strideV) {
    if (!mask[row - strideU] || !mask[row] || !mask[row + strideU]) return true;
  }
  return false;
}
