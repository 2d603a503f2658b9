// What was looked at, for the review's row: slices, overlays, seconds on the screen, pauses.

export class Viewing {
  constructor() {
    this.slices = new Set();
    this.overlays = new Set();
    this.seconds = 0;
    this.pauses = 0;
    this.since = performance.now();
  }

  // Called when the page is hidden or shown again, and before the time is read.
  countTime() {
    const now = performance.now();
    if (this.since !== null) this.seconds += (now - this.since) / 1000;
    const hidden = document.visibilityState === "hidden";
    if (hidden && this.since !== null) this.pauses += 1;
    this.since = hidden ? null : now;
  }

  // As JSON; slices from 1.
  stats() {
    this.countTime();
    return JSON.stringify({
      slices_viewed: [...this.slices].sort((a, b) => a - b).map((index) => index + 1),
      overlays_opened: [...this.overlays].sort(),
      active_seconds: Math.round(this.seconds),
      pauses: this.pauses,
    });
  }
}
