// Run lengths: of a mask, for the server and for what is kept in this browser, and of the voxels that one step changed.

// Lengths of the runs of 0, of 1, of 0 and so on; the first may be 0.
export function maskRuns(mask) {
  const lengths = [];
  let value = 0, start = 0;
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] === value) continue;
    lengths.push(i - start);
    start = i;
    value = mask[i];
  }
  lengths.push(mask.length - start);
  return Uint32Array.from(lengths);
}

// The mask of these runs; null where they do not fill it.
export function maskOfRuns(lengths, size) {
  const mask = new Uint8Array(size);
  let at = 0;
  for (let i = 0; i < lengths.length; i++) {
    if (i % 2) mask.fill(1, at, at + lengths[i]);
    at += lengths[i];
  }
  return at === size ? mask : null;
}

// First index and length of each run of indices, alternating; the indices in any order, each once.
export function indexRuns(indices) {
  const sorted = Uint32Array.from(indices).sort();
  const runs = [];
  for (let i = 0; i < sorted.length; i++) {
    if (i && sorted[i] === sorted[i - 1] + 1) runs[runs.length - 1] += 1;
    else runs.push(sorted[i], 1);
  }
  return Uint32Array.from(runs);
}

// Base64 of the lengths as LEB128: 7 bits a byte, the lowest first, the highest bit set in all but the last byte.
export function encodeRuns(lengths) {
  const bytes = [];
  for (let length of lengths) {
    for (; length > 127; length = Math.floor(length / 128)) bytes.push((length % 128) + 128);
    bytes.push(length);
  }
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.slice(i, i + 8192));
  return btoa(text);
}
