// Correcting the liver's outline: what the tools do to the mask, what is kept, and what is sent to be classified.

import { EditedMask } from "./edited_mask.js";
import { cutSlice, planeGrid, voxelIndex } from "./grid.js";
import { bindGuard } from "./guard.js";
import { bindEditing } from "./input.js";
import { fillBetween } from "./interpolation.js";
import { SliceLayer } from "./layer.js";
import { encodeRuns, maskOfRuns } from "./runs.js";
import * as storage from "./storage.js";
import { Strokes } from "./strokes.js";
import { SIZES_MM, TOOLS, Toolbar } from "./toolbar.js";

const FIRST_SIZE_MM = 12;
const EDITING_LABEL = "Slices, correcting the outline. Arrow keys step through them; drag draws; shift and arrow keys move "
  + "the brush, space uses it.";

export class Editor {
  constructor(viewer, { bar, button, canvas }) {
    this.viewer = viewer;
    this.button = button;
    this.label = viewer.stage.getAttribute("aria-label");
    this.mask = null; // of the open case, once it can be corrected
    this.on = false;
    this.tool = "brush";
    this.size_mm = FIRST_SIZE_MM;
    this.layer = new SliceLayer(canvas);
    this.strokes = new Strokes(this);
    this.toolbar = new Toolbar(this, bar);
    button.addEventListener("click", () => (this.on ? this.done() : this.start()));
    new ResizeObserver(() => this.resized()).observe(viewer.stage);
    bindEditing(this, viewer.stage);
    bindGuard(this);
  }

  // ---- the case

  close() {
    Object.assign(this, { mask: null, on: false, said: "", classified: null, turn: 0, encodedVersion: null });
    this.strokes.clear();
  }

  // Called when the overlays of a case are there, and when it was classified again.
  async open(value) {
    if (!value.edit || !this.viewer.drawing.maskVoxels) return;
    if (this.mask) {
      if (value.edit.turn !== this.turn) this.classified = this.sent;
      this.turn = value.edit.turn;
      return;
    }
    const mask = new EditedMask(this.viewer.drawing.maskVoxels());
    const [x, y, z] = value.spacing_mm_xyz;
    Object.assign(this, { mask, turn: value.edit.turn, key: value.edit.case, voxel_ml: (x * y * z) / 1000 });
    this.modelCount = mask.count;
    this.classified = this.encoded();
    const kept = await storage.find(this.key);
    const begun = this.mask !== mask || mask.open || mask.done.length; // another case, or drawn in meanwhile
    if (begun || !kept || String(kept.size_xyz) !== String(value.size_xyz)) return;
    const voxels = maskOfRuns(kept.runs, mask.voxels.length);
    if (!voxels) return;
    mask.restore(voxels, kept.done, kept.undone);
    this.said = `Your correction of ${new Date(kept.saved).toLocaleString()} is back.`;
    this.switchOn();
  }

  // Whether the mask is another than the one that was classified.
  get unclassified() {
    return Boolean(this.mask) && this.encoded() !== this.classified;
  }

  encoded() {
    if (this.encodedVersion !== this.mask.version) {
      this.runs = this.mask.runs;
      this.text = encodeRuns(this.runs);
      this.encodedVersion = this.mask.version;
    }
    return this.text;
  }

  // For the server; empty without a mask.
  sentMask() {
    if (!this.mask) return "";
    this.sent = this.encoded();
    return JSON.stringify({ size_xyz: this.viewer.value.size_xyz, runs: this.sent });
  }

  // ---- what the reader does

  start() {
    this.switchOn();
    this.viewer.stage.focus({ preventScroll: true });
  }

  switchOn() {
    this.on = true;
    if (this.viewer.state.plane === "render") this.viewer.setPlane("axial");
    this.viewer.state.mask.on = true;
    this.viewer.refresh();
  }

  done() {
    this.strokes.abandon();
    this.on = false;
    this.said = "";
    this.viewer.refresh();
    this.button.focus({ preventScroll: true });
  }

  choose(tool) {
    if (tool in TOOLS) this.tool = tool;
    this.viewer.refresh();
  }

