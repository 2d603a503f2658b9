// The viewer: one set of controls over two ways to draw, NiiVue in this browser or slices from the server.
//
// Voxels are counted as on the server: x from the patient's right to the left, y from front to back, z from the feet
// up, from 0. Slices are shown from 1. Display is radiological: the patient's right is on the left of the screen.

const PLANES = {
  axial: { axis: 2, title: "Axial", sides: { left: "R", right: "L", top: "A", bottom: "P" } },
  coronal: { axis: 1, title: "Coronal", sides: { left: "R", right: "L", top: "S", bottom: "I" } },
  sagittal: { axis: 0, title: "Sagittal", sides: { left: "A", right: "P", top: "S", bottom: "I" } },
  render: { axis: null, title: "3-D", sides: {} },
};
const OUTLINE_BITS = { axial: 1, coronal: 2, sagittal: 4 };
// Colours come from the server (pipeline/exports/colours.py), in the attributes of our element.
let liverColour = null; // red, green, blue
let doubtColour = null;
let heatStops = null; // value, red, green, blue; value 0-255
const SIDE_WORDS = { R: "patient's right", L: "patient's left", A: "front", P: "back", S: "head", I: "feet" };

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
    this.canvasDrawing = null;
    this.build();
    this.reset(null);
    document.addEventListener("visibilitychange", () => this.countTime());
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
    };
    this.seen = { slices: new Set(), overlays: new Set(), seconds: 0, pauses: 0, since: performance.now() };
  }

  async show(value) {
    if (!value) {
      if (this.value) this.reset(null);
      this.element.dataset.state = "empty";
      this.sync();
      return;
    }
    const sameCase = this.value && this.value.case === value.case;
    if (sameCase && !this.value.overlays && value.overlays) {
      this.value = value;
      this.state.xyz = [...value.start_xyz];
    } else if (sameCase) {
      return;
    } else {
      this.reset(value);
    }
    // With overlays on their way the images stay; those of another case must not.
    const shown = sameCase && this.element.dataset.state === "ready";
    this.element.dataset.state = shown ? "adding" : "loading";
    this.message.textContent = "";
    this.sync();
    try {
      this.choice ||= this.chooseDrawing(); // once, also for a case that comes while the library is on its way
      this.drawing = await this.choice;
      if (this.value !== value) return; // another case came meanwhile
      await this.drawing.load(value);
    } catch (error) {
      if (this.value !== value) return;
      this.element.dataset.state = "failed";
      this.message.textContent = "The images could not be loaded: open the case again.";
      console.warn("viewer:", error);
      return;
    }
    if (this.value !== value) return;
    this.element.dataset.state = "ready";
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
    this.planeButtons.render.disabled = true;
    this.planeButtons.render.title = "3-D needs WebGL2, which this browser does not offer";
    return new ServerDrawing(this.stage, this);
  }

  // ---- what the reader does

  setPlane(plane) {
    if (!this.value || this.planeButtons[plane].disabled) return;
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

  // What one overlay's controls ask for now, 0-1.
  opacity(name) {
    const { mask, heat, doubt } = this.state;
    if (!this.value || !this.value.overlays) return 0;
    if (name === "doubt") return doubt.on && this.state.plane !== "render" ? HATCH_OPACITY : 0;
    if (name === "heat") return heat.on && this.value.overlays.heat ? heat.opacity : 0;
    if (!mask.on) return 0;
    // There is no outline of a volume: in 3-D the liver itself is shown.
    if (this.state.plane === "render") return name === "liver" ? mask.opacity * LIVER_IN_3D : 0;
    if (name === "outline") return mask.style === "outline" ? mask.opacity : 0;
    return mask.style === "fill" ? mask.opacity * 0.5 : 0;
  }

  // What was looked at, for the review's row.
  stats() {
    this.countTime();
    return JSON.stringify({
      slices_viewed: [...this.seen.slices].sort((a, b) => a - b).map((index) => index + 1),
      overlays_opened: [...this.seen.overlays].sort(),
      active_seconds: Math.round(this.seen.seconds),
      pauses: this.seen.pauses,
    });
  }

  countTime() {
    const now = performance.now();
    if (this.seen.since !== null) this.seen.seconds += (now - this.seen.since) / 1000;
    const hidden = document.visibilityState === "hidden";
    if (hidden && this.seen.since !== null) this.seen.pauses += 1;
    this.seen.since = hidden ? null : now;
  }

  note() {
    if (!this.value || this.element.dataset.state !== "ready") return;
    if (this.state.plane === "axial") this.seen.slices.add(this.index);
    for (const name of ["outline", "liver", "heat"]) {
      if (this.opacity(name) > 0) this.seen.overlays.add(name === "heat" ? "heat" : "mask");
    }
  }

  // ---- drawing and controls in step

  refresh() {
    this.sync();
    this.note();
    if (this.drawing && this.element.dataset.state === "ready") this.drawing.draw(this.state);
  }

  sync() {
    const { plane, window, preset, inverted, mask, heat, doubt } = this.state;
    const has = Boolean(this.value);
    const overlays = Boolean(this.value && this.value.overlays);
    if (!has) this.element.dataset.state = "empty";
    this.element.dataset.plane = plane;
    for (const [name, button] of Object.entries(this.planeButtons)) {
      button.setAttribute("aria-pressed", String(name === plane));
    }
    for (const [name, button] of Object.entries(this.presetButtons)) {
      button.setAttribute("aria-pressed", String(name === preset));
      button.disabled = !has || !this.value.windows[name];
    }
    this.invert.setAttribute("aria-pressed", String(inverted));
    this.invert.disabled = !has;
    for (const [edge, mark] of Object.entries(this.marks)) {
      const side = has ? PLANES[plane].sides[edge] || "" : "";
      mark.textContent = side;
      mark.setAttribute("aria-label", SIDE_WORDS[side] || "");
    }
    this.slider.max = String(Math.max(this.slices - 1, 0));
    this.slider.value = String(this.index);
    this.slider.disabled = !this.slices;
    const text = this.slices ? `slice ${this.index + 1} / ${this.slices}` : plane === "render" && has ? "3-D: drag to turn" : "";
    this.counter.textContent = text;
    const doubtful = this.doubtfulSlices;
    const inDoubt = doubtful.some(({ first, last }) => first <= this.index && this.index <= last);
    this.slider.setAttribute("aria-valuetext", inDoubt ? `${text}, outline in doubt` : text);
    this.markDoubts(doubtful);
    const [low, high] = window;
    this.caption.textContent = has
      ? `${PLANES[plane].title}   W ${number(high - low)}  L ${number((high + low) / 2)}${inverted ? "  inverted" : ""}`
      : "";
    this.overlayRow.hidden = !overlays;
    this.maskOn.checked = mask.on;
    this.maskStyle.value = mask.style;
    this.maskOpacity.value = String(mask.opacity);
    this.heatOn.checked = heat.on;
    this.heatOpacity.value = String(heat.opacity);
    this.doubtOn.checked = doubt.on;
    this.doubtSwitch.hidden = !(overlays && this.value.overlays.doubt);
    this.heatNote.textContent = overlays ? this.value.heat_note : "";
    for (const control of [this.heatOn.parentElement, this.heatOpacity]) control.hidden = overlays && !this.value.overlays.heat;
    this.glass.hidden = plane === "render";
  }

  // Marks under the slider, made anew only where they change, so that the one in focus stays.
  markDoubts(doubtful) {
    const key = JSON.stringify([this.value?.case, this.state.plane, doubtful, this.slices]);
    if (key === this.marked) return;
    this.marked = key;
    const last = Math.max(this.slices - 1, 1);
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

  // ---- the page's elements

  build() {
    this.element.innerHTML = `
      <div class="frv-bar" role="toolbar" aria-label="Planes and window">
        <div class="frv-group frv-planes" role="group" aria-label="Plane"></div>
        <div class="frv-group frv-presets" role="group" aria-label="Window"></div>
      </div>
      <div class="frv-stage" tabindex="0" role="application"
           aria-label="Slices. Wheel, arrow keys, page keys, home and end step through them; drag sets the window.">
        <div class="frv-picture"></div>
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
      </div>`;
    const find = (name) => this.element.querySelector(`.${name}`);
    this.stage = find("frv-stage");
    this.glass = find("frv-glass");
    this.slider = find("frv-slider");
    this.counter = find("frv-counter");
    this.doubtMarks = find("frv-doubt-marks");
    this.doubtSwitch = find("frv-doubt-switch");
    this.caption = find("frv-caption");
    this.message = find("frv-message");
    this.overlayRow = find("frv-overlays");
    this.heatNote = find("frv-heat-note");
    this.marks = Object.fromEntries(["left", "right", "top", "bottom"].map((edge) => [edge, find(`frv-${edge}`)]));
    this.planeButtons = this.buttons(find("frv-planes"), { axial: "Axial", coronal: "Coronal", sagittal: "Sagittal", render: "3-D" }, (name) => this.setPlane(name));
    this.presetButtons = this.buttons(find("frv-presets"), { full: "1–99 %", liver: "Liver" }, (name) => this.usePreset(name));
    this.presetButtons.full.title = "From the 1st to the 99th percentile of the volume";
    this.presetButtons.liver.title = "Centred on the liver";
    this.invert = this.buttons(find("frv-presets"), { inverted: "Invert" }, () => {
      this.state.inverted = !this.state.inverted;
      this.refresh();
    }).inverted;
    this.bindOverlays(find);
    this.bindBrowsing();
  }

  buttons(parent, labels, press) {
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

  bindOverlays(find) {
    this.maskOn = find("frv-mask-on");
    this.maskStyle = find("frv-mask-style");
    this.maskOpacity = find("frv-mask-opacity");
    this.heatOn = find("frv-heat-on");
    this.heatOpacity = find("frv-heat-opacity");
    this.doubtOn = find("frv-doubt-on");
    const changed = () => {
      const { mask, heat, doubt } = this.state;
      mask.on = this.maskOn.checked;
      mask.style = this.maskStyle.value;
      mask.opacity = Number(this.maskOpacity.value);
      heat.on = this.heatOn.checked;
      heat.opacity = Number(this.heatOpacity.value);
      doubt.on = this.doubtOn.checked;
      this.refresh();
    };
    for (const input of [this.maskOn, this.maskStyle, this.maskOpacity, this.heatOn, this.heatOpacity, this.doubtOn]) {
      input.addEventListener("input", changed);
    }
  }

  bindBrowsing() {
    this.slider.addEventListener("input", () => this.goTo(Number(this.slider.value)));
    let rolled = 0;
    this.glass.addEventListener("wheel", (event) => {
      if (!this.value) return;
      event.preventDefault();
      // A mouse's notch is one slice; a touchpad's small deltas add up to one.
      rolled += event.deltaMode === 0 ? event.deltaY : event.deltaY * 40;
      const steps = Math.abs(event.deltaY) >= 60 ? Math.sign(rolled) : Math.trunc(rolled / 30);
      if (steps === 0) return;
      rolled = 0;
      this.goTo(this.index - steps); // towards the reader: to the feet
    }, { passive: false });
    this.stage.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[event.key];
      if (step) this.goTo(this.index + step);
      else if (event.key === "Home") this.goTo(0);
      else if (event.key === "End") this.goTo(this.slices - 1);
      else return;
      event.preventDefault();
    });
    this.bindDrag();
  }

  bindDrag() {
    let from = null;
    this.glass.addEventListener("pointerdown", (event) => {
      if (!this.value || event.button > 0) return;
      this.stage.focus({ preventScroll: true });
      this.glass.setPointerCapture(event.pointerId);
      from = { x: event.clientX, y: event.clientY, window: this.state.window };
    });
    this.glass.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [low, high] = from.window;
      // The whole width of the picture changes the window by twice its full range.
      const [fullLow, fullHigh] = this.value.windows.full;
      const unit = (2 * (fullHigh - fullLow)) / Math.max(this.glass.clientWidth, 1);
      const width = Math.max(high - low + unit * (event.clientX - from.x), 0.01 * (fullHigh - fullLow));
      const level = (high + low) / 2 + unit * (event.clientY - from.y);
      this.setWindow(level - width / 2, level + width / 2, null);
    });
    const end = () => { from = null; };
    this.glass.addEventListener("pointerup", end);
    this.glass.addEventListener("pointercancel", end);
    this.glass.addEventListener("dblclick", () => this.usePreset("full"));
  }
}

