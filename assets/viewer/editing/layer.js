// The outline that is being corrected, drawn over the slice: as the voxels are, sharp at any size of the screen.

import { colours } from "../colours.js";
import { cutSlice } from "./grid.js";

const FILL = 0.16; // faint: the liver's edge under it can be seen
const MODEL_DASH = [4, 3];

export class SliceLayer {
  constructor(canvas) {
    this.canvas = canvas;
    this.place = null; // as NiivueDrawing.slicePlace gives it
  }

  // The empty canvas in CSS pixels, as large as the stage.
  clear() {
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => Math.round(side * scale));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    // In the processor's memory: a few lines are drawn there at once, also where WebGL2 is emulated.
    this.context ||= this.canvas.getContext("2d", { willReadFrequently: true });
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.context.clearRect(0, 0, width, height);
    return this.context;
  }

  // What is shown: mask, grid, slice, place, cursor ({ place, radius_mm }), contour (points); the last two or null.
  draw({ mask, grid, slice, place, cursor, contour }) {
    const context = this.clear();
    this.place = place;
    if (!place) return;
    const colour = `rgb(${colours.liver.join(" ")})`;
    const cut = cutSlice(mask.voxels, grid, slice);
    if (mask.edited) {
      context.setLineDash(MODEL_DASH);
      this.strokeEdges(context, cutSlice(mask.model, grid, slice), grid, "rgb(255 255 255 / 0.8)", 1);
      context.setLineDash([]);
    }
    this.fillRows(context, cut, grid, colour);
    this.strokeEdges(context, cut, grid, colour, 1.8);
    if (contour?.length) this.strokeLine(context, contour, colour);
    if (cursor) this.strokeCursor(context, cursor, grid);
  }

  fillRows(context, cut, { nu, nv }, colour) {
    context.fillStyle = colour;
    context.globalAlpha = FILL;
    for (let v = 0; v < nv; v++) {
      for (let u = 0; u < nu; u++) {
        if (!cut[u + v * nu]) continue;
        const start = u;
        while (u < nu && cut[u + v * nu]) u += 1;
        const [x1, y1] = this.at(start, v), [x2, y2] = this.at(u, v + 1);
        context.fillRect(Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1));
      }
    }
    context.globalAlpha = 1;
  }

  // The edges between voxels of the mask and others.
  strokeEdges(context, cut, { nu, nv }, colour, width) {
    const held = (u, v) => u >= 0 && v >= 0 && u < nu && v < nv && cut[u + v * nu] === 1;
    context.beginPath();
    for (let v = 0; v <= nv; v++) {
      for (let u = 0; u <= nu; u++) {
        const here = held(u, v);
        if (here !== held(u - 1, v)) this.line(context, u, v, u, v + 1);
        if (here !== held(u, v - 1)) this.line(context, u, v, u + 1, v);
      }
    }
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineCap = "round";
    context.stroke();
  }

  line(context, u1, v1, u2, v2) {
    context.moveTo(...this.at(u1, v1));
    context.lineTo(...this.at(u2, v2));
  }

  strokeLine(context, points, colour) {
    context.beginPath();
    points.forEach(([u, v], i) => (i ? context.lineTo(...this.at(u, v)) : context.moveTo(...this.at(u, v))));
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.stroke();
  }

  strokeCursor(context, { place: [u, v], radius_mm }, { mmU, mmV }) {
    const [x, y] = this.at(u, v);
    const across = Math.max(Math.abs(this.place.xu) * (radius_mm / mmU), 1.5);
    const down = Math.max(Math.abs(this.place.yv) * (radius_mm / mmV), 1.5);
    for (const [style, width] of [["rgb(0 0 0 / 0.7)", 3], ["white", 1.2]]) {
      context.beginPath();
      context.ellipse(x, y, across, down, 0, 0, 2 * Math.PI);
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke();
    }
  }

  // CSS pixels of a place, and the place of CSS pixels within the stage.
  at(u, v) {
    const { x0, xu, y0, yv } = this.place;
    return [x0 + xu * u, y0 + yv * v];
  }

  placeOf(x, y) {
    const { x0, xu, y0, yv } = this.place;
    return [(x - x0) / xu, (y - y0) / yv];
  }
}
