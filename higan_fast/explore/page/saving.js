// What can be taken away: the picture, an animation, the codes, and the address.

import { element } from "./dom.js";
import { step as stepText } from "./format.js";
import { active, toSend } from "./state.js";

const FRAMES = 48;

/** Fills the menu. @param {(text: string) => void} announce: says how it goes. */
export function saving(menu, run, history, announce) {
  const semantics = run.semantics.filter((semantic) => semantic.movable);
  const film = element("select", { "aria-label": "Semantic of the film" }, ...semantics.map(({ name }) => element("option", { value: name, text: name })));
  const filmed = () => semantics.find(({ name }) => name === film.value);
  const range = element("small");
  const format = run.video?.mp4 ? "mp4" : "gif";
  const tell = () => {
    const reach = reachOf(filmed());
    range.textContent = `${stepText(reach[0])} to ${stepText(reach[1])}, forth and back`;
  };
  film.addEventListener("change", tell);
  const button = (id, text, details, path, body) =>
    element("button", { type: "button", id, onclick: (event) => save(event.currentTarget, text, path, body(), announce) }, text, element("small", { text: details }));
  const state = () => toSend(history.current, run);
  menu.append(
    button("save-png", "Picture", "PNG at full size", "api/png", state),
    button("save-codes", "Codes", "NPZ for --projected-w", "api/codes", state),
  );
  if (semantics.length === 0) return;
  const reel = button("save-film", "Film", format.toUpperCase(), "api/video", () => {
    const [from, to] = reachOf(filmed());
    return { state: state(), semantic: film.value, from, to, frames: FRAMES, format };
  });
  menu.append(element("div", { class: "film" }, reel, element("label", {}, "of ", film), range));
  if (run.video?.why) menu.append(element("p", { class: "note", text: run.video.why }));
  history.follow((current) => {
    const moved = active(current, run).at(-1);
    if (moved && !active(current, run).some(({ semantic }) => semantic.name === film.value)) film.value = moved.semantic.name;
    tell();
  });
}

function reachOf(semantic) {
  const reach = Math.abs(semantic.step);
  return [Math.max(semantic.range[0], -reach), Math.min(semantic.range[1], reach)];
}

async function save(button, text, path, body, announce) {
  button.disabled = true;
  announce(`${text}: being made …`);
  try {
    const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(await reason(response));
    const name = nameOf(response) ?? path.split("/").at(-1);
    download(await response.blob(), name);
    announce(`${text}: saved as ${name}`);
  } catch (error) {
    announce(`${text} was not saved: ${error instanceof TypeError ? "the server does not answer" : error.message}`);
  } finally {
    button.disabled = false;
  }
}

async function reason(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `the server answers ${response.status}`;
  }
}

function nameOf(response) {
  return /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
