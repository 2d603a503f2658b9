import { colours, heatColours, labelColours } from "./colours.js";
import { OUTLINE_BITS } from "./planes.js";

// NiiVue takes an overlay's alpha as all or nothing, but for this type: there opacity is the square of the value's share
// of cal_min, so weak heat fades out.
const TRANSLUCENT_BELOW_MIN = 1;
const HEAT_IN_SLICES = 32; // 1.6 % opaque: nobody sees less
const HEAT_IN_3D = 64; // less is loose crumbs on the liver's surface

// Draws with NiiVue on a canvas in this page. Nothing is asked of the server after the files are loaded.
export class NiivueDrawing {
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
      if (name !== "heat") overlay.setColormapLabel(labelColours(name === "liver" ? [1] : [], colours.liver));
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
      this.overlays.outline.setColormapLabel(labelColours(shown, colours.liver));
      this.overlays.doubt?.setColormapLabel(labelColours(shown, colours.doubt));
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
