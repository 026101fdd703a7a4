// Of many semantics, those that have a name like this: in the sliders, the scores and the heat maps alike.

const MANY = 20; // semantics, from which there is a field to find them by

/** Makes a field hide what is named otherwise; it shows itself where there is much to find. */
export function finding(field, run) {
  field.hidden = run.semantics.length < MANY;
  field.addEventListener("input", () => find(field.value));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.value = "";
    find("");
  });
}

function find(text) {
  const words = plain(text).split(" ").filter(Boolean);
  for (const row of document.querySelectorAll("[data-named]")) {
    const name = plain(row.dataset.named);
    row.classList.toggle("other", !words.every((word) => name.includes(word)));
  }
  for (const level of document.querySelectorAll(".level")) level.classList.toggle("other", level.querySelector("[data-named]:not(.other)") === null);
}

function plain(text) {
  return text.toLowerCase().replaceAll(/[_-]/g, " ");
}
