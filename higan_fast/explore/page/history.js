// The state, who follows it, and what can be undone.

import { same } from "./state.js";

const LONGEST = 200; // states that are kept
const TOGETHER = 1000; // ms: changes of the same thing that follow so soon are undone as one

export class History {
  #past = [];
  #future = [];
  #kept; // the latest state that came to rest
  #current;
  #last = { what: null, at: 0 };
  #followers = [];

  constructor(state) {
    this.#kept = this.#current = state;
  }

  get current() {
    return this.#current;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** Calls a function with (state, moving) at every change. */
  follow(follower) {
    this.#followers.push(follower);
  }

  /** Shows a state that will change again at once, as under a finger on a slider. */
  move(state) {
    this.#show(state, true);
  }

  /**
   * Shows a state and keeps the one before for undo.
   * @param {string|null} what: what changed ("step bed"); changes of the same in quick succession are one.
   */
  keep(state, what = null) {
    if (!same(state, this.#kept)) {
      const now = performance.now();
      const goesOn = what !== null && what === this.#last.what && now - this.#last.at < TOGETHER;
      if (!goesOn) this.#past = [...this.#past, this.#kept].slice(-LONGEST);
      this.#future = [];
      this.#kept = state;
      this.#last = { what, at: now };
    }
    this.#show(state, false);
  }

  undo() {
    this.#turn(this.#past, this.#future);
  }

  redo() {
    this.#turn(this.#future, this.#past);
  }

  #turn(from, to) {
    if (from.length === 0) return;
    to.push(this.#kept);
    this.#kept = from.pop();
    this.#last = { what: null, at: 0 };
    this.#show(this.#kept, false);
  }

  #show(state, moving) {
    this.#current = state;
    for (const follower of this.#followers) follower(state, moving);
  }
}
