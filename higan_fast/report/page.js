// The page works without this: it shows the button that copies the command, and hides hints that are not so.
for (const button of document.querySelectorAll("button[data-copies]")) {
  const status = button.parentElement.querySelector("[role=status]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copies);
      status.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
      status.textContent = "Selected: copy it with the keyboard";
    }
  });
}

const hints = [...document.querySelectorAll(".hint")];
new ResizeObserver(() => {
  for (const hint of hints) {
    const box = hint.nextElementSibling;
    hint.hidden = box.scrollWidth <= box.clientWidth;
  }
}).observe(document.body);