// Draws with NiiVue on a canvas in this page. Nothing is asked of the server after the files are loaded.
class NiivueDrawing {
  static async start(stage, owner) {
    const { Niivue } = await import(new URL("viewer/niivue.js", document.baseURI).href);
    const drawing = new NiivueDrawing();
    const holder = stage.querySelector(".frv-picture");
    const canvas = document.createElement("canvas");
    holder.replaceChildren(canvas);
    drawing.owner = owner;
    drawing.nv = new Niivue({
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      isOrientationTextVisible: false, // ours are text of the page, readable by everyone
      crosshairWidth: 0,
      show3Dcrosshair: false,
      dragAndDropEnabled: false,
      isResizeCanvas: true,
      backColor: [0, 0, 0, 1],
      loadingText: "",
      logLevel: "error",
    });
    await drawing.nv.attachToCanvas(canvas, false);
    canvas.tabIndex = -1; // the stage around it takes the keys, and says so
    canvas.setAttribute("aria-hidden", "true");
    drawing.nv.addColormap("fr-heat", heatColours(HEAT_IN_SLICES));
    drawing.nv.addColormap("fr-heat-3d", heatColours(HEAT_IN_3D));
    drawing.nv.addColormap("fr-inverted", { R: [255, 0], G: [255, 0], B: [255, 0], A: [255, 255], I: [0, 255] });
    return drawing;
  }

