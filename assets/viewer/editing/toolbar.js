// The editing bar: tools, brush size, steps, and what the outline holds.

import { buttons } from "../controls.js";

export const TOOLS = { brush: "Brush", eraser: "Eraser", contour: "Contour" };
export const SIZES_MM = { least: 2, most: 80, step: 2 };
const TITLES = {
  brush: "Add to the liver (b)",
  eraser: "Take away from the liver (e)",
  contour: "Draw around a part to add it; with Alt to take it away (c)",
  undo: "Ctrl+Z",
  redo: "Ctrl+Y",
  fill: "Fill the slices between those drawn in this plane (f)",
  reset: "Back to the model's outline",
  classify: "Estimate fibrosis inside the corrected outline",
  done: "Esc",
};
const KEYS = { brush: "b", eraser: "e", contour: "c", undo: "Control+Z", redo: "Control+Y", fill: "f", done: "Escape" };

export const LAYOUT = `
  <div class="frv-group frv-tools" role="group" aria-label="Tool"></div>
  <label class="frv-size"><span>Size</span>
    <input type="range" class="frv-size-slider" min="${SIZES_MM.least}" max="${SIZES_MM.most}" step="${SIZES_MM.step}"
           aria-keyshortcuts="[ ]" title="[ smaller, ] larger">
    <output class="frv-size-value"></output></label>
  <div class="frv-group frv-steps" role="group" aria-label="Steps"></div>
  <p class="frv-edit-note" role="status"></p>
  <div class="frv-group frv-finish" role="group" aria-label="Finish"></div>`;

export class Toolbar {
  constructor(editor, bar) {
    this.editor = editor;
    this.bar = bar;
    bar.innerHTML = LAYOUT;
    const find = (name) => bar.querySelector(`.${name}`);
    this.size = find("frv-size-slider");
    this.sizeValue = find("frv-size-value");
    this.note = find("frv-edit-note");
    const steps = { undo: "Undo", redo: "Redo", fill: "Fill between", reset: "Reset" };
    this.buttons = {
      ...buttons(find("frv-tools"), TOOLS, (tool) => editor.choose(tool)),
      ...buttons(find("frv-steps"), steps, (name) => editor[name]()),
      ...buttons(find("frv-finish"), { classify: "Classify again", done: "Done" }, (name) => editor[name]()),
    };
    for (const [name, button] of Object.entries(this.buttons)) {
      button.title = TITLES[name];
      if (KEYS[name]) button.setAttribute("aria-keyshortcuts", KEYS[name]);
      if (!(name in TOOLS)) button.removeAttribute("aria-pressed");
    }
    this.size.addEventListener("input", () => editor.resize(Number(this.size.value)));
  }

  sync() {
    const { editor } = this;
    this.bar.hidden = !editor.on;
    if (!editor.on) return;
    const { mask, tool, size_mm } = editor;
    const flat = editor.grid !== null;
    for (const name of Object.keys(TOOLS)) this.buttons[name].setAttribute("aria-pressed", String(name === tool));
    this.size.value = String(size_mm);
    this.sizeValue.textContent = `${size_mm} mm`;
    this.size.setAttribute("aria-valuetext", `${size_mm} millimetres`);
    this.buttons.undo.disabled = !mask.done.length;
    this.buttons.redo.disabled = !mask.undone.length;
    this.buttons.fill.disabled = !flat || !editor.gaps;
    this.buttons.reset.disabled = !mask.edited;
    this.buttons.classify.hidden = !editor.canClassify;
    this.buttons.classify.disabled = !editor.unclassified;
    const words = this.words();
    if (this.note.textContent !== words) this.note.textContent = words;
  }

  words() {
    const { editor } = this;
    const [now, before] = [editor.mask.count, editor.modelCount].map((voxels) => Math.round(voxels * editor.voxel_ml));
    const volume = editor.mask.edited ? `Liver ${now} mL, model ${before} mL (dashed).` : `Liver ${now} mL.`;
    const next = editor.unclassified && editor.canClassify ? "Not classified yet." : "";
    return [editor.said, volume, next].filter(Boolean).join(" ");
  }
}
