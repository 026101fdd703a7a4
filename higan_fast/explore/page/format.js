// Numbers and lists in words, as the report prints them: a true minus, and no digit that means nothing.

/** Returns a number with a sign: "+1.20", "−0.35", "0.00". */
export function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/** Returns a number without a plus: "0.71", "−3.20"; large ones with fewer digits. */
export function plain(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const text = size.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

/** Returns a step as short as it can be: "+1.5", "−2", "0". */
export function step(value) {
  const text = String(Math.round(Math.abs(value) * 1000) / 1000);
  return text === "0" ? text : (value < 0 ? "−" : "+") + text;
}

/** Returns an interval: "[0.90, 1.50]". */
export function interval(low, high, digits = 2) {
  if (low === null || high === null) return "[interval not known]";
  const end = (value) => (value < 0 && Number(value.toFixed(digits)) !== 0 ? "−" : "") + Math.abs(value).toFixed(digits);
  return `[${end(low)}, ${end(high)}]`;
}

/** Returns layers with ranges: [0, 1, 2, 5] → "0–2, 5". */
export function layers(list) {
  return ranges(list).map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

/** Returns layers in a phrase: "layer 4", "layers 0–2, 5", "all layers", "no layer". */
export function layersInWords(list, count) {
  if (list.length === 0) return "no layer";
  if (list.length === count) return "all layers";
  return `${list.length === 1 ? "layer" : "layers"} ${layers(list)}`;
}

/** Returns the first and last of each run in a sorted list: [0, 1, 2, 5] → [[0, 2], [5, 5]]. */
export function ranges(list) {
  const found = [];
  for (const layer of list) {
    const last = found.at(-1);
    if (last && layer === last[1] + 1) last[1] = layer;
    else found.push([layer, layer]);
  }
  return found;
}

/** Returns a count with its noun: "1 layer", "6,000 samples". */
export function count(number, noun) {
  return `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Returns a whole number with its thousands apart: "6,000". */
export function grouped(number) {
  return number.toLocaleString("en");
}
