// Keys of the whole page. They keep out of fields that take letters, and of what a focused element does itself.

const KEYS = {
  "[": "before",
  "]": "after",
  ",": "before", // brackets are far away on some keyboards
  ".": "after",
  z: "undo",
  Z: "redo",
  y: "redo",
  r: "reset",
  b: "beside",
  p: "pixels",
  "?": "help",
};

/**
 * Listens to keys.
 * @param {object} does: a function for each name in KEYS; `nth(index)` for the digits; `hold(held)` for h.
 */
export function listen(does) {
  document.addEventListener("keydown", (event) => {
    if (writes(event.target) || document.querySelector("dialog[open]")) return;
    const combined = event.ctrlKey || event.metaKey || event.altKey;
    if (combined && !["z", "Z", "y", "[", "]"].includes(event.key)) return; // others are the browser's
    if (event.key === "h") {
      event.preventDefault();
      does.hold(true);
    } else if (/^[0-9]$/.test(event.key)) {
      event.preventDefault();
      does.nth((Number(event.key) + 9) % 10);
    } else if (KEYS[event.key]) {
      event.preventDefault();
      does[KEYS[event.key]]();
    }
  });
  document.addEventListener("keyup", (event) => event.key === "h" && does.hold(false));
  addEventListener("blur", () => does.hold(false));
}

function writes(target) {
  return target.matches?.("input:not([type=range], [type=radio], [type=checkbox]), select, textarea");
}
