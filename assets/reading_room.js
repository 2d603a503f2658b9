// The reading room's page: the viewer of one read, its form, its keys, its draft and its clock.
//
// The server decides what this page is sent: before an unaided read is saved nothing of the AI is here.

import { Clock, Draft } from "./reading_draft.js";

const DRAFT_EVERY_MS = 2000;
const CHOICE_KEYS = {
  y: ["advanced_fibrosis", "yes"], n: ["advanced_fibrosis", "no"], x: ["advanced_fibrosis", "not_assessable"],
  a: ["agreement", "agree"], d: ["agreement", "disagree"], u: ["agreement", "unsure"],
};

const page = document.body.dataset.page;
if (page === "invite") takeInvitation();
if (page === "work" || page === "feedback") document.querySelector("#rr-next")?.focus();
if (page === "read") import(new URL("viewer/viewer.js", document.baseURI).href).then((viewer) => new Reading(viewer));

// The invitation stands behind the # of the address, which is never sent; from there it goes into the form.
function takeInvitation() {
  const field = document.querySelector("#rr-token");
  field.value ||= location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}

class Reading {
  constructor(viewer) {
    this.data = JSON.parse(document.querySelector("#rr-data").textContent);
    this.form = document.querySelector("#rr-form");
    this.slider = document.querySelector("#rr-slider");
    this.suspicion = document.querySelector("#rr-suspicion");
    this.message = document.querySelector("#rr-message");
    this.help = document.querySelector("#rr-help");
    this.done = false;
    this.draft = new Draft(this.data.draft);
    this.clock = new Clock(this.draft.content);
    this.opened = this.draft.content.opened || this.data.opened;
    this.showImages(viewer);
    this.bindForm();
    this.fill({ ...this.data.answers, ...this.draft.content.answers });
    document.addEventListener("keydown", (event) => this.key(event));
    setInterval(() => this.keep(), DRAFT_EVERY_MS);
    addEventListener("pagehide", () => this.keep());
  }

  // ---- images

  showImages(viewer) {
    const draw = (wish) => this.post("slice", wish).then((answer) => answer.json());
    viewer.mount(document.querySelector(".fr-viewer"), { draw });
    viewer.show(this.data.value);
    const shown = window.fibroViewer;
    shown.state.heat.on = false; // off until it is asked for, and before anything is drawn
    shown.refresh();
    shown.stage.focus({ preventScroll: true });
  }

  // ---- form

  bindForm() {
    this.slider.addEventListener("input", () => this.setSuspicion(this.slider.value));
    // A click that does not move the thumb sets it as well.
    this.slider.addEventListener("pointerup", () => this.setSuspicion(this.slider.value));
    this.suspicion.addEventListener("input", () => this.setSuspicion(this.suspicion.value));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    document.querySelector("#rr-keys").addEventListener("click", () => this.help.showModal());
  }

  // Empty text: not set, and the slider shows no thumb.
  setSuspicion(text) {
    const digits = String(text).replace(/\D/g, "").slice(0, 3);
    const value = digits === "" ? "" : String(Math.min(Number(digits), 100));
    this.suspicion.value = value;
    this.slider.classList.toggle("rr-unset", value === "");
    this.slider.value = value === "" ? "50" : value;
    this.slider.setAttribute("aria-valuetext", value === "" ? "not set" : value);
  }

  fill(answers) {
    this.setSuspicion(answers.suspicion ?? "");
    for (const field of this.form.querySelectorAll("textarea")) field.value = answers[field.name] ?? "";
    for (const radio of this.form.querySelectorAll("input[type=radio]")) {
      radio.checked = String(answers[radio.name] ?? "") === radio.value;
    }
  }

  answers() {
    const fields = Object.fromEntries(new FormData(this.form));
    delete fields.slider;
    return fields;
  }

  choose(name, value) {
    const radio = this.form.querySelector(`input[name="${name}"][value="${value}"]`);
    if (!radio) return;
    radio.checked = true;
    radio.closest(".rr-question").scrollIntoView({ block: "nearest" });
  }

  // ---- saving

  async save() {
    if (this.done || this.saving) return;
    this.saving = true;
    this.keep();
    this.say("Saving …");
    try {
      const answer = await this.post("save", this.request());
      const content = await answer.json();
      if (answer.ok) this.saved(content);
      else this.say(content.error, true);
    } catch {
      this.say("Not saved: the server cannot be reached. Your answers are kept here; try again.", true);
    }
    this.saving = false;
  }

