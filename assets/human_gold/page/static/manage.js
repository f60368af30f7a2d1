// The manager's forms: sent as JSON, their outcome said at the top of the page.

import { ask } from "./sending.js";

const csrf = document.body.dataset.csrf;
const result = document.getElementById("result");

const SHAPES = {
  handle: (values) => ({ handle: values.get("handle") }),
  role: (values) => ({ handle: values.get("handle"), role: values.get("role") }),
  invite: (values) => ({ handle: values.get("handle"), role: values.get("role"), display_name: values.get("display_name") }),
  withdraw: (values) => ({ [values.get("kind")]: values.get("ids").split(/[\s,;]+/).filter(Boolean), why: values.get("why") }),
};

function say(kind, ...parts) {
  const line = document.createElement("p");
  line.className = kind;
  line.append(...parts);
  result.replaceChildren(line);
  result.scrollIntoView({ block: "nearest" });
}

function showLink(reply) {
  const link = document.createElement("input");
  link.readOnly = true;
  link.value = reply.link;
  link.id = "link";
  link.setAttribute("aria-label", `Link for ${reply.handle}`);
  const copy = document.createElement("button");
  copy.className = "primary";
  copy.textContent = "Copy";
  copy.addEventListener("click", async () => {
    link.select();
    try {
      await navigator.clipboard.writeText(link.value);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Selected: press Ctrl+C";
    }
  });
  const text = `Link for ${reply.handle}, for ${reply.days} days, shown only now: give it to this person and to nobody else.`;
  say("link", text, link, copy);
  link.focus();
  link.select();
}

async function submit(form) {
  try {
    const reply = await ask(form.dataset.api, csrf, SHAPES[form.dataset.shape](new FormData(form)));
    if (reply.link) {
      showLink(reply);
      if (form.dataset.shape === "invite") form.reset();
      return;
    }
    location.reload();
  } catch (error) {
    const todo = error.error?.todo ? ` What to do: ${error.error.todo}.` : "";
    say("refusal", `${error.message}${todo}`);
  }
}

for (const form of document.querySelectorAll("form[data-api]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = event.submitter;
    // What cannot be taken back asks once more, in the same place.
    if (button?.dataset.confirm && !button.dataset.asked) {
      button.dataset.asked = "yes";
      button.dataset.label = button.textContent;
      button.textContent = button.dataset.confirm;
      button.classList.add("danger");
      button.addEventListener("blur", () => {
        delete button.dataset.asked;
        button.textContent = button.dataset.label;
        button.classList.remove("danger");
      }, { once: true });
      return;
    }
    submit(form);
  });
  if ("onChange" in form.dataset) form.addEventListener("change", () => submit(form));
}
