// The viewer's buttons, slider, overlays and texts: made once, and kept in step with the viewer's state.

import { OverlayControls } from "./overlay_controls.js";
import { PLANES, SIDE_WORDS } from "./planes.js";

const LAYOUT = `
  <div class="frv-bar" role="toolbar" aria-label="Planes, window, editing">
    <div class="frv-group frv-planes" role="group" aria-label="Plane"></div>
    <button type="button" class="frv-edit" hidden>Edit outline</button>
    <div class="frv-group frv-presets" role="group" aria-label="Window"></div>
  </div>
  <div class="frv-editing" role="toolbar" aria-label="Correct the outline" hidden></div>
  <div class="frv-stage" tabindex="0" role="application"
       aria-label="Slices. Wheel, arrow keys, page keys, home and end step through them; drag sets the window.">
    <div class="frv-picture"></div>
    <canvas class="frv-drawn" aria-hidden="true"></canvas>
    <div class="frv-glass"></div>
    <span class="frv-mark frv-left"></span><span class="frv-mark frv-right"></span>
    <span class="frv-mark frv-top"></span><span class="frv-mark frv-bottom"></span>
    <span class="frv-caption"></span>
    <p class="frv-message" role="status"></p>
  </div>
  <div class="frv-slices">
    <div class="frv-rail">
      <input class="frv-slider" type="range" min="0" max="0" step="1" aria-label="Slice">
      <div class="frv-doubt-marks" role="group" aria-label="Slices to check" hidden></div>
    </div>
    <output class="frv-counter" aria-live="polite"></output>
  </div>
  <div class="frv-overlays" role="group" aria-label="Overlays" hidden>
    <label class="frv-switch"><input type="checkbox" class="frv-mask-on"><span class="frv-swatch frv-liver"></span>Liver mask</label>
    <select class="frv-mask-style" aria-label="Liver mask as">
      <option value="outline">outline</option><option value="fill">fill</option></select>
    <input type="range" class="frv-mask-opacity" min="0" max="1" step="0.05" aria-label="Opacity of the liver mask">
    <label class="frv-switch"><input type="checkbox" class="frv-heat-on"><span class="frv-swatch frv-heat"></span>Heat map</label>
    <input type="range" class="frv-heat-opacity" min="0" max="1" step="0.05" aria-label="Opacity of the heat map">
    <span class="frv-heat-note"></span>
    <label class="frv-switch frv-doubt-switch" hidden><input type="checkbox" class="frv-doubt-on"><span class="frv-swatch frv-doubt"></span>Outline in doubt</label>
    <label class="frv-switch frv-organs-switch" hidden><input type="checkbox" class="frv-organs-on"><span class="frv-swatch frv-spleen"></span>Spleen<span class="frv-swatch frv-kidney"></span>Kidneys</label>
    <label class="frv-switch frv-body" hidden>Body<input type="range" class="frv-body-opacity" min="0" max="1" step="0.05" aria-label="Opacity of the body"></label>
  </div>`;

export class Controls {
  constructor(viewer) {
    this.viewer = viewer;
    viewer.element.innerHTML = LAYOUT;
    const find = (name) => viewer.element.querySelector(`.${name}`);
    this.stage = find("frv-stage");
    this.glass = find("frv-glass");
    this.slider = find("frv-slider");
    this.counter = find("frv-counter");
    this.doubtMarks = find("frv-doubt-marks");
    this.caption = find("frv-caption");
    this.message = find("frv-message");
    this.marks = Object.fromEntries(["left", "right", "top", "bottom"].map((edge) => [edge, find(`frv-${edge}`)]));
    const planes = { axial: "Axial", coronal: "Coronal", sagittal: "Sagittal", render: "3-D" };
    this.planeButtons = buttons(find("frv-planes"), planes, (name) => viewer.setPlane(name));
    const presets = { full: "1–99 %", liver: "Liver" };
    this.presetButtons = buttons(find("frv-presets"), presets, (name) => viewer.usePreset(name));
    this.presetButtons.full.title = "From the 1st to the 99th percentile of the volume";
    this.presetButtons.liver.title = "Centred on the liver";
    this.invert = buttons(find("frv-presets"), { inverted: "Invert" }, () => viewer.toggleInverted()).inverted;
    this.overlays = new OverlayControls(viewer, find);
    this.editing = { bar: find("frv-editing"), button: find("frv-edit"), canvas: find("frv-drawn") };
  }

  sync() {
    const { viewer } = this;
    const { plane, window, preset, inverted } = viewer.state;
    const has = Boolean(viewer.value);
    if (!has) viewer.element.dataset.state = "empty";
    viewer.element.dataset.plane = plane;
    for (const [name, button] of Object.entries(this.planeButtons)) {
      button.setAttribute("aria-pressed", String(name === plane));
    }
    for (const [name, button] of Object.entries(this.presetButtons)) {
      button.setAttribute("aria-pressed", String(name === preset));
      button.disabled = !has || !viewer.value.windows[name];
    }
    this.invert.setAttribute("aria-pressed", String(inverted));
    this.invert.disabled = !has;
    for (const [edge, mark] of Object.entries(this.marks)) {
      const side = has ? PLANES[plane].sides[edge] || "" : "";
      mark.textContent = side;
      mark.setAttribute("aria-label", SIDE_WORDS[side] || "");
    }
    this.slider.max = String(Math.max(viewer.slices - 1, 0));
    this.slider.value = String(viewer.index);
    this.slider.disabled = !viewer.slices;
    const text = viewer.slices ? `slice ${viewer.index + 1} / ${viewer.slices}` : plane === "render" && has ? "3-D: drag to turn" : "";
    this.counter.textContent = text;
    const doubtful = viewer.doubtfulSlices;
    const inDoubt = doubtful.some(({ first, last }) => first <= viewer.index && viewer.index <= last);
    this.slider.setAttribute("aria-valuetext", inDoubt ? `${text}, outline in doubt` : text);
    this.markDoubts(doubtful);
    const [low, high] = window;
    this.caption.textContent = has
      ? `${PLANES[plane].title}   W ${number(high - low)}  L ${number((high + low) / 2)}${inverted ? "  inverted" : ""}`
      : "";
    this.overlays.sync();
    this.glass.hidden = plane === "render";
  }

  // Marks under the slider, made anew only where they change, so that the one in focus stays.
  markDoubts(doubtful) {
    const { viewer } = this;
    const key = JSON.stringify([viewer.value?.case, viewer.state.plane, doubtful, viewer.slices]);
    if (key === this.marked) return;
    this.marked = key;
    const last = Math.max(viewer.slices - 1, 1);
    this.doubtMarks.replaceChildren(...doubtful.map((doubt) => {
      const mark = document.createElement("button");
      mark.type = "button";
      mark.className = "frv-doubt-mark";
      mark.title = doubt.words;
      mark.setAttribute("aria-label", doubt.words);
      const from = Math.max(doubt.first - 0.5, 0), to = Math.min(doubt.last + 0.5, last);
      mark.style.left = `${(100 * from) / last}%`;
      mark.style.width = `${(100 * (to - from)) / last}%`;
      mark.addEventListener("click", doubt.go);
      return mark;
    }));
    this.doubtMarks.hidden = !doubtful.length;
  }
}

export function buttons(parent, labels, press) {
  const made = {};
  for (const [name, label] of Object.entries(labels)) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `frv-button frv-${name}-button`;
    button.textContent = label;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => press(name));
    parent.append(button);
    made[name] = button;
  }
  return made;
}

function number(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}
