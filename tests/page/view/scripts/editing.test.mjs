// The arithmetic of correcting a mask: undo, run lengths, shapes, interpolation. Run by node.
import assert from "node:assert/strict";
import test from "node:test";

const at = (name) => import(new URL(`../../../../assets/viewer/editing/${name}.js`, import.meta.url));
const { EditedMask, MOST_STEPS } = await at("edited_mask");
const { cutSlice, planeGrid } = await at("grid");
const { between, fillBetween, signedDistance } = await at("interpolation");
const { outlineBits } = await at("outline");
const { encodeRuns, indexRuns, maskOfRuns, maskRuns } = await at("runs");
const { brushLine, fillContour } = await at("shapes");

const SIZE = [12, 10, 8];
const VOXELS = 12 * 10 * 8;

function random(seed) { // a small linear congruential generator: the same numbers in every run
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
}

function noise(seed, share = 0.4) {
  const next = random(seed);
  return Uint8Array.from({ length: VOXELS }, () => (next() < share ? 1 : 0));
}

function step(mask, next, about = {}) {
  mask.begin({ words: "Brush", plane: "axial", slices: [0], draws: true, ...about });
  for (let i = 0; i < 30; i++) mask.set(Math.floor(next() * VOXELS), next() < 0.5 ? 1 : 0);
  return mask.commit();
}

test("120 steps are undone to the model's mask and redone to the last one", () => {
  const model = noise(1), mask = new EditedMask(model), next = random(2);
  const states = [Uint8Array.from(mask.voxels)];
  for (let i = 0; i < 120; i++) {
    step(mask, next);
    states.push(Uint8Array.from(mask.voxels));
  }
  assert.ok(MOST_STEPS >= 120);
  for (let i = 119; i >= 0; i--) {
    mask.undo();
    assert.deepEqual(mask.voxels, states[i]);
  }
  assert.equal(mask.edited, false);
  assert.equal(mask.undo(), null);
  for (let i = 1; i <= 120; i++) {
    mask.redo();
    assert.deepEqual(mask.voxels, states[i]);
  }
  assert.equal(mask.redo(), null);
});

test("a new step ends what could be redone, and one that changes nothing is none", () => {
  const mask = new EditedMask(new Uint8Array(VOXELS)), next = random(3);
  step(mask, next);
  mask.undo();
  mask.begin({ words: "Eraser" });
  mask.set(5, 0);
  assert.equal(mask.commit(), null);
  assert.equal(mask.undone.length, 1);
  step(mask, next);
  assert.equal(mask.redo(), null);
});

test("voxels are counted, and whether they differ from the model's", () => {
  const mask = new EditedMask(noise(4));
  const expected = mask.voxels.reduce((sum, value) => sum + value, 0);
  assert.equal(mask.count, expected);
  const place = mask.voxels.indexOf(0);
  mask.begin({ words: "Brush" });
  mask.set(place, 1);
  mask.commit();
  assert.deepEqual([mask.count, mask.edited], [expected + 1, true]);
  mask.begin({ words: "Eraser" });
  mask.set(place, 0);
  mask.commit();
  assert.deepEqual([mask.count, mask.edited], [expected, false]);
});

test("what was abandoned is gone, and a reset can be undone", () => {
  const model = noise(5), mask = new EditedMask(model);
  mask.begin({ words: "Brush" });
  for (let i = 0; i < 50; i++) mask.set(i, 1);
  mask.abandon();
  assert.deepEqual(mask.voxels, model);
  step(mask, random(6));
  const drawn = Uint8Array.from(mask.voxels);
  mask.reset();
  assert.deepEqual(mask.voxels, model);
  mask.undo();
  assert.deepEqual(mask.voxels, drawn);
});

test("a step takes a few numbers however many voxels it changes", () => {
  const mask = new EditedMask(new Uint8Array(VOXELS));
  mask.begin({ words: "Contour" });
  for (let i = VOXELS - 1; i >= 0; i--) mask.set(i, 1);
  assert.deepEqual([...mask.commit().runs], [0, VOXELS]);
});

