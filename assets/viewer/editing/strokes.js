// Strokes of brush, eraser and contour in one slice, with the pointer or with keys.

import { voxelIndex } from "./grid.js";
import { brushLine, fillContour } from "./shapes.js";
import { TOOLS } from "./toolbar.js";

export class Strokes {
  constructor(editor) {
    this.editor = editor;
    this.clear();
  }

  clear() {
    Object.assign(this, { stroke: null, contour: null, pointer: null });
  }

  // The circle under the pointer; null where none is shown.
  get cursor() {
    const { tool, size_mm } = this.editor;
    return this.pointer && tool !== "contour" ? { place: this.pointer, radius_mm: size_mm / 2 } : null;
  }

  // takeAway: a contour removes what it encloses.
  press(place, tool, takeAway = false) {
    const { grid, mask, viewer } = this.editor, slice = viewer.index;
    mask.begin({ words: TOOLS[tool], plane: grid.plane, slices: [slice], draws: true });
    this.stroke = { grid, slice, value: tool === "eraser" || takeAway ? 0 : 1, last: place };
    this.pointer = place;
    if (tool === "contour") this.contour = [place];
    else this.line(place);
    this.editor.draw();
  }

  move(places) {
    this.pointer = places[places.length - 1];
    if (this.contour) this.contour.push(...places);
    else if (this.stroke) places.forEach((place) => this.line(place));
    this.editor.draw();
  }

  line(place) {
    brushLine(this.stroke.grid, this.stroke.last, place, this.editor.size_mm / 2, (u, v) => this.paint(u, v));
    this.stroke.last = place;
  }

  paint(u, v) {
    const { grid, slice, value } = this.stroke;
    this.editor.mask.set(voxelIndex(grid, u, v, slice), value);
  }

  release() {
    if (!this.stroke) return;
    if (this.contour) fillContour(this.stroke.grid, this.contour, (u, v) => this.paint(u, v));
    Object.assign(this, { stroke: null, contour: null });
    if (this.editor.mask.commit()) this.editor.changed("");
    else this.editor.draw();
  }

  abandon() {
    if (!this.stroke) return;
    this.editor.mask.abandon();
    Object.assign(this, { stroke: null, contour: null });
    this.editor.draw();
  }

  hover(place) {
    this.pointer = place;
    this.editor.draw();
  }

  // The cursor by a voxel on the screen.
  step([across, down]) {
    const { grid, layer } = this.editor;
    if (!grid || !layer.place) return;
    const [u, v] = this.pointer || [grid.nu / 2, grid.nv / 2];
    const moved = [u + across * Math.sign(layer.place.xu), v + down * Math.sign(layer.place.yv)];
    this.hover([Math.min(Math.max(moved[0], 0), grid.nu - 0.01), Math.min(Math.max(moved[1], 0), grid.nv - 0.01)]);
  }

  // Brush or eraser once at the cursor.
  stamp() {
    const { grid, tool } = this.editor;
    if (!grid || this.stroke || tool === "contour") return;
    this.press(this.pointer || [grid.nu / 2, grid.nv / 2], tool);
    this.release();
  }
}
