// Corrected outlines, kept in this browser by case: over a reload, until they are discarded, a week at most. They hold a
// mask and its steps, and neither images nor anything that identifies the patient.

const DATABASE = "fibroreview-outlines", STORE = "outlines";
const KEEP_MS = 7 * 24 * 3600 * 1000;
let opened = null;
let last = Promise.resolve();

// What was kept of a case; null where there is nothing, or the browser keeps nothing.
export function find(key) {
  return inTurn(async (store) => (await answer(store.get(key))) || null, "readonly");
}

// entry: { key, size_xyz, runs, done, undone }.
export function keep(entry) {
  return inTurn((store) => answer(store.put({ ...entry, saved: Date.now() })), "readwrite");
}

export function forget(key) {
  return inTurn((store) => answer(store.delete(key)), "readwrite");
}

// One after the other, so that what was drawn last is what stays.
function inTurn(work, mode) {
  const next = async () => {
    try {
      opened ||= open();
      const database = await opened;
      return await work(database.transaction(STORE, mode).objectStore(STORE));
    } catch (error) {
      console.warn("viewer: this browser does not keep the outline:", error);
      return null;
    }
  };
  last = last.then(next, next);
  return last;
}

async function open() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
  const database = await answer(request);
  const store = database.transaction(STORE, "readwrite").objectStore(STORE);
  for (const entry of await answer(store.getAll())) {
    if (Date.now() - entry.saved > KEEP_MS) store.delete(entry.key);
  }
  return database;
}

function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
