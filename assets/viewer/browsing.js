// Stepping through slices and setting the window with mouse, pen, touch and keys.

export function bindBrowsing(viewer) {
  viewer.controls.slider.addEventListener("input", () => viewer.goTo(Number(viewer.controls.slider.value)));
  let rolled = 0;
  viewer.glass.addEventListener("wheel", (event) => {
    if (!viewer.value) return;
    event.preventDefault();
    // A mouse's notch is one slice; a touchpad's small deltas add up to one.
    rolled += event.deltaMode === 0 ? event.deltaY : event.deltaY * 40;
    const steps = Math.abs(event.deltaY) >= 60 ? Math.sign(rolled) : Math.trunc(rolled / 30);
    if (steps === 0) return;
    rolled = 0;
    viewer.goTo(viewer.index - steps); // towards the reader: to the feet
  }, { passive: false });
  viewer.stage.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[event.key];
    if (step) viewer.goTo(viewer.index + step);
    else if (event.key === "Home") viewer.goTo(0);
    else if (event.key === "End") viewer.goTo(viewer.slices - 1);
    else return;
    event.preventDefault();
  });
  bindDrag(viewer);
}

function bindDrag(viewer) {
  let from = null;
  viewer.glass.addEventListener("pointerdown", (event) => {
    if (!viewer.value || event.button > 0) return;
    viewer.stage.focus({ preventScroll: true });
    viewer.glass.setPointerCapture(event.pointerId);
    from = { x: event.clientX, y: event.clientY, window: viewer.state.window };
  });
  viewer.glass.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [low, high] = from.window;
    // The whole width of the picture changes the window by twice its full range.
    const [fullLow, fullHigh] = viewer.value.windows.full;
    const unit = (2 * (fullHigh - fullLow)) / Math.max(viewer.glass.clientWidth, 1);
    const width = Math.max(high - low + unit * (event.clientX - from.x), 0.01 * (fullHigh - fullLow));
    const level = (high + low) / 2 + unit * (event.clientY - from.y);
    viewer.setWindow(level - width / 2, level + width / 2, null);
  });
  const end = () => { from = null; };
  viewer.glass.addEventListener("pointerup", end);
  viewer.glass.addEventListener("pointercancel", end);
  viewer.glass.addEventListener("dblclick", () => viewer.usePreset("full"));
}
