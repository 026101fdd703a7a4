// Begins the page: reads what the run has, builds the parts, and connects them.

import { read, written } from "./address.js";
import { Connection } from "./connection.js";
import { element, say } from "./dom.js";
import { finding } from "./finding.js";
import { count, signed } from "./format.js";
import { heatMaps } from "./heat.js";
import { History } from "./history.js";
import { listen } from "./keys.js";
import { Mixing } from "./mixing.js";
import { Samples } from "./samples.js";
import { saving } from "./saving.js";
import { Scores } from "./scores.js";
import { sliders } from "./sliders.js";
import { initial } from "./state.js";
import { Views } from "./views.js";

const at = (id) => document.getElementById(id);
const WIDE = "(min-width: 60rem)"; // two pictures side by side are large enough

/** Shows one line above the page; "" takes it away. Each kind has its own line. */
function notice(kind, text, action = null) {
  const line = at("notices").querySelector(`[data-kind="${kind}"]`);
  if (text === "" && line.hidden) return;
  line.replaceChildren(text, ...(action ? [" ", action] : []));
  line.hidden = text === "";
}

async function begin() {
  if (!("WebSocket" in window)) {
    notice("error", "This browser has no WebSocket, through which the pictures come: open the page in a current browser.");
    return;
  }
  let run;
  try {
    const response = await fetch("api/run");
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    run = await response.json();
  } catch (error) {
    notice("error", `What the run has could not be read: ${error.message}. Is higan-fast explore running?`);
    return;
  }
  build(run);
}

function build(run) {
  title(run);
  const wide = matchMedia(WIDE).matches;
  const { state, problem } = fromAddress(run, wide);
  const history = new History(state);
  const announce = (text) => say(at("said"), text);

  const scores = new Scores(at("scores"), run);
  const views = new Views([at("own"), at("all")], run, history, (answer, moves, atRest) => {
    scores.show(answer, moves);
    if (atRest && moves.length > 0) say(at("spoken"), spoken(answer, moves, run));
  });
  sliders(at("sliders"), run, history);
  heatMaps(at("heat"), run, history);
  finding(at("find"), run);
  const mixing = new Mixing(at("mixing"), run, history, announce);
  const samples = new Samples(at("samples"), run, history, (sample, target) => mixing.mixIn(sample, target), announce);
  samples.takesDrops(at("stage"), () => history.current.sample);
  saving(at("saves"), run, history, announce);
  const tools = buttons(run, history, views, samples);
  listen(tools);
  address(run, history, wide, problem);
  views.connection = connection(run, views, scores);
}

function title(run) {
  const { family, image, layers } = run.network;
  document.title = `${run.title} · higan-fast explore`;
  say(at("title"), run.title);
  say(at("about"), [family, `${image[2]}×${image[1]}`, count(layers.length, "layer"), count(run.samples.num, run.samples.kind === "codes" ? "code" : "sample"), run.run].filter(Boolean).join(" · "));
  say(at("unit"), `Steps are in ${run.unit === "sd" ? "SD of the codes" : "units of length"}${tick(run)}.`);
  at("notes").append(...run.notes.map((note) => element("li", { text: note })));
  at("notes").hidden = run.notes.length === 0;
  at("layers").hidden = run.heats.length === 0;
}

/** Says what the tick on sliders marks: what `dose` suggests; where it suggests nothing, what `verify` moved by. */
function tick({ semantics }) {
  const from = new Set(semantics.filter(({ movable }) => movable).map((semantic) => semantic.step_from));
  if (!from.has("verify")) return from.has("dose") ? "; a tick marks the suggested one" : "";
  return from.has("dose") ? "; a tick marks the suggested one, or else the one that was verified" : "; a tick marks the step that was verified";
}

function connection(run, views, scores) {
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  let lost = 0;
  const made = new Connection(url.href, {
    picture(answer, blob, asked) {
      notice("refused", "");
      views.take(answer, blob, asked);
    },
    refused(answer, asked) {
      notice("refused", `The server cannot draw this: ${answer.error}`);
      if (views.refuse(answer, asked)) scores.forget();
    },
    status(what, detail) {
      document.body.dataset.connection = what;
      if (what === "open") {
        notice("connection", "");
        if (lost > 0) renewed(run);
        lost = 0;
        return;
      }
      const again = element("button", { type: "button", text: "Try now", onclick: () => made.retry() });
      lost += what === "lost" ? 1 : 0;
      if (what === "slow") notice("connection", "Waiting for a picture …");
      else if (lost > 3) notice("connection", "The server does not answer. Is higan-fast explore still running? The page tries again and goes on from here.", again);
      else if (detail.everOpen) notice("connection", "Connection lost; trying again …", lost > 1 ? again : null);
      else if (lost > 1) notice("connection", "The connection for pictures (WebSocket) does not open; trying again …", again);
    },
  });
  return made;
}

