// Slices of a volume in its three planes. A voxel's index is x + nx * (y + ny * z); in a plane its place is (u, v):
// axial (x, y), coronal (x, z), sagittal (y, z). Voxel (u, v) covers [u, u + 1) x [v, v + 1).

const AXES = { axial: [0, 1, 2], coronal: [0, 2, 1], sagittal: [1, 2, 0] };

export function planeGrid(size_xyz, spacing_mm_xyz, plane) {
  const [u, v, w] = AXES[plane];
  const strides = [1, size_xyz[0], size_xyz[0] * size_xyz[1]];
  return {
    plane,
    axes: AXES[plane], // of u, v and the slice
    nu: size_xyz[u],
    nv: size_xyz[v],
    mmU: spacing_mm_xyz[u],
    mmV: spacing_mm_xyz[v],
    strideU: strides[u],
    strideV: strides[v],
    strideW: strides[w],
  };
}

// One slice of a mask, nu * nv values, u fastest.
export function cutSlice(mask, grid, slice) {
  const cut = new Uint8Array(grid.nu * grid.nv);
  for (let v = 0, to = 0; v < grid.nv; v++) {
    let from = slice * grid.strideW + v * grid.strideV;
    for (let u = 0; u < grid.nu; u++, from += grid.strideU) cut[to++] = mask[from];
  }
  return cut;
}

export function voxelIndex(grid, u, v, slice) {
  return slice * grid.strideW + v * grid.strideV + u * grid.strideU;
}
