// Buttons that look a selected phrase up, in a new window that learns nothing of this one.

export class Searching {
  constructor(bar, within, searches) {
    this.bar = bar;
    this.within = within;
    for (const search of searches) {
      const link = document.createElement("a");
      link.target = "_blank";
      link.rel = "noopener noreferrer";
      link.dataset.url = search.url;
      link.textContent = search.name;
      bar.append(link);
    }
    document.addEventListener("selectionchange", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.update(), 120);
    });
    document.addEventListener("scroll", () => this.place(), true);
  }

  phrase() {
    const selection = document.getSelection();
    if (!selection || selection.isCollapsed || !this.within.contains(selection.anchorNode)) return "";
    if (document.activeElement?.matches("input, textarea, select")) return "";
    return selection.toString().replace(/\s+/g, " ").trim().slice(0, 300);
  }

  update() {
    if (this.bar.contains(document.activeElement)) return;
    const phrase = this.phrase();
    this.bar.hidden = !phrase;
    if (!phrase) return;
    for (const link of this.bar.querySelectorAll("a")) {
      link.href = link.dataset.url.replace("{query}", () => encodeURIComponent(phrase));
      link.setAttribute("aria-label", `Search ${link.textContent} for ${phrase}`);
    }
    this.place();
  }

  place() {
    const selection = document.getSelection();
    if (this.bar.hidden || !selection?.rangeCount) return;
    const box = selection.getRangeAt(0).getBoundingClientRect();
    const own = this.bar.getBoundingClientRect();
    const above = box.top - own.height - 6;
    const top = above > 50 ? above : box.bottom + 6;
    this.bar.style.top = `${Math.max(4, Math.min(top, innerHeight - own.height - 4))}px`;
    this.bar.style.left = `${Math.max(4, Math.min(box.left, innerWidth - own.width - 4))}px`;
  }

  focus() {
    this.update();
    if (!this.bar.hidden) this.bar.querySelector("a").focus();
    return !this.bar.hidden;
  }

  hide() {
    this.bar.hidden = true;
  }
}
