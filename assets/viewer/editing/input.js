// Mouse, pen, touch and keys while the outline is corrected. Everything else reaches the viewer as before: the wheel and
// the arrow keys step through the slices.

const PEN_ERASER = 32; // of PointerEvent.buttons
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function bindEditing(editor, stage) {
  bindPointer(editor, stage);
  document.addEventListener("keydown", (event) => {
    if (!editor.on || isTyped(event.target)) return;
    if (press(editor, event, stage)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }, true);
}

function bindPointer(editor, stage) {
  const places = (event) => {
    const box = stage.getBoundingClientRect();
    const events = event.getCoalescedEvents?.() || [];
    return (events.length ? events : [event]).map(({ clientX, clientY }) => (
      editor.layer.placeOf(clientX - box.left, clientY - box.top)
    ));
  };
  const mine = (event) => editor.on && editor.grid && editor.layer.place && event.target === editor.viewer.glass;
  // Before the viewer's own listeners, which would set the window.
  const listen = (type, handle) => stage.addEventListener(type, (event) => {
    if (!mine(event)) return;
    event.stopPropagation();
    handle(event);
  }, true);
  listen("pointerdown", (event) => {
    if (event.button > 0 && !(event.buttons & PEN_ERASER)) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    event.target.setPointerCapture(event.pointerId);
    editor.strokes.press(places(event)[0], event.buttons & PEN_ERASER ? "eraser" : editor.tool, event.altKey);
  });
  listen("pointermove", (event) => editor.strokes.move(places(event)));
  listen("pointerup", () => editor.strokes.release());
  listen("pointercancel", () => editor.strokes.abandon());
  listen("pointerleave", () => editor.strokes.hover(null));
  listen("dblclick", () => {});
}

function isTyped(target) {
  const element = target instanceof Element ? target : null;
  return Boolean(element?.closest("textarea, select, [contenteditable], input:not([type=range], [type=checkbox])"));
}

// Does what a key asks for, and says whether it was one of ours.
function press(editor, event, stage) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") event.shiftKey ? editor.redo() : editor.undo();
    else if (key === "y") editor.redo();
    else return false;
    return true;
  }
  if (event.altKey) return false;
  const inStage = stage.contains(event.target);
  if (event.shiftKey && MOVES[key]) {
    if (inStage) editor.strokes.step(MOVES[key]);
    return inStage;
  }
  const act = {
    " ": inStage ? () => editor.strokes.stamp() : null,
    b: () => editor.choose("brush"),
    e: () => editor.choose("eraser"),
    c: () => editor.choose("contour"),
    f: () => editor.fill(),
    "[": () => editor.resize(editor.size_mm - 2),
    "]": () => editor.resize(editor.size_mm + 2),
    Escape: () => (editor.strokes.stroke ? editor.strokes.abandon() : editor.done()),
  }[key];
  act?.();
  return Boolean(act);
}