  resize(size_mm) {
    this.size_mm = Math.min(Math.max(size_mm, SIZES_MM.least), SIZES_MM.most);
    this.viewer.refresh();
  }

  undo() {
    this.went("Undone", this.mask.undo());
  }

  redo() {
    this.went("Redone", this.mask.redo());
  }

  // To the slice where the step was, so that it can be seen.
  went(words, step) {
    if (!step) return;
    const { viewer } = this;
    if (step.plane && step.plane !== viewer.state.plane) viewer.state.plane = step.plane;
    if (step.plane && !step.slices.includes(viewer.index)) viewer.goTo(step.slices[0]);
    this.changed(`${words}: ${step.words.toLowerCase()}.`);
  }

  reset() {
    if (!this.mask.edited || !window.confirm("Go back to the model's outline? You can undo this.")) return;
    this.mask.reset();
    this.changed("");
  }

  // The slices of the present plane; null in 3-D.
  get grid() {
    const { value, state } = this.viewer;
    return value && state.plane !== "render" ? planeGrid(value.size_xyz, value.spacing_mm_xyz, state.plane) : null;
  }

  // Whether there are slices between drawn ones to fill.
  get gaps() {
    const drawn = this.mask.drawnSlices(this.viewer.state.plane);
    return drawn.some((slice, i) => i && slice - drawn[i - 1] > 1);
  }

  fill() {
    const { grid, mask } = this;
    if (!grid) return;
    mask.begin({ words: "Fill between", plane: grid.plane, slices: [], draws: false });
    const cutOf = (slice) => cutSlice(mask.voxels, grid, slice);
    const slices = fillBetween(cutOf, mask.drawnSlices(grid.plane), grid, (slice, cut) => {
      cut.forEach((value, i) => mask.set(voxelIndex(grid, i % grid.nu, Math.floor(i / grid.nu), slice), value));
    });
    mask.open.slices = slices;
    mask.commit();
    const filled = `Filled slices ${slices[0] + 1}–${slices[slices.length - 1] + 1}.`;
    this.changed(slices.length ? filled : "Nothing to fill: draw in two slices first.");
  }

  classify() {
    document.querySelector("#fr-reclassify")?.click();
  }

  get canClassify() {
    return document.querySelector("#fr-reclassify") !== null;
  }

  forget() {
    if (this.key) storage.forget(this.key);
    this.close();
  }

  // ---- after a change

  changed(said) {
    this.said = said;
    const { mask, key } = this;
    const { size_xyz } = this.viewer.value;
    this.encoded();
    if (mask.edited) storage.keep({ key, size_xyz: [...size_xyz], runs: this.runs, done: mask.done, undone: mask.undone });
    else storage.forget(key);
    this.viewer.refresh();
  }

  // The controls in step, and the mask's volume where the slice layer does not show it.
  sync() {
    this.button.hidden = !this.viewer.value?.edit;
    this.button.disabled = !this.mask;
    this.button.title = this.viewer.drawing && !this.viewer.drawing.maskVoxels ? "Editing needs WebGL2" : "";
    this.button.setAttribute("aria-pressed", String(this.on));
    this.viewer.element.dataset.editing = this.shown ? "yes" : "no";
    this.viewer.stage.setAttribute("aria-label", this.shown ? EDITING_LABEL : this.label);
    this.toolbar.sync();
    if (this.mask && !this.shown) this.viewer.drawing.showMask(this.mask);
  }

  // Whether the slice layer shows the mask now.
  get shown() {
    return this.on && this.viewer.state.plane !== "render";
  }

  // The slice first, so that the outline finds where it lies.
  resized() {
    if (!this.shown) return;
    this.viewer.drawing.fit();
    this.draw();
  }

  draw() {
    if (!this.shown) {
      if (this.drawn) this.layer.clear();
      this.drawn = false;
      return;
    }
    this.drawn = true;
    const { grid, mask, viewer } = this;
    this.layer.draw({
      mask,
      grid,
      slice: viewer.index,
      place: viewer.drawing.slicePlace(grid, viewer.state.xyz),
      cursor: this.strokes.cursor,
      contour: this.strokes.contour,
    });
  }
}