/** Says so if a server that was started anew shows another run. */
async function renewed(run) {
  try {
    const now = await (await fetch("api/run")).json();
    const part = ({ title, samples, network, semantics }) => JSON.stringify([title, samples, network, semantics]);
    if (part(now) !== part(run)) notice("renewed", "The server now shows another run, or the run has changed.", element("button", { type: "button", text: "Load it", onclick: () => location.reload() }));
  } catch {
    // The connection will be lost again, and says so itself.
  }
}

function buttons(run, history, views, samples) {
  const change = (part, what) => history.keep({ ...history.current, ...part }, what);
  const does = {
    undo: () => history.undo(),
    redo: () => history.redo(),
    reset: () => change({ moves: {}, mix: [] }),
    beside: () => change({ beside: !history.current.beside }),
    before: () => samples.step(-1),
    after: () => samples.step(1),
    nth: (index) => samples.nth(index),
    hold: (held) => views.hold(held),
    help: () => at("keys").showModal(),
    pixels() {
      views.smooth = !views.smooth;
      at("pixels").checked = !views.smooth;
    },
  };
  for (const name of ["undo", "redo", "reset", "help"]) at(name).addEventListener("click", does[name]);
  at("beside").addEventListener("change", does.beside);
  at("pixels").addEventListener("change", does.pixels);
  at("pixels").checked = !views.smooth;
  at("copy").addEventListener("click", copyAddress);
  at("close").addEventListener("click", () => at("keys").close());
  holding(at("hold"), does.hold);
  closing(at("saves").parentElement);
  history.follow((state) => {
    at("undo").disabled = !history.canUndo;
    at("redo").disabled = !history.canRedo;
    at("reset").disabled = Object.keys(state.moves).length === 0 && state.mix.length === 0;
    at("beside").checked = state.beside;
  });
  return does;
}

function holding(button, hold) {
  const held = (on) => (event) => {
    if (event.type.startsWith("key") && event.key !== " " && event.key !== "Enter") return;
    if (event.type !== "blur") event.preventDefault();
    button.setAttribute("aria-pressed", on);
    hold(on);
  };
  for (const start of ["pointerdown", "keydown"]) button.addEventListener(start, held(true));
  for (const end of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) button.addEventListener(end, held(false));
}

/** Closes a menu by Escape and by a click elsewhere. */
function closing(menu) {
  document.addEventListener("pointerdown", (event) => menu.contains(event.target) || menu.removeAttribute("open"));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

async function copyAddress() {
  try {
    await navigator.clipboard.writeText(location.href);
    say(at("said"), "Address copied: it brings back what is shown");
  } catch {
    say(at("said"), "The address bar has this state: copy it from there");
  }
}

/** Returns the state of the address, or what is wrong with it. */
function fromAddress(run, beside) {
  try {
    return { state: read(location.hash, run, beside) ?? initial(beside), problem: "" };
  } catch (error) {
    return { state: initial(beside), problem: `The state in the address cannot be read: ${error.message}. The page begins without it.` };
  }
}

/** Writes the state that is at rest into the address, and takes one that was put there. */
function address(run, history, wide, problem) {
  history.follow((state, moving) => {
    const hash = written(state, run, wide);
    if (!moving && hash !== location.hash) window.history.replaceState(null, "", hash || location.pathname);
    notice("address", "");
  });
  history.keep(history.current);
  notice("address", problem);
  addEventListener("hashchange", () => {
    const found = fromAddress(run, wide);
    history.keep(found.state);
    notice("address", found.problem);
  });
}

function spoken(answer, moves, run) {
  const deviations = new Map(run.scores.map(({ name, deviation }) => [name, deviation]));
  return moves
    .filter(({ semantic }) => deviations.get(semantic.name) > 0 && answer.scores)
    .map(({ semantic: { name } }) => `${name} ${signed((answer.scores[name] - answer.base[name]) / deviations.get(name))} SD`)
    .join(", ");
}

begin();
