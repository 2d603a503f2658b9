// What a read keeps in the browser until it is saved: the draft, and the clock of active time.

const IDLE_S = 60; // of a longer gap without any movement the first minute counts

// Active time: the page in view and somebody moving. Pauses: how often that ended.
export class Clock {
  constructor({ seconds = 0, pauses = 0 }) {
    Object.assign(this, { seconds, pauses, since: document.hidden ? null : performance.now(), moved: performance.now() });
    for (const kind of ["pointermove", "pointerdown", "keydown", "wheel", "input"]) {
      document.addEventListener(kind, () => this.move(), { passive: true, capture: true });
    }
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.stop();
      else this.move();
    });
  }

  move() {
    this.count();
    this.moved = performance.now();
    this.since ??= this.moved;
  }

  stop() {
    this.count();
    if (this.since !== null) this.pauses += 1;
    this.since = null;
  }

  count() {
    if (this.since === null) return;
    const now = performance.now();
    const until = Math.min(now, this.moved + IDLE_S * 1000);
    this.seconds += Math.max(until - this.since, 0) / 1000;
    this.since = now;
    if (until < now) {
      this.pauses += 1;
      this.since = null;
    }
  }
}

// What was answered and looked at before the read is saved, in this browser, by read.
export class Draft {
  constructor(key) {
    this.key = `fibroreview/${key}`;
    this.content = {};
    try {
      this.content = JSON.parse(localStorage.getItem(this.key)) || {};
    } catch {
      // no storage, or not ours: the read begins empty
    }
    this.kept = true;
  }

  keep(content) {
    if (!this.kept) return;
    try {
      localStorage.setItem(this.key, JSON.stringify(content));
    } catch {
      // no storage: nothing survives a reload, and nothing else fails
    }
  }

  drop() {
    this.kept = false;
    try {
      localStorage.removeItem(this.key);
    } catch {
      // as above
    }
  }
}