  request() {
    const answers = this.answers();
    const whole = (text) => (text ? Number(text) : null);
    return {
      number: this.data.number,
      suspicion: whole(answers.suspicion),
      advanced_fibrosis: answers.advanced_fibrosis || "",
      confidence: whole(answers.confidence),
      agreement: answers.agreement || "",
      segmentation_quality: whole(answers.segmentation_quality),
      reason: answers.reason || "",
      correction: this.data.corrects ? answers.correction || "" : null,
      corrects: this.data.corrects,
      opened: this.opened,
      viewing: JSON.stringify(this.viewing()),
      mask: window.fibroViewer.editor?.mask?.edited ? window.fibroViewer.editor.sentMask() : "",
    };
  }

  // Draft and viewer together: a reload does not forget what was looked at.
  viewing() {
    const now = JSON.parse(window.fibroViewer.stats());
    const before = this.draft.content.viewing || {};
    const both = (name) => [...new Set([...(before[name] || []), ...now[name]])];
    return {
      slices_viewed: both("slices_viewed").sort((a, b) => a - b),
      overlays_opened: both("overlays_opened").sort(),
      active_seconds: Math.round(this.clock.seconds),
      pauses: this.clock.pauses,
    };
  }

  saved({ message, next, correct, status }) {
    this.done = true;
    this.draft.drop();
    window.fibroViewer.editor?.forget();
    for (const field of this.form.elements) field.disabled = true;
    this.form.hidden = true;
    const after = document.querySelector("#rr-after");
    after.hidden = false;
    after.dataset.status = status;
    document.querySelector("#rr-saved").textContent = message;
    const button = document.querySelector("#rr-next");
    button.href = next.address;
    button.textContent = `${next.words} ↵`;
    const again = document.querySelector("#rr-correct");
    again.hidden = !correct;
    again.href = `read?number=${this.data.number}`;
    button.focus();
  }

  say(text, fault = false) {
    this.message.replaceChildren();
    const line = document.createElement("p");
    line.className = `fr-message${fault ? " fr-error" : ""}`;
    line.textContent = text;
    this.message.append(line);
  }

  post(address, content) {
    const headers = { "content-type": "application/json", accept: "application/json" };
    return fetch(new URL(address, document.baseURI), { method: "POST", headers, body: JSON.stringify(content) });
  }

  keep() {
    if (this.done) return;
    this.clock.count();
    this.draft.keep({
      answers: this.answers(), opened: this.opened, viewing: this.viewing(),
      seconds: this.clock.seconds, pauses: this.clock.pauses,
    });
  }

  // ---- keys

  key(event) {
    const writing = event.target.matches("textarea, input[type=text]");
    if (this.help.open || event.altKey || event.metaKey) return;
    if (event.ctrlKey) {
      if (event.key === "Enter") this.handled(event, () => this.save());
    } else if (writing && event.key === "Escape") {
      this.handled(event, () => window.fibroViewer.stage.focus({ preventScroll: true }));
    } else if (!writing && !this.done) {
      const action = this.action(event);
      if (action) this.handled(event, action);
    }
  }

  handled(event, action) {
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  action(event) {
    const digit = /^(?:Digit|Numpad)([1-5])$/.exec(event.code)?.[1];
    if (digit && event.shiftKey) return () => this.choose("segmentation_quality", digit);
    if (digit) return () => this.choose("confidence", digit);
    if (CHOICE_KEYS[event.key]) return () => this.choose(...CHOICE_KEYS[event.key]);
    const others = {
      "?": () => this.help.showModal(),
      s: () => this.suspicion.select(),
      r: () => document.querySelector("#rr-reason").focus(),
      h: () => this.press(".frv-heat-on"),
      m: () => this.press(".frv-mask-on"),
      i: () => this.press(".frv-inverted-button"),
      w: () => this.press(".frv-full-button"),
    };
    return others[event.key] || this.step(event);
  }

  // Only controls that can be seen: nothing of the AI has any before the reveal.
  press(selector) {
    const control = document.querySelector(`.fr-viewer ${selector}`);
    if (control?.checkVisibility()) control.click();
  }

  // Slices, wherever the focus is; sliders keep their own keys.
  step(event) {
    const { stage } = window.fibroViewer;
    const steps = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"];
    if (!steps.includes(event.key) || stage.contains(event.target)) return null;
    if (event.target.matches("input[type=range], select, input[type=radio]")) return null;
    return () => stage.dispatchEvent(new KeyboardEvent("keydown", { key: event.key }));
  }
}