test("a kept mask and its steps come back", () => {
  const model = noise(7), mask = new EditedMask(model), next = random(8);
  for (let i = 0; i < 60; i++) step(mask, next);
  for (let i = 0; i < 10; i++) mask.undo();
  const other = new EditedMask(model);
  other.restore(maskOfRuns(mask.runs, VOXELS), structuredClone(mask.done), structuredClone(mask.undone));
  assert.deepEqual([other.count, other.different], [mask.count, mask.different]);
  for (let i = 0; i < 50; i++) other.undo();
  assert.deepEqual(other.voxels, model);
});

test("drawn slices are of their plane and since the last filling", () => {
  const mask = new EditedMask(new Uint8Array(VOXELS)), next = random(9);
  step(mask, next, { slices: [5] });
  step(mask, next, { slices: [2] });
  step(mask, next, { plane: "coronal", slices: [7] });
  assert.deepEqual(mask.drawnSlices("axial"), [2, 5]);
  step(mask, next, { words: "Fill", draws: false, slices: [3, 4] });
  step(mask, next, { slices: [6] });
  assert.deepEqual(mask.drawnSlices("axial"), [6]);
  assert.deepEqual(mask.drawnSlices("coronal"), [7]);
});

test("run lengths give the mask again", () => {
  for (const mask of [noise(10), noise(11, 0.01), new Uint8Array(VOXELS), new Uint8Array(VOXELS).fill(1)]) {
    assert.deepEqual(maskOfRuns(maskRuns(mask), VOXELS), mask);
  }
  assert.equal(maskOfRuns(Uint32Array.of(1, 2), VOXELS), null);
  assert.deepEqual([...indexRuns([7, 3, 4, 9, 5])], [3, 3, 7, 1, 9, 1]);
});

test("lengths are coded as the server reads them", () => {
  assert.deepEqual([...atob(encodeRuns([0, 127, 128, 16384, 300]))].map((c) => c.charCodeAt(0)),
    [0, 127, 0x80, 0x01, 0x80, 0x80, 0x01, 0xac, 0x02]);
});

test("a slice of each plane holds the right voxels", () => {
  const mask = new Uint8Array(VOXELS);
  mask[3 + 12 * (4 + 10 * 5)] = 1; // x 3, y 4, z 5
  for (const [plane, slice, u, v] of [["axial", 5, 3, 4], ["coronal", 4, 3, 5], ["sagittal", 3, 4, 5]]) {
    const grid = planeGrid(SIZE, [1, 1, 1], plane);
    assert.equal(cutSlice(mask, grid, slice).indexOf(1), u + v * grid.nu, plane);
    assert.equal(slice * grid.strideW + v * grid.strideV + u * grid.strideU, mask.indexOf(1), plane);
  }
});

const flat = (nu, nv, mmU = 1, mmV = 1) => ({ nu, nv, mmU, mmV });

function painted(grid, draw) {
  const cut = new Uint8Array(grid.nu * grid.nv);
  draw((u, v) => { cut[u + v * grid.nu] = 1; });
  return cut;
}

test("the brush is round in millimetres, whatever the voxels", () => {
  const grid = flat(60, 30, 1, 2), centre = [30, 15];
  const cut = painted(grid, (paint) => brushLine(grid, centre, centre, 10, paint));
  const area = cut.reduce((sum, value) => sum + value, 0) * 2;
  assert.ok(Math.abs(area - Math.PI * 100) < 15, `${area} mm2`);
  assert.ok(cut[21 + 15 * 60] && !cut[19 + 15 * 60]);
  assert.ok(cut[30 + 10 * 60] && !cut[30 + 9 * 60]);
});

test("a brush smaller than a voxel draws the voxel under it, and a fast stroke has no gaps", () => {
  const grid = flat(40, 20);
  assert.equal(painted(grid, (paint) => brushLine(grid, [3.2, 4.9], [3.2, 4.9], 0.1, paint)).indexOf(1), 3 + 4 * 40);
  const stroke = painted(grid, (paint) => brushLine(grid, [2, 10], [38, 10], 1, paint));
  for (let u = 2; u < 38; u++) assert.ok(stroke[u + 10 * 40], `gap at ${u}`);
  painted(grid, (paint) => brushLine(grid, [-50, -50], [100, 70], 5, (u, v) => {
    assert.ok(u >= 0 && v >= 0 && u < 40 && v < 20, "nothing beyond the image");
    paint(u, v);
  }));
});

