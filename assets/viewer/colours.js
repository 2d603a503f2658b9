// Colours of the overlays and their tables for NiiVue. They come from the server (pipeline/exports/colours.py), in the
// attributes of the viewer's element.

export const colours = {
  liver: null, // red, green, blue
  doubt: null,
  spleen: null,
  kidney: null,
  heat: null, // value, red, green, blue; value 0-255
};

export function takeColours(element) {
  const numbers = (text) => text.split(",").map(Number);
  for (const name of ["liver", "doubt", "spleen", "kidney"]) {
    colours[name] = numbers(element.dataset[name]);
    element.style.setProperty(`--frv-${name}`, `rgb(${colours[name].join(" ")})`);
  }
  colours.heat = element.dataset.heat.split(";").map(numbers);
  element.style.setProperty("--frv-heat", colours.heat.map(([, ...rgb]) => `rgb(${rgb.join(" ")})`).join(", "));
}

// The heat's colour table from the value `first` on. What is hidden has the liver's colour, since NiiVue mixes the
// colours of neighbours, hidden ones too, into the mask's edge.
export function heatColours(first) {
  const hidden = [[0, ...colours.liver, 0], [first - 1, ...colours.liver, 0]];
  const table = [...hidden, ...colours.heat.filter(([value]) => value >= first).map((stop) => [...stop, 255])];
  const [I, R, G, B, A] = [0, 1, 2, 3, 4].map((column) => table.map((row) => row[column]));
  return { R, G, B, A, I };
}

// A colour table that shows only the given codes, 0-7, in one colour.
export function labelColours(shown, colour) {
  return table([0, 1, 2, 3, 4, 5, 6, 7], (code) => (shown.includes(code) ? 255 : 0), () => colour);
}

// The same for the other organs' outlines in the plane of a bit: their codes are bits of planes, and 8 for the kidneys or
// 16 for the spleen.
export function organColours(bit) {
  const codes = Array.from({ length: 24 }, (_, code) => code);
  const shown = (code) => (code >= 8 && code & bit ? 255 : 0);
  return table(codes, shown, (code) => (code < 16 ? colours.kidney : colours.spleen));
}

function table(codes, opacity, colour) {
  const [R, G, B] = [0, 1, 2].map((channel) => codes.map((code) => colour(code)[channel]));
  return { R, G, B, A: codes.map(opacity), I: codes, labels: codes.map(String) };
}
