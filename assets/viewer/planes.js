// The planes of display. Voxels are counted as on the server: x from the patient's right to the left, y from front to
// back, z from the feet up, from 0. Display is radiological: the patient's right is on the left of the screen.

export const PLANES = {
  axial: { axis: 2, title: "Axial", sides: { left: "R", right: "L", top: "A", bottom: "P" } },
  coronal: { axis: 1, title: "Coronal", sides: { left: "R", right: "L", top: "S", bottom: "I" } },
  sagittal: { axis: 0, title: "Sagittal", sides: { left: "A", right: "P", top: "S", bottom: "I" } },
  render: { axis: null, title: "3-D", sides: {} },
};
// Bits of a voxel of an outline: it is drawn in the planes whose bit is set.
export const OUTLINE_BITS = { axial: 1, coronal: 2, sagittal: 4 };
export const SIDE_WORDS = {
  R: "patient's right", L: "patient's left", A: "front", P: "back", S: "head", I: "feet",
};
