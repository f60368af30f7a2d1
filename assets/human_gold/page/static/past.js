// The list of a person's last answers, in a dialog.

import { element, verdictText } from "./saying.js";
import { ask } from "./sending.js";

// open: called with the key of the answer that was chosen.
export async function showPast(dialog, address, csrf, open) {
  const list = dialog.querySelector("#past");
  list.replaceChildren();
  if (!dialog.open) dialog.showModal();
  try {
    const { items } = await ask(address, csrf);
    const lines = items.map((past) => line(past, dialog, open));
    list.append(...(lines.length ? lines : [element("li", { textContent: "No answers yet.", className: "note" })]));
  } catch (error) {
    const text = `The history could not be fetched: ${error.message}`;
    list.append(element("li", { textContent: text, className: "note" }));
  }
}

function line(past, dialog, open) {
  const button = element("button", { className: "past" });
  const when = new Date(past.answered_at).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
  const said = verdictText(past) + (past.num_revisions > 1 ? " (changed)" : "");
  for (const [className, textContent] of [["said", said], ["beginning", past.beginning], ["when", when]]) {
    button.append(element("span", { className, textContent, dir: "auto" }));
  }
  button.addEventListener("click", () => {
    dialog.close();
    open(past.key);
  });
  const item = document.createElement("li");
  item.append(button);
  return item;
}