  // One load at a time: NiiVue appends what it fetched to whatever is open by then.
  load(value) {
    const next = () => this.loadNow(value);
    this.loading = (this.loading || Promise.resolve()).then(next, next);
    return this.loading;
  }

  async loadNow(value) {
    if (this.owner.value !== value) return;
    // NiiVue prepares every layer anew for each file that it adds: we have it do so once, when all are there.
    this.nv.updateGLVolume = () => {};
    try {
      await this.addFiles(value);
    } finally {
      delete this.nv.updateGLVolume;
      this.fresh = true;
    }
  }

  async addFiles(value) {
    const address = (file) => new URL(value.base + file, document.baseURI).href;
    if (this.loaded !== value.case) {
      this.loaded = null;
      this.overlays = {};
      await this.nv.loadVolumes([{ url: address(value.volume), name: value.volume, colormap: "gray" }]);
      this.loaded = value.case;
    }
    if (!value.overlays || Object.keys(this.overlays).length) return;
    // From the lowest to the uppermost.
    for (const name of ["liver", "heat", "doubt", "outline"].filter((known) => value.overlays[known])) {
      if (this.owner.value !== value) return;
      const file = value.overlays[name];
      const overlay = await this.nv.addVolumeFromUrl({ url: address(file), name: file, opacity: 0, colormap: "gray" });
      if (name !== "heat") overlay.setColormapLabel(labels(name === "liver" ? [1] : [], liverColour));
      this.overlays[name] = overlay;
    }
    this.bit = null;
  }

