// Asks before a case is left whose review was not saved. The viewer asks about a corrected outline (editing/guard.js).

const LEAVING = "#fr-examples button, #fr-series label, #fr-series input, #fr-reopen label, #fr-reopen input, "
  + "#fr-upload button, .fr-folder, #fr-analyse";
const QUESTION = "Leave this case? Your answers are not saved.";
let answered = false;

const unsaved = () => answered && document.querySelector("#fr-form");

// The reader's code stays from case to case: it is no answer.
document.addEventListener("input", (event) => {
  const inForm = event.isTrusted && event.target.closest?.("#fr-form") && !event.target.closest("#fr-reader");
  if (inForm) answered = true;
}, true);

let said = ""; // a message of an earlier save stays on the page
new MutationObserver(() => {
  const text = document.querySelector("#fr-saved .fr-done")?.textContent || "";
  if (text && text !== said) answered = false;
  said = text;
}).observe(document.documentElement, { subtree: true, childList: true });

let leaving = 0; // one press is several events
function ask(event) {
  if (!event.isTrusted || !unsaved() || event.timeStamp - leaving < 500) return;
  if (window.confirm(QUESTION)) {
    answered = false;
    leaving = event.timeStamp;
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
}

document.addEventListener("click", (event) => event.target.closest?.(LEAVING) && ask(event), true);
document.addEventListener("drop", (event) => event.target.closest?.("#fr-upload") && ask(event), true);
window.addEventListener("beforeunload", (event) => unsaved() && event.preventDefault());
