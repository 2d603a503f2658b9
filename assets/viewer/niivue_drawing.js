import { colours, heatColours, labelColours, organColours } from "./colours.js";
import { outlineBits } from "./editing/outline.js";
import { LiverMesh } from "./liver_mesh.js";
import { OUTLINE_BITS } from "./planes.js";

// NiiVue takes an overlay's alpha as all or nothing, but for this type: there opacity is the square of the value's share
// of cal_min, so weak heat fades out.
const TRANSLUCENT_BELOW_MIN = 1;
const HEAT_IN_SLICES = 32; // 1.6 % opaque: nobody sees less
const LAYERS = ["liver", "heat", "doubt", "organs", "outline"]; // from the lowest to the uppermost
const HEAT_IN_3D = 64; // less is loose crumbs on the liver's surface

// Draws with NiiVue on a canvas in this page. Nothing is asked of the server after the files are loaded.
export class NiivueDrawing {
  static async start(stage, owner) {
    const { Niivue, NVMesh } = await import(new URL("viewer/niivue.js", document.baseURI).href);
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
    drawing.liver = new LiverMesh(drawing.nv, NVMesh);
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
      this.liver.drop();
      this.overlays = {};
      await this.nv.loadVolumes([{ url: address(value.volume), name: value.volume, colormap: "gray" }]);
      this.loaded = value.case;
    }
    if (!value.overlays) return;
    this.dropReplaced(value.overlays);
    const wanted = (name) => value.overlays[name] && (name !== "organs" || this.owner.state.organs.on || this.overlays.organs);
    for (const [place, name] of LAYERS.filter(wanted).entries()) {
      if (this.owner.value !== value) return;
      if (this.overlays[name]) continue;
      const file = value.overlays[name];
      const overlay = await this.nv.addVolumeFromUrl({ url: address(file), name: file, opacity: 0, colormap: "gray" });
      if (name !== "heat") overlay.setColormapLabel(labelColours(name === "liver" ? [1] : [], colours.liver));
      this.overlays[name] = overlay;
      this.nv.setVolume(overlay, place + 1);
    }
    this.bit = null;
  }

  // What is not there any more, or under another name, was computed from another mask.
  dropReplaced(files) {
    for (const [name, overlay] of Object.entries(this.overlays)) {
      if (overlay.name === files[name]) continue;
      this.nv.removeVolume(overlay);
      delete this.overlays[name];
    }
  }

  // ---- the mask that is corrected

  // Takes up a new size of the stage at once; NiiVue itself does so a little later.
  fit() {
    this.nv.resizeListener();
  }

  // A copy of the liver mask's voxels as they were loaded; x runs fastest, from the patient's right.
  maskVoxels() {
    return Uint8Array.from(this.overlays.liver.img);
  }

  // Takes a corrected mask into the volumes that are drawn, where it is not in them already.
  showMask(mask) {
    if (this.shownMask === mask && this.shownVersion === mask.version) return;
    Object.assign(this, { shownMask: mask, shownVersion: mask.version });
    this.overlays.liver.img.set(mask.voxels);
    outlineBits(mask.voxels, this.owner.value.size_xyz, this.overlays.outline.img);
    this.above = null;
  }

  // Where a slice lies on the screen: a place (u, v) of its grid at (x0 + xu * u, y0 + yv * v) CSS pixels; null before it
  // is drawn.
  slicePlace(grid, xyz) {
    const at = (share) => {
      const [x, y, z] = xyz.map((index, axis) => (
        grid.axes.indexOf(axis) === 2 ? (index + 0.5) / this.owner.value.size_xyz[axis] : share
      ));
      return this.nv.frac2canvasPos([1 - x, 1 - y, z]);
    };
    const [near, far] = [at(0.25), at(0.75)];
    if (!near || !far) return null;
    const scale = this.nv.uiData.dpr || 1;
    const [xu, yv] = [(far[0] - near[0]) / (0.5 * grid.nu * scale), (far[1] - near[1]) / (0.5 * grid.nv * scale)];
    return { x0: near[0] / scale - 0.25 * grid.nu * xu, xu, y0: near[1] / scale - 0.25 * grid.nv * yv, yv };
  }

  draw(state) {
    const { nv } = this;
    const type = { axial: nv.sliceTypeAxial, coronal: nv.sliceTypeCoronal, sagittal: nv.sliceTypeSagittal, render: nv.sliceTypeRender };
    const below = JSON.stringify([state.window, state.inverted, state.plane === "render" ? state.body : 1]);
    const above = JSON.stringify([state.plane, state.mask, state.heat, state.doubt, state.organs, this.owner.editor.shown]);
    this.prepareLiver(state);
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

  // In 3-D the liver is a surface, not a volume.
  prepareLiver(state) {
    const { overlays, owner } = this;
    if (state.plane !== "render" || !overlays.liver) {
      this.liver.hide();
      return;
    }
    const { size_xyz, spacing_mm_xyz } = owner.value;
    const version = `${owner.value.case} ${this.shownVersion ?? ""}`;
    this.liver.show(overlays.liver, version, size_xyz, spacing_mm_xyz, owner.opacity("surface"));
  }

  prepareVolume(state) {
    const volume = this.nv.volumes[0];
    volume.opacity = state.plane === "render" ? state.body : 1;
    useColours(volume, state.inverted ? "fr-inverted" : "gray");
    [volume.cal_min, volume.cal_max] = state.window;
  }

  prepareOverlays(state) {
    const bit = OUTLINE_BITS[state.plane];
    if (this.overlays.outline && bit && bit !== this.bit) {
      const shown = [1, 2, 3, 4, 5, 6, 7].filter((code) => code & bit);
      this.overlays.outline.setColormapLabel(labelColours(shown, colours.liver));
      this.overlays.doubt?.setColormapLabel(labelColours(shown, colours.doubt));
      this.overlays.organs?.setColormapLabel(organColours(bit));
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

export function hasWebGL2() {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("webgl2");
  if (context) context.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(context);
}
