// The socket by which pictures come. Of each view one request is on its way and the newest waits: a slider that moves
// faster than pictures are drawn leaves out steps, and never falls behind.

const FIRST_WAIT = 300; // ms before a lost connection is tried again; doubled each time
const LONGEST_WAIT = 8000;
const STALE = 10000; // ms without an answer before the page says so

export class Connection {
  #url;
  #socket = null;
  #views = new Map(); // view → {asked, waiting, sent}: the latest request, whether it is still to be sent, and what is on its way
  #headers = []; // texts whose pictures are still to come
  #id = 0;
  #wait = FIRST_WAIT;
  #timer = null;
  #everOpen = false;
  #handlers;

  /**
   * @param {string} url
   * @param {object} handlers
   *   picture(answer, blob, context): an answer, its picture, and what `ask` gave; refused(answer, context): one with an error
   *   status(what, detail): "open", "slow", or "lost" with {everOpen, wait} (ms until it is tried again)
   */
  constructor(url, handlers) {
    this.#url = url;
    this.#handlers = handlers;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
    setInterval(() => this.#watch(), 1000);
    this.#open();
  }

  /** Asks for a picture of a view; it replaces the one that waits. The context comes back with the answer. */
  ask(view, state, moving, context) {
    const one = this.#view(view);
    one.asked = { message: { view, moving, state }, context };
    one.waiting = true;
    this.#send(one);
  }

  /** Forgets a view: it is not asked for again after the connection was lost. */
  forget(view) {
    const one = this.#view(view);
    one.asked = null;
    one.waiting = false;
  }

  /** Tries a lost connection at once. */
  retry() {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  #view(name) {
    if (!this.#views.has(name)) this.#views.set(name, { asked: null, waiting: false, sent: null, slow: false });
    return this.#views.get(name);
  }

  #open() {
    this.#timer = null;
    const socket = new WebSocket(this.#url);
    socket.binaryType = "blob";
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#received(data);
    socket.onclose = () => this.#closed();
  }

  #opened(socket) {
    this.#socket = socket;
    this.#everOpen = true;
    this.#wait = FIRST_WAIT;
    this.#headers = [];
    this.#handlers.status("open");
    // The server remembers nothing of a connection: what is shown now is asked for again.
    for (const one of this.#views.values()) {
      one.sent = null;
      one.waiting = one.asked !== null;
      if (one.asked) one.asked.message.moving = false;
      this.#send(one);
    }
  }

  #closed() {
    this.#socket = null;
    for (const one of this.#views.values()) one.sent = null;
    const wait = this.#wait * (0.8 + 0.4 * Math.random()); // tabs of one server do not all come at once
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
    this.#timer = setTimeout(() => this.#open(), wait);
    this.#handlers.status("lost", { everOpen: this.#everOpen, wait });
  }

  #send(one) {
    if (this.#socket === null || !one.waiting || one.sent !== null) return;
    one.waiting = false;
    one.sent = { at: performance.now(), context: one.asked.context };
    this.#socket.send(JSON.stringify({ id: ++this.#id, ...one.asked.message }));
  }

  #received(data) {
    if (typeof data === "string") {
      const answer = JSON.parse(data);
      if (answer.error === undefined) this.#headers.push(answer);
      else this.#answered(answer, (context) => this.#handlers.refused(answer, context));
    } else if (this.#headers.length > 0) {
      const answer = this.#headers.shift();
      this.#answered(answer, (context) => this.#handlers.picture(answer, data, context));
    }
  }

  // The next request leaves before this picture is decoded: the server draws meanwhile.
  #answered(answer, handle) {
    const one = this.#view(answer.view);
    const context = one.sent?.context;
    one.sent = null;
    if (one.slow) this.#handlers.status("open");
    one.slow = false;
    this.#send(one);
    handle(context);
  }

  #watch() {
    for (const one of this.#views.values()) {
      if (one.sent === null || one.slow || performance.now() - one.sent.at < STALE) continue;
      one.slow = true;
      this.#handlers.status("slow");
    }
  }
}
