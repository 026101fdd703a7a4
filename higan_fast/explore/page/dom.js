// Elements in one expression. Text is always set as text, so that a name from a file is never markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Returns an element.
 * @param {string} tag its name; "svg" and what stands in one are made by `drawn`.
 * @param {object} attributes: `class`, `text`, `onclick` and the like, `data-…`, `aria-…`; null and false are left out.
 * @param {...(Node|string)} children
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Returns an element of SVG, likewise. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets the text where it differs: what has not changed is not laid out again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes arrow keys, Home and End walk through elements that are one stop of the Tab key together.
 * @param {Element} root
 * @param {() => Element[]} all: returns them in reading order.
 * @param {() => number} columns: returns how many stand in a row.
 */
export function walkable(root, all, columns = () => Infinity) {
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const items = all();
    const at = items.indexOf(document.activeElement);
    if (at < 0) return;
    const rows = Number.isFinite(columns()) ? columns() : 0;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: rows ? at + rows : null, ArrowUp: rows ? at - rows : null, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined || to === null || !items[to]) return;
    event.preventDefault();
    event.stopPropagation();
    focusOne(items, to);
    items[to].focus();
  });
}

/** Makes one of elements the stop of the Tab key. */
export function focusOne(items, index) {
  items.forEach((item, other) => {
    item.tabIndex = other === index ? 0 : -1;
  });
}
