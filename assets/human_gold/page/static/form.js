// What the person has filled in: attributes, verdict, reasons, comment. Knows the elements, not the desk.

const clean = (text) => text.replace(/\r\n?/g, "\n");

export class Form {
  // changed: called whenever the person changes something; kindChanged: when the kind of pair changes.
  constructor(root, verdictBar, changed, kindChanged) {
    this.root = root;
    this.bar = verdictBar;
    this.comment = verdictBar.querySelector("#comment");
    this.changed = changed;
    this.kindChanged = kindChanged;
    this.verdict = null;
    this.strength = null;
    root.addEventListener("input", (event) => this.edited(event.target));
    root.addEventListener("click", (event) => {
      const button = event.target.closest(".revert");
      if (button) this.revert(button.closest(".field"));
    });
    this.comment.addEventListener("input", () => {
      grow(this.comment);
      this.changed();
    });
  }

  fields() {
    return [...this.root.querySelectorAll(".field")];
  }

  input(field) {
    return field.querySelector("select, textarea");
  }

  edited(target) {
    const field = target.closest?.(".field");
    if (!field) return;
    this.mark(field);
    this.changed();
    if (target.tagName === "SELECT") this.kindChanged(this.kind());
  }

  mark(field) {
    const input = this.input(field);
    const edited = clean(input.value) !== clean(field.dataset.original);
    field.classList.toggle("edited", edited);
    field.querySelector(".revert").hidden = !edited;
    if (input.tagName === "TEXTAREA") grow(input);
  }

  revert(field) {
    const input = this.input(field);
    input.value = field.dataset.original;
    this.mark(field);
    input.focus();
    this.changed();
    if (input.tagName === "SELECT") this.kindChanged(this.kind());
  }

  kind() {
    const kind = {};
    for (const field of this.fields()) {
      const input = this.input(field);
      if (input.tagName === "SELECT") kind[field.dataset.attribute] = input.value;
    }
    return kind;
  }

  editedAttributes() {
    const edited = {};
    for (const field of this.fields()) {
      if (field.classList.contains("edited")) edited[field.dataset.attribute] = clean(this.input(field).value);
    }
    return edited;
  }

  choose(verdict, strength) {
    this.verdict = verdict;
    this.strength = strength;
    for (const button of this.bar.querySelectorAll("[data-verdict]")) {
      const chosen = button.dataset.verdict === verdict && (button.dataset.strength || null) === strength;
      button.setAttribute("aria-pressed", String(chosen));
    }
  }

  toggleReason(button) {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    this.changed();
  }

  values() {
    const pressed = this.bar.querySelectorAll("[data-reason][aria-pressed=true]");
    return {
      verdict: this.verdict,
      strength: this.strength,
      reasons: [...pressed].map((button) => button.dataset.reason),
      comment: this.comment.value,
      edited_attributes: this.editedAttributes(),
    };
  }

  isEmpty() {
    const values = this.values();
    return !values.verdict && !values.reasons.length && !values.comment && !Object.keys(values.edited_attributes).length;
  }

  fill(values) {
    this.choose(values?.verdict ?? null, values?.strength ?? null);
    const reasons = values?.reasons ?? [];
    for (const button of this.bar.querySelectorAll("[data-reason]")) {
      button.setAttribute("aria-pressed", String(reasons.includes(button.dataset.reason)));
    }
    this.comment.value = values?.comment ?? "";
    grow(this.comment);
    const edited = values?.edited_attributes ?? {};
    for (const field of this.fields()) {
      const value = edited[field.dataset.attribute];
      if (typeof value === "string") this.input(field).value = value;
      this.mark(field);
    }
  }
}

function grow(area) {
  area.style.height = "auto";
  if (area.scrollHeight) area.style.height = `${area.scrollHeight + 2}px`;
}
