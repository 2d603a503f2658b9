// The liver mask that is corrected: one array of 0 and 1 on the volume's grid, the only place where it is kept, with the
// steps that changed it. A step is the set of voxels whose value it turned, as runs; so undo and redo are the same.

import { indexRuns, maskRuns } from "./runs.js";

export const MOST_STEPS = 200;

export class EditedMask {
  constructor(model) {
    this.model = model; // the segmenter's, never changed
    this.voxels = Uint8Array.from(model);
    this.done = []; // steps: { runs, words, plane, slices, draws }
    this.undone = [];
    this.version = 0; // another after each change
    this.count = count(model);
    this.different = 0; // voxels that differ from the model's
  }

  get edited() {
    return this.different > 0;
  }

  // Take up a mask and steps that were kept.
  restore(voxels, done, undone) {
    this.voxels.set(voxels);
    this.done = done;
    this.undone = undone;
    this.count = count(voxels);
    this.different = 0;
    for (let i = 0; i < voxels.length; i++) this.different += voxels[i] !== this.model[i] ? 1 : 0;
    this.version += 1;
  }

  // A step that is being made: changes are seen at once and become one step at its end.
  begin(about) {
    this.open = { ...about, changed: [] };
  }

  set(index, value) {
    if (this.voxels[index] === value) return;
    this.turn(index);
    this.open.changed.push(index);
  }

  // The step, or null where nothing was changed.
  commit() {
    const { changed, ...about } = this.open;
    this.open = null;
    if (!changed.length) return null;
    const step = { ...about, runs: indexRuns(changed) };
    this.done.push(step);
    if (this.done.length > MOST_STEPS) this.done.shift();
    this.undone = [];
    return step;
  }

  // Take back what was changed since ``begin``.
  abandon() {
    for (const index of this.open?.changed || []) this.turn(index);
    this.open = null;
  }

  undo() {
    const step = this.done.pop();
    if (step) this.undone.push(this.turnRuns(step));
    return step || null;
  }

  redo() {
    const step = this.undone.pop();
    if (step) this.done.push(this.turnRuns(step));
    return step || null;
  }

  // Back to the model's mask, as a step that can be undone.
  reset() {
    this.begin({ words: "Reset" });
    for (let i = 0; i < this.voxels.length; i++) this.set(i, this.model[i]);
    return this.commit();
  }

  // Slices of a plane that were drawn in since the last step that filled between them, ascending.
  drawnSlices(plane) {
    const drawn = new Set();
    for (const step of this.done) {
      if (step.words === "Reset" || (step.plane === plane && !step.draws)) drawn.clear();
      else if (step.plane === plane) step.slices.forEach((slice) => drawn.add(slice));
    }
    return [...drawn].sort((a, b) => a - b);
  }

  get runs() {
    return maskRuns(this.voxels);
  }

  turnRuns(step) {
    for (let i = 0; i < step.runs.length; i += 2) {
      for (let at = step.runs[i], end = at + step.runs[i + 1]; at < end; at++) this.turn(at);
    }
    return step;
  }

  turn(index) {
    const value = 1 - this.voxels[index];
    this.voxels[index] = value;
    this.count += value ? 1 : -1;
    this.different += value === this.model[index] ? -1 : 1;
    this.version += 1;
  }
}

function count(mask) {
  let voxels = 0;
  for (let i = 0; i < mask.length; i++) voxels += mask[i];
  return voxels;
}
