// Folders: dropped on the upload field, or chosen by a button. Gradio's own field takes files alone.

const field = () => document.querySelector("#fr-upload input[type=file]");
const LARGEST = 10000; // files; the server has limits of its own

// Dropping: what a folder holds is handed to Gradio's field as if its files had been chosen.
document.addEventListener("drop", async (event) => {
  const input = event.target.closest?.("#fr-upload") && field();
  const entries = [...(event.dataTransfer?.items || [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!input || !entries.some((entry) => entry.isDirectory)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  give(input, await filesOf(entries));
}, true);

document.addEventListener("click", (event) => {
  const input = event.target.closest?.(".fr-folder") && field();
  if (!input) return;
  input.webkitdirectory = true;
  const back = () => { input.webkitdirectory = false; };
  input.addEventListener("change", back, { once: true });
  input.addEventListener("cancel", back, { once: true });
  input.click();
});

async function filesOf(entries) {
  const files = [];
  for (const entry of entries) {
    if (files.length >= LARGEST) break;
    if (entry.isFile) files.push(await new Promise((done, failed) => entry.file(done, failed)));
    else files.push(...await filesOf(await entriesOf(entry)));
  }
  return files.slice(0, LARGEST);
}

// A reader gives at most 100 entries at a time.
async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return entries;
    entries.push(...some);
  }
}

function give(input, files) {
  if (!files.length) return;
  const transfer = new DataTransfer();
  for (const file of files) if (!file.name.startsWith(".")) transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}
