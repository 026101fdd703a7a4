// What is shown, as plain values that are never changed in place: undo, the address and the server all read them.
//
// STATE: { sample, moves: {name: {step, layers}}, mix: [{sample, layers}], beside, order }
//   layers of a move: null where they are the preset ones (those that were verified), else a sorted list
//   beside: whether the same moves on all layers stand in a second picture
//   order: of the samples in the strip, {score, highest}: by this score, and whether the highest comes first; null: by number

/** Returns the state in which a page opens. */
export function initial(beside = false) {
  return { sample: 0, moves: {}, mix: [], beside, order: null };
}

/** Returns the step of a semantic; 0 where it is not moved. */
export function stepOf(state, name) {
  return state.moves[name]?.step ?? 0;
}

/** Returns the layers that a semantic moves, or would move. */
export function layersOf(state, semantic) {
  return state.moves[semantic.name]?.layers ?? semantic.layers;
}

/** Returns whether these are the preset layers of a semantic. */
export function arePreset(semantic, layers) {
  return same(semantic.layers, layers);
}

export function withStep(state, semantic, step) {
  return moved(state, semantic, { step, layers: state.moves[semantic.name]?.layers ?? null });
}

export function withLayers(state, semantic, layers) {
  return moved(state, semantic, { step: stepOf(state, semantic.name), layers: sorted(layers) });
}

function moved(state, semantic, move) {
  const moves = { ...state.moves, [semantic.name]: move };
  if (move.layers && arePreset(semantic, move.layers)) moves[semantic.name] = { ...move, layers: null };
  if (move.step === 0 && moves[semantic.name].layers === null) delete moves[semantic.name];
  return { ...state, moves };
}

export function withSample(state, sample) {
  return { ...state, sample };
}

/** Mixes layers of a sample in. A layer's codes come from one sample: the latest takes it from the others. */
export function withMix(state, sample, layers) {
  const taken = new Set(layers);
  const others = state.mix
    .filter((part) => part.sample !== sample)
    .map((part) => ({ ...part, layers: part.layers.filter((layer) => !taken.has(layer)) }))
    .filter((part) => part.layers.length > 0);
  return { ...state, mix: layers.length > 0 ? [...others, { sample, layers: sorted(layers) }] : others };
}

/** Returns the layers that come from a sample. */
export function mixedFrom(state, sample) {
  return state.mix.find((part) => part.sample === sample)?.layers ?? [];
}

/** Returns the state without moves and mixing: the sample as it is. */
export function unmoved(state) {
  return { ...state, moves: {}, mix: [] };
}

/** Returns the semantics that are moved, with their steps and layers. */
export function active(state, run) {
  return run.semantics
    .filter(({ name }) => state.moves[name])
    .map((semantic) => ({ semantic, step: stepOf(state, semantic.name), layers: layersOf(state, semantic) }))
    .filter((move) => move.step !== 0 && move.layers.length > 0);
}

/** Returns the state as the server takes it. */
export function toSend(state, run, allLayers = false) {
  return {
    sample: state.sample,
    moves: active(state, run).map(({ semantic, step, layers }) => ({ semantic: semantic.name, step, layers })),
    mix: state.mix,
    all_layers: allLayers,
  };
}

export function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

export function sorted(layers) {
  return [...new Set(layers)].sort((one, other) => one - other);
}
