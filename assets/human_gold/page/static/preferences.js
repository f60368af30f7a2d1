// What this browser remembers of how somebody likes to work.

const root = document.documentElement;
const byId = (id) => document.getElementById(id);

export function remembered(name, otherwise) {
  try {
    return localStorage.getItem(`synpref.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`synpref.${name}`, value);
  } catch {
    // Remembered as long as the window.
  }
}

// rendered or plain
function setView(view) {
  root.dataset.view = view;
  byId("view").setAttribute("aria-pressed", String(view === "plain"));
  remember("view", view);
}

// shown or hidden: the panel with attributes and guideline
export function setGuide(guide) {
  root.dataset.guide = guide;
  byId("guide").setAttribute("aria-pressed", String(guide === "shown"));
  remember("guide", guide);
}

// Whether a verdict key sends, or chooses only.
function setAtOnce(atOnce) {
  byId("at-once").checked = atOnce;
  byId("send").hidden = atOnce;
  remember("at-once", String(atOnce));
}

export function toggleView() {
  setView(root.dataset.view === "plain" ? "rendered" : "plain");
}

export function toggleGuide() {
  setGuide(root.dataset.guide === "shown" ? "hidden" : "shown");
}

export function sendsAtOnce() {
  return byId("at-once").checked;
}

export function restore() {
  setView(remembered("view", "rendered"));
  setGuide(remembered("guide", "shown"));
  setAtOnce(remembered("at-once", "true") === "true");
  byId("view").addEventListener("click", toggleView);
  byId("guide").addEventListener("click", toggleGuide);
  byId("at-once").addEventListener("change", (event) => setAtOnce(event.target.checked));
}
