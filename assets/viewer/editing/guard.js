// Asks before a case with a correction that was not classified is left, or a review of it is saved.

const QUESTION = "Leave this case? Your corrected outline was not classified. "
  + "It stays in this browser and comes back when you open the case again.";
const SAVING = "Your corrected outline was not classified: this review is of the outline that was. Save it?";
const LEAVING = "#fr-upload, .fr-folder, #fr-examples, #fr-series, #fr-reopen";

export function bindGuard(editor) {
  let agreed = null; // the correction that may be left: asked once for each
  const ask = (event, question) => {
    if (!editor.unclassified) return true;
    const yes = window.confirm(question);
    if (!yes) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
    return yes;
  };
  for (const type of ["click", "drop", "change"]) {
    // On the window, before anything of the page hears of it.
    window.addEventListener(type, (event) => {
      if (!within(event, LEAVING) || !editor.unclassified) return;
      const { mask } = editor;
      if (agreed?.mask === mask && agreed.version === mask.version) return;
      if (ask(event, QUESTION)) agreed = { mask, version: mask.version };
    }, true);
  }
  window.addEventListener("click", (event) => {
    if (within(event, "#fr-save")) ask(event, SAVING);
    if (within(event, "#fr-delete-now")) editor.forget();
  }, true);
  window.addEventListener("beforeunload", (event) => {
    if (editor.unclassified) event.preventDefault();
  });
}

function within(event, selector) {
  return event.target instanceof Element && event.target.closest(selector) !== null;
}
