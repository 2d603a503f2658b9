// The viewer: one set of controls over two ways to draw, NiiVue in this browser or slices from the server.

import { bindBrowsing } from "./browsing.js";
import { takeColours } from "./colours.js";
import { Controls } from "./controls.js";
import { Editor } from "./editing/editor.js";
import { NiivueDrawing, hasWebGL2 } from "./niivue_drawing.js";
import { PLANES } from "./planes.js";
import { ServerDrawing } from "./server_drawing.js";
import { Viewing } from "./viewing.js";

const HATCH_OPACITY = 0.6; // faint: what lies under the lines can be judged
const BODY_IN_3D = 0.3; // the liver is seen through the body
const LIVER_IN_3D = 0.45; // the heat inside shines through

let viewer = null;
let waiting = null;

// Called once, when the page has made the element that we fill.
export function mount(element, server) {
  takeColours(element);
  viewer = new Viewer(element, server);
  window.fibroViewer = viewer; // the save button asks it what was looked at
  if (waiting) viewer.show(waiting);
  // The result card, which every analysis replaces, holds the sentences on a doubtful outline.
  document.addEventListener("click", (event) => {
    const sentence = event.target.closest("button[data-doubt]");
    if (sentence) viewer.goToDoubt(Number(sentence.dataset.doubt));
  });
}

// Called with every value from the server; null closes the case.
export function show(value) {
  waiting = value || null;
  if (viewer) viewer.show(waiting);
}

class Viewer {
  constructor(element, server) {
    this.element = element;
    this.server = server;
    this.value = null;
    this.controls = new Controls(this);
    this.stage = this.controls.stage;
    this.glass = this.controls.glass;
    bindBrowsing(this);
    this.editor = new Editor(this, this.controls.editing);
    this.reset(null);
    document.addEventListener("visibilitychange", () => this.seen.countTime());
  }

  // ---- case

  reset(value) {
    this.value = value;
    this.state = {
      plane: "axial",
      xyz: value ? [...value.start_xyz] : [0, 0, 0],
      window: value ? [...value.windows.full] : [0, 1],
      preset: "full",
      inverted: false,
      mask: { on: true, style: "outline", opacity: 1.0 },
      heat: { on: true, opacity: 0.8 },
      doubt: { on: true },
      organs: { on: false },
      body: BODY_IN_3D,
    };
    this.seen = new Viewing();
    this.editor.close();
  }

  async show(value) {
    if (!value) {
      if (this.value) this.reset(null);
      this.element.dataset.state = "empty";
      this.refresh();
      return;
    }
    const sameCase = this.value && this.value.case === value.case;
    if (sameCase && !this.value.overlays && value.overlays) {
      this.value = value;
      this.state.xyz = [...value.start_xyz];
    } else if (sameCase && value.edit && value.edit.turn !== this.value.edit?.turn) {
      this.value = value; // classified again: other heat
    } else if (sameCase) {
      return;
    } else {
      this.reset(value);
    }
    // With overlays on their way the images stay; those of another case must not.
    const shown = sameCase && this.element.dataset.state === "ready";
    this.element.dataset.state = shown ? "adding" : "loading";
    this.controls.message.textContent = "";
    this.controls.sync();
    try {
      this.choice ||= this.chooseDrawing(); // once, also for a case that comes while the library is on its way
      this.drawing = await this.choice;
      if (this.value !== value) return; // another case came meanwhile
      await this.drawing.load(value);
    } catch (error) {
      if (this.value !== value) return;
      this.element.dataset.state = "failed";
      this.controls.message.textContent = "The images could not be loaded: open the case again.";
      console.warn("viewer:", error);
      return;
    }
    if (this.value !== value) return;
    this.element.dataset.state = "ready";
    this.editor.open(value).then(() => this.refresh());
    this.refresh();
  }

  async chooseDrawing() {
    const forced = new URLSearchParams(location.search).get("viewer") === "server";
    if (!forced && this.element.dataset.library === "yes" && hasWebGL2()) {
      try {
        return await NiivueDrawing.start(this.stage, this);
      } catch (error) {
        console.warn("viewer: drawing on the server instead:", error);
      }
    }
    this.controls.planeButtons.render.disabled = true;
    this.controls.planeButtons.render.title = "3-D needs WebGL2, which this browser does not offer";
    return new ServerDrawing(this.stage, this);
  }

  // ---- what the reader does

  setPlane(plane) {
    if (!this.value || this.controls.planeButtons[plane].disabled) return;
    this.state.plane = plane;
    this.refresh();
  }

