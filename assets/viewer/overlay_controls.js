// The row of overlays under the slices: what is shown, how, and how strongly.

export class OverlayControls {
  constructor(viewer, find) {
    this.viewer = viewer;
    this.row = find("frv-overlays");
    this.heatNote = find("frv-heat-note");
    this.doubtSwitch = find("frv-doubt-switch");
    this.maskOn = find("frv-mask-on");
    this.maskStyle = find("frv-mask-style");
    this.maskOpacity = find("frv-mask-opacity");
    this.heatOn = find("frv-heat-on");
    this.heatOpacity = find("frv-heat-opacity");
    this.doubtOn = find("frv-doubt-on");
    this.organsOn = find("frv-organs-on");
    this.organsSwitch = find("frv-organs-switch");
    this.body = find("frv-body");
    this.bodyOpacity = find("frv-body-opacity");
    const inputs = [this.maskOn, this.maskStyle, this.maskOpacity, this.heatOn, this.heatOpacity, this.doubtOn];
    this.organsOn.addEventListener("input", () => viewer.showOrgans(this.organsOn.checked));
    this.bodyOpacity.addEventListener("input", () => {
      viewer.state.body = Number(this.bodyOpacity.value);
      viewer.refresh();
    });
    for (const input of inputs) input.addEventListener("input", () => this.changed());
  }

  changed() {
    const { mask, heat, doubt } = this.viewer.state;
    mask.on = this.maskOn.checked;
    mask.style = this.maskStyle.value;
    mask.opacity = Number(this.maskOpacity.value);
    heat.on = this.heatOn.checked;
    heat.opacity = Number(this.heatOpacity.value);
    doubt.on = this.doubtOn.checked;
    this.viewer.refresh();
  }

  sync() {
    const { mask, heat, doubt } = this.viewer.state;
    const files = this.viewer.value?.overlays;
    this.row.hidden = !files;
    this.maskOn.checked = mask.on;
    this.maskStyle.value = mask.style;
    this.maskOpacity.value = String(mask.opacity);
    this.heatOn.checked = heat.on;
    this.heatOpacity.value = String(heat.opacity);
    this.doubtOn.checked = doubt.on;
    this.doubtSwitch.hidden = !files?.doubt;
    this.organsOn.checked = this.viewer.state.organs.on;
    this.organsSwitch.hidden = !files?.organs;
    this.body.hidden = this.viewer.state.plane !== "render";
    this.bodyOpacity.value = String(this.viewer.state.body);
    this.heatNote.textContent = files ? this.viewer.value.heat_note : "";
    for (const control of [this.heatOn.parentElement, this.heatOpacity]) control.hidden = Boolean(files && !files.heat);
  }
}
