// Asks before a case with a correction that was not classified is left.

const QUESTION = "Leave this case? Your corrected outline was not classified. "
  + "It stays in this browser and comes back when you open the case again.";
const LEAVING = "#fr-upload, .fr-folder, #fr-examples, #fr-series, #fr-reopen";

export function bindGuard(editor) {
  let agreed = null; // the version that may be left: asked once for each
  const ask = (event) => {
    if (!editor.unclassified || agreed === editor.mask.version) return;
    if (window.confirm(QUESTION)) {
      agreed = editor.mask.version;
    } else {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  };
  for (const type of ["click", "drop", "change"]) {
    // On the window, before anything of the page hears of it.
    window.addEventListener(type, (event) => {
      if (event.target instanceof Element && event.target.closest(LEAVING)) ask(event);
    }, true);
  }
  window.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("#fr-delete-now")) editor.forget();
  }, true);
  window.addEventListener("beforeunload", (event) => {
    if (editor.unclassified) event.preventDefault();
  });
}