  draw(state) {
    const { nv } = this;
    const type = { axial: nv.sliceTypeAxial, coronal: nv.sliceTypeCoronal, sagittal: nv.sliceTypeSagittal, render: nv.sliceTypeRender };
    const below = JSON.stringify([state.window, state.inverted]);
    const above = JSON.stringify([state.plane, state.mask, state.heat, state.doubt]);
    const newBelow = this.fresh || below !== this.below, newAbove = this.fresh || above !== this.above;
    if (newBelow) this.prepareVolume(state);
    if (newAbove) this.prepareOverlays(state);
    // A layer is computed for all slices at once, so only the layers that change are.
    if (this.fresh) nv.updateGLVolume();
    else if (newBelow) nv.refreshLayers(nv.volumes[0], 0);
    if (newAbove && !this.fresh) nv.volumes.slice(1).forEach((overlay, at) => nv.refreshLayers(overlay, at + 1));
    Object.assign(this, { below, above, fresh: false });
    if (nv.opts.sliceType !== type[state.plane]) nv.setSliceType(type[state.plane]);
    // NiiVue counts from the patient's left, back and feet; we count from the right, front and feet.
    const [x, y, z] = state.xyz.map((index, axis) => (index + 0.5) / this.owner.value.size_xyz[axis]);
    nv.scene.crosshairPos = [1 - x, 1 - y, z];
    nv.drawScene();
  }

  prepareVolume(state) {
    const volume = this.nv.volumes[0];
    useColours(volume, state.inverted ? "fr-inverted" : "gray");
    [volume.cal_min, volume.cal_max] = state.window;
  }

