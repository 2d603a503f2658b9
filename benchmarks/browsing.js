// Measured inside the page: each function runs one act often and returns milliseconds of its handler and of its frame.
window.fibroBench = (() => {
  const viewer = () => window.fibroViewer;
  const nextFrame = () => new Promise((done) => requestAnimationFrame(() => done()));

  // Until what was asked for is in the canvas, or in the image, and the browser begins its next frame.
  async function shown() {
    const { drawing } = viewer();
    if (drawing.nv) {
      const { gl } = drawing.nv;
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits for the drawing
    } else {
      while (drawing.busy) await new Promise((done) => setTimeout(done, 1));
      await drawing.image.decode();
    }
    await nextFrame();
  }

  async function repeat(times, act) {
    const handler = [], frame = [];
    for (let number = 0; number < times; number++) {
      await nextFrame();
      const start = performance.now();
      act(number);
      handler.push(performance.now() - start);
      await shown();
      frame.push(performance.now() - start);
    }
    return { handler, frame };
  }

  return {
    shown,
    step: (times) => repeat(times, (number) => viewer().goTo(viewer().index + (number % 8 < 4 ? 1 : -1))),
    overlay: (times) => repeat(times, () => document.querySelector(".frv-heat-on").click()),
    drag: (times) => repeat(times, (number) => {
      const [low, high] = viewer().value.windows.full;
      viewer().setWindow(low + (number % 10) * 0.01 * (high - low), high, null);
    }),
    // From the arrival of the result to its first picture.
    watch: () => {
      const element = document.querySelector(".fr-viewer");
      let start = 0;
      window.fibroBench.result = new Promise((done) => {
        new MutationObserver(async () => {
          if (element.dataset.state === "adding" || element.dataset.state === "loading") start ||= performance.now();
          if (start && element.dataset.state === "ready") {
            await shown();
            done(performance.now() - start);
          }
        }).observe(element, { attributes: true, attributeFilter: ["data-state"] });
      });
    },
  };
})();
