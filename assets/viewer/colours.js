// Colours of the overlays and their tables for NiiVue. They come from the server (pipeline/exports/colours.py), in the
// attributes of the viewer's element.

export const colours = {
  liver: null, // red, green, blue
  doubt: null,
  heat: null, // value, red, green, blue; value 0-255
};

export function takeColours(element) {
  const numbers = (text) => text.split(",").map(Number);
  colours.liver = numbers(element.dataset.liver);
  colours.doubt = numbers(element.dataset.doubt);
  colours.heat = element.dataset.heat.split(";").map(numbers);
  element.style.setProperty("--frv-liver", `rgb(${colours.liver.join(" ")})`);
  element.style.setProperty("--frv-doubt", `rgb(${colours.doubt.join(" ")})`);
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
export function labelColours(shown, [red, green, blue]) {
  const codes = [0, 1, 2, 3, 4, 5, 6, 7];
  return {
    R: codes.map(() => red), G: codes.map(() => green), B: codes.map(() => blue),
    A: codes.map((code) => (shown.includes(code) ? 255 : 0)), I: codes, labels: codes.map(String),
  };
}