  prepareOverlays(state) {
    const bit = OUTLINE_BITS[state.plane];
    if (this.overlays.outline && bit && bit !== this.bit) {
      const shown = [1, 2, 3, 4, 5, 6, 7].filter((code) => code & bit);
      this.overlays.outline.setColormapLabel(labels(shown, liverColour));
      this.overlays.doubt?.setColormapLabel(labels(shown, doubtColour));
      this.bit = bit;
    }
    if (this.overlays.heat) {
      useColours(this.overlays.heat, state.plane === "render" ? "fr-heat-3d" : "fr-heat");
      Object.assign(this.overlays.heat, { cal_min: 255, cal_max: 255, colormapType: TRANSLUCENT_BELOW_MIN });
    }
    for (const [name, overlay] of Object.entries(this.overlays)) overlay.opacity = this.owner.opacity(name);
  }
}

// A new colour table makes NiiVue read all voxels and set a window of its own, so ours comes after.
function useColours(image, table) {
  if (image.colormap !== table) image.colormap = table;
}

// Asks the server for each slice; while one is on its way only the latest wish is kept.
class ServerDrawing {
  constructor(stage, owner) {
    this.owner = owner;
    this.image = document.createElement("img");
    this.image.alt = "";
    stage.querySelector(".frv-picture").replaceChildren(this.image);
  }

  async load(value) {
    if (this.loaded !== value.case) this.image.removeAttribute("src");
    this.loaded = value.case;
  }

  draw(state) {
    this.wish = {
      case: this.owner.value.case,
      plane: state.plane,
      index: this.owner.index,
      window: state.window,
      inverted: state.inverted,
      outline: this.owner.opacity("outline"),
      fill: this.owner.opacity("liver"),
      heat: this.owner.opacity("heat"),
      doubt: this.owner.opacity("doubt"),
    };
    if (!this.busy) this.work();
  }

  async work() {
    this.busy = true;
    while (this.wish) {
      const wish = this.wish;
      this.wish = null;
      try {
        const picture = await this.owner.server.draw(wish);
        if (picture && this.owner.value?.case === wish.case) this.image.src = picture;
      } catch (error) {
        console.warn("viewer: the server did not draw the slice:", error);
      }
    }
    this.busy = false;
  }
}

function takeColours(element) {
  const numbers = (text) => text.split(",").map(Number);
  liverColour = numbers(element.dataset.liver);
  doubtColour = numbers(element.dataset.doubt);
  heatStops = element.dataset.heat.split(";").map(numbers);
  element.style.setProperty("--frv-liver", `rgb(${liverColour.join(" ")})`);
  element.style.setProperty("--frv-doubt", `rgb(${doubtColour.join(" ")})`);
  element.style.setProperty("--frv-heat", heatStops.map(([, ...rgb]) => `rgb(${rgb.join(" ")})`).join(", "));
}

// NiiVue takes an overlay's alpha as all or nothing, but for this type: there opacity is the square of the value's share
// of cal_min, so weak heat fades out.
const TRANSLUCENT_BELOW_MIN = 1;
const HEAT_IN_SLICES = 32; // 1.6 % opaque: nobody sees less
const HEAT_IN_3D = 64; // less is loose crumbs on the liver's surface
const HATCH_OPACITY = 0.6; // faint: what lies under the lines can be judged
const LIVER_IN_3D = 0.06; // a ray goes through many voxels: so the heat inside the liver shines through

// The heat's colour table from the value `first` on. What is hidden has the liver's colour, since NiiVue mixes the
// colours of neighbours, hidden ones too, into the mask's edge.
function heatColours(first) {
  const hidden = [[0, ...liverColour, 0], [first - 1, ...liverColour, 0]];
  const table = [...hidden, ...heatStops.filter(([value]) => value >= first).map((stop) => [...stop, 255])];
  const [I, R, G, B, A] = [0, 1, 2, 3, 4].map((column) => table.map((row) => row[column]));
  return { R, G, B, A, I };
}

// A colour table that shows only the given codes, 0-7, in one colour.
function labels(shown, [red, green, blue]) {
  const codes = [0, 1, 2, 3, 4, 5, 6, 7];
  return {
    R: codes.map(() => red), G: codes.map(() => green), B: codes.map(() => blue),
    A: codes.map((code) => (shown.includes(code) ? 255 : 0)), I: codes, labels: codes.map(String),
  };
}

function hasWebGL2() {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("webgl2");
  if (context) context.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(context);
}

function number(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}
