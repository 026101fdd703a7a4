// The state in the address, short and versioned: #1&s=12&m=bed:1.5,view:-2:0-3&x=3:0-1.7&o=bed:high&b=1
//   s the sample; m moves, NAME:STEP or NAME:STEP:LAYERS; x mixing, SAMPLE:LAYERS; o the order of samples, NAME:high or
//   NAME:low (which comes first); b two pictures side by side.
// Names are percent-encoded. What is read is checked piece by piece: an address may come from anybody.

import { ranges } from "./format.js";
import { initial, withLayers, withMix, withStep } from "./state.js";

const VERSION = "1";
const LONGEST = 8000; // characters

/** Returns the hash of a state, "" for the one in which a page opens (with or without two pictures: `beside`). */
export function written(state, run, beside = false) {
  const parts = [];
  if (state.sample !== 0) parts.push(`s=${state.sample}`);
  const moves = run.semantics.filter(({ name }) => state.moves[name]).map(({ name }) => moveText(name, state.moves[name]));
  if (moves.length > 0) parts.push(`m=${moves.join(",")}`);
  const mix = state.mix.map(({ sample, layers }) => `${sample}:${layerText(layers)}`);
  if (mix.length > 0) parts.push(`x=${mix.join(",")}`);
  if (state.order) parts.push(`o=${encodeURIComponent(state.order.score)}:${state.order.highest ? "high" : "low"}`);
  if (parts.length === 0 && state.beside === beside) return "";
  parts.push(`b=${state.beside ? 1 : 0}`);
  return `#${VERSION}&${parts.join("&")}`;
}

/**
 * Returns the state of a hash; null for an empty one.
 * Throws an Error whose message is one line where it cannot be read, or does not fit the run.
 */
export function read(hash, run, beside = false) {
  const text = hash.replace(/^#/, "");
  if (text === "") return null;
  if (text.length > LONGEST) throw new Error(`it is longer than ${LONGEST} characters`);
  const [version, ...parts] = text.split("&");
  if (version !== VERSION) throw new Error(`its version is ${quoted(version)}, and this page reads ${VERSION}`);
  let state = initial(beside);
  const seen = new Set();
  for (const part of parts) {
    const [, key, value] = /^([smxob])=(.*)$/.exec(part) ?? [];
    if (key === undefined || seen.has(key)) throw new Error(`it has ${quoted(part)} where s=, m=, x=, o= or b= may stand once`);
    seen.add(key);
    if (key === "s") state = { ...state, sample: sampleIn(value, run) };
    else if (key === "m") state = value.split(",").reduce((before, move) => withMove(before, move, run), state);
    else if (key === "x") state = value.split(",").reduce((before, one) => withPart(before, one, run), state);
    else if (key === "o") state = { ...state, order: orderIn(value, run) };
    else if (value === "0" || value === "1") state = { ...state, beside: value === "1" };
    else throw new Error(`b is ${quoted(value)}, not 0 or 1`);
  }
  return state;
}

function moveText(name, { step, layers }) {
  const start = `${encodeURIComponent(name)}:${Math.round(step * 10000) / 10000}`;
  return layers === null ? start : `${start}:${layerText(layers)}`;
}

function layerText(layers) {
  return ranges(layers).map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(".") || "none";
}

function withMove(state, text, run) {
  const [name, step, layers, ...more] = text.split(":").map(decoded);
  const semantic = run.semantics.find((one) => one.name === name);
  if (!semantic?.movable) throw new Error(`this run has no boundary of ${quoted(name)}`);
  if (state.moves[name]) throw new Error(`it moves ${quoted(name)} twice`);
  const [low, high] = semantic.range;
  const value = /^-?\d+(\.\d+)?$/.test(step ?? "") ? Number(step) : NaN;
  if (!(value >= low && value <= high)) throw new Error(`the step of ${quoted(name)} is ${quoted(step ?? "")}, not a number from ${low} to ${high}`);
  if (more.length > 0) throw new Error(`${quoted(text)} is not NAME:STEP:LAYERS`);
  const placed = layers === undefined ? state : withLayers(state, semantic, layersIn(layers, run));
  return withStep(placed, semantic, value);
}

function withPart(state, text, run) {
  const [sample, layers, ...more] = text.split(":");
  if (layers === undefined || more.length > 0) throw new Error(`${quoted(text)} is not SAMPLE:LAYERS`);
  return withMix(state, sampleIn(sample, run), layersIn(layers, run));
}

function sampleIn(text, run) {
  const last = run.samples.num - 1;
  if (!/^\d{1,9}$/.test(text) || Number(text) > last) throw new Error(`the sample is ${quoted(text)}, not a number from 0 to ${last}`);
  return Number(text);
}

function orderIn(text, run) {
  const [score, first, ...more] = text.split(":").map(decoded);
  if (run.samples.kind === "codes") throw new Error("these codes were not scored, and have no order");
  if (!run.scores.some(({ name }) => name === score)) throw new Error(`this run has no score of ${quoted(score)}`);
  if ((first !== "high" && first !== "low") || more.length > 0) throw new Error(`${quoted(text)} is not NAME:high or NAME:low`);
  return { score, highest: first === "high" };
}

function layersIn(text, run) {
  if (text === "none") return [];
  const last = run.network.layers.length - 1;
  return text.split(".").flatMap((part) => {
    const [, from, to = from] = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(part) ?? [];
    if (from === undefined || Number(from) > Number(to) || Number(to) > last) throw new Error(`the layers are ${quoted(text)}, not of the form 0-2.5, from 0 to ${last}`);
    return Array.from({ length: Number(to) - Number(from) + 1 }, (_, index) => Number(from) + index);
  });
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error(`${quoted(text)} is not percent-encoded`);
  }
}

function quoted(text) {
  return `“${text.length > 40 ? `${text.slice(0, 40)}…` : text}”`;
}