test("a contour fills the voxels whose centres it encloses", () => {
  const grid = flat(20, 20);
  const square = [[2, 3], [7, 3], [7, 9], [2, 9]];
  const cut = painted(grid, (paint) => fillContour(grid, square, paint));
  for (let v = 0; v < 20; v++) {
    for (let u = 0; u < 20; u++) assert.equal(cut[u + v * 20], u >= 2 && u < 7 && v >= 3 && v < 9 ? 1 : 0, `${u} ${v}`);
  }
  const clipped = painted(grid, (paint) => fillContour(grid, [[-5, -5], [30, -5], [30, 30], [-5, 30]], paint));
  assert.ok(clipped.every((value) => value === 1));
});

test("signed distance is in millimetres and agrees with a search through all voxels", () => {
  const grid = flat(13, 9, 0.7, 2.3), cut = new Uint8Array(13 * 9), next = random(12);
  for (let i = 0; i < cut.length; i++) cut[i] = next() < 0.3 ? 1 : 0;
  const found = signedDistance(cut, grid);
  for (let i = 0; i < cut.length; i++) {
    let nearest = Infinity;
    for (let j = 0; j < cut.length; j++) {
      if (cut[j] === cut[i]) continue;
      const du = ((i % 13) - (j % 13)) * 0.7, dv = (Math.floor(i / 13) - Math.floor(j / 13)) * 2.3;
      nearest = Math.min(nearest, Math.hypot(du, dv));
    }
    assert.ok(Math.abs(found[i] - (cut[i] ? -nearest : nearest)) < 1e-9);
  }
});

const disc = (grid, centre, radius) => painted(grid, (paint) => brushLine(grid, centre, centre, radius, paint));
const areaOf = (cut) => cut.reduce((sum, value) => sum + value, 0);

test("between two discs lies a disc of the mean radius", () => {
  const grid = flat(60, 60), [small, large] = [disc(grid, [30, 30], 8), disc(grid, [30, 30], 20)];
  const middle = areaOf(between(small, large, grid, 0.5));
  assert.ok(Math.abs(Math.sqrt(middle / Math.PI) - 14) < 0.5, `${Math.sqrt(middle / Math.PI)}`);
  assert.deepEqual(between(small, large, grid, 0), small);
  assert.deepEqual(between(small, large, grid, 1), large);
});

test("filling replaces the slices between drawn ones and leaves out empty and neighbouring ones", () => {
  const grid = flat(30, 30), shape = disc(grid, [15, 15], 6);
  const cuts = { 1: shape, 2: shape, 6: shape, 9: new Uint8Array(900), 12: shape };
  const filled = new Map();
  const slices = fillBetween((slice) => cuts[slice], [1, 2, 6, 9, 12], grid, (slice, cut) => filled.set(slice, cut));
  assert.deepEqual(slices, [3, 4, 5]);
  for (const cut of filled.values()) assert.deepEqual(cut, shape);
});

test("outlines have the bits that the server gives them", () => {
  const mask = new Uint8Array(VOXELS);
  for (let z = 2; z < 6; z++) for (let y = 2; y < 8; y++) for (let x = 3; x < 10; x++) mask[x + 12 * (y + 10 * z)] = 1;
  const bits = outlineBits(mask, SIZE, new Uint8Array(VOXELS).fill(9));
  const bit = (x, y, z) => bits[x + 12 * (y + 10 * z)];
  assert.equal(bit(3, 2, 2), 7);
  assert.equal(bit(5, 4, 2), 6); // the lowest slice: inside in the axial plane
  assert.equal(bit(5, 2, 4), 5);
  assert.equal(bit(3, 4, 4), 3);
  assert.equal(bit(5, 4, 4), 0);
  assert.equal(bit(0, 0, 0), 0);
});