  get slices() {
    const axis = PLANES[this.state.plane].axis;
    return axis === null || !this.value ? 0 : this.value.size_xyz[axis];
  }

  get index() {
    const axis = PLANES[this.state.plane].axis;
    return axis === null ? 0 : this.state.xyz[axis];
  }

  goTo(index) {
    const axis = PLANES[this.state.plane].axis;
    if (axis === null || !this.value) return;
    const next = Math.min(Math.max(Math.round(index), 0), this.slices - 1);
    if (next === this.state.xyz[axis]) return;
    this.state.xyz[axis] = next;
    this.refresh();
  }

  // To the slice in which most of a doubtful part is seen.
  goToDoubt(number) {
    const doubt = this.value?.doubts?.[number];
    if (!doubt) return;
    this.state.plane = "axial";
    this.state.xyz = [...doubt.at_xyz];
    this.refresh();
    this.stage.scrollIntoView({ block: "nearest" });
    this.stage.focus({ preventScroll: true }); // the arrow keys step on from there
  }

  // Slices of the present plane in which the outline is in doubt: first, last, what to say, where to go.
  get doubtfulSlices() {
    if (!this.value?.overlays) return [];
    const { plane } = this.state;
    if (plane === "axial") {
      return this.value.doubts.map(({ slices: [first, last], words }, number) => (
        { first, last, words, go: () => this.goToDoubt(number) }
      ));
    }
    return (this.value.doubt_slices[plane] || []).map(([first, last]) => {
      const slices = first === last ? `slice ${first + 1}` : `slices ${first + 1}–${last + 1}`;
      return { first, last, words: `Check ${slices}.`, go: () => this.goTo((first + last) / 2) };
    });
  }

  setWindow(low, high, preset) {
    this.state.window = [low, Math.max(high, low + 1e-6)];
    this.state.preset = preset;
    this.refresh();
  }

  usePreset(name) {
    const window = this.value && this.value.windows[name];
    if (window) this.setWindow(window[0], window[1], name);
  }

  toggleInverted() {
    this.state.inverted = !this.state.inverted;
    this.refresh();
  }

  // Outlines of the other organs, fetched when they are first asked for.
  async showOrgans(on) {
    this.state.organs.on = on;
    const { value } = this;
    if (on && this.element.dataset.state === "ready") await this.drawing.load(value);
    if (this.value === value) this.refresh();
  }

  // What one overlay's controls ask for now, 0-1.
  opacity(name) {
    const { mask, heat, doubt } = this.state;
    if (!this.value || !this.value.overlays) return 0;
    if (name === "doubt") return doubt.on && this.state.plane !== "render" ? HATCH_OPACITY : 0;
    if (name === "organs") return this.state.organs.on && this.state.plane !== "render" ? 1 : 0;
    if (name === "heat") return heat.on && this.value.overlays.heat ? heat.opacity : 0;
    if (!mask.on || this.editor.shown) return 0; // the editor draws what is being corrected
    if (name === "surface") return mask.opacity * (heat.on && this.value.overlays.heat ? LIVER_IN_3D : 1);
    // There is no outline of a volume: in 3-D the liver's surface is shown.
    if (this.state.plane === "render") return 0;
    if (name === "outline") return mask.style === "outline" ? mask.opacity : 0;
    return mask.style === "fill" ? mask.opacity * 0.5 : 0;
  }

  // What was looked at, for the review's row.
  stats() {
    return this.seen.stats();
  }

  // The liver mask as it is now, for the server; empty where it cannot be corrected.
  editedMask() {
    return this.editor.sentMask();
  }

  // Whether the mask is seen in another way than as an overlay: while it is corrected, or as a surface.
  get showsMask() {
    return this.editor.shown || (this.state.plane === "render" && this.opacity("surface") > 0);
  }

  note() {
    if (!this.value || this.element.dataset.state !== "ready") return;
    if (this.state.plane === "axial") this.seen.slices.add(this.index);
    for (const name of ["outline", "liver", "heat"]) {
      if (this.opacity(name) > 0 || (name === "outline" && this.showsMask)) this.seen.overlays.add(name === "heat" ? "heat" : "mask");
    }
  }

  // ---- drawing and controls in step

  refresh() {
    this.controls.sync();
    this.note();
    this.editor.sync();
    if (this.drawing && this.element.dataset.state === "ready") this.drawing.draw(this.state);
    this.editor.draw();
  }
}
