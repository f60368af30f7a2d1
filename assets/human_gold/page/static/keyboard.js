// What a key means and who hears it. Keys mean nothing while somebody types in a field; Escape leaves it.

const VERDICTS = {
  1: ["left", "clearly"],
  2: ["left", "slightly"],
  3: ["tie", null],
  t: ["tie", null],
  4: ["right", "slightly"],
  5: ["right", "clearly"],
  0: ["undecided", null],
  x: ["undecided", null],
};

function verdictOf(key) {
  return VERDICTS[key] ?? null;
}

// The letter or digit of a key press, also on keyboards of other scripts and where digits need Shift.
function named(event) {
  if (/^(Digit|Numpad)\d$/.test(event.code)) return event.code.slice(-1);
  if (event.key.length > 1) return event.key;
  const key = event.key.toLowerCase();
  if (/^[a-z?/]$/.test(key)) return key;
  return /^Key[A-Z]$/.test(event.code) ? event.code.slice(3).toLowerCase() : key;
}

function isTyping(target) {
  return Boolean(target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]"));
}

function scrollResponses(pane, event, key) {
  const panes = [...pane.querySelectorAll(".response .scroll")];
  const inPane = event.target.closest?.(".scroll, .conversation, .side");
  if (inPane && inPane !== pane) return;
  const step = { ArrowDown: 60, ArrowUp: -60, " ": 0.85, PageDown: 0.85, PageUp: -0.85, Home: -Infinity, End: Infinity }[key];
  event.preventDefault();
  for (const one of panes) {
    const by = Math.abs(step) < 1 ? step * one.clientHeight * (event.shiftKey && key === " " ? -1 : 1) : step;
    one.scrollTop = by === Infinity ? one.scrollHeight : by === -Infinity ? 0 : one.scrollTop + by;
  }
  if (getComputedStyle(panes[0] ?? pane).overflowY === "visible") {
    scrollBy(0, Math.abs(step) < 1 ? step * innerHeight * 0.8 : Math.max(-1e6, Math.min(1e6, step)));
  }
}

function focusResponse(pane, side) {
  const target = pane.querySelector(`#${side} .scroll`);
  if (document.activeElement === target) pane.focus({ preventScroll: true });
  else target?.focus();
}

// pane: where the focus goes on Escape. on: decide, send, commands by key, enterSends, reason, toggleReason, search, leave.
export function listen(pane, on) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const key = named(event);
    if (key === "Escape") {
      on.leave();
      pane.focus({ preventScroll: true });
      return;
    }
    if (key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      on.send();
      return;
    }
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.repeat && !key.startsWith("Arrow") && !key.startsWith("Page") && key !== " ") return;
    const onControl = event.target.closest?.("button, a, summary, input");
    if (["ArrowDown", "ArrowUp", " ", "PageDown", "PageUp", "Home", "End"].includes(key)) {
      if (!(onControl && key === " ")) scrollResponses(pane, event, key);
      return;
    }
    if (key === "ArrowLeft" || key === "ArrowRight") {
      if (event.target.closest?.(".searches")) return;
      event.preventDefault();
      focusResponse(pane, key === "ArrowLeft" ? "left" : "right");
      return;
    }
    if (key === "Enter") {
      if (!onControl && on.enterSends()) on.send();
      return;
    }
    if (key === "/") {
      if (on.search()) event.preventDefault();
      return;
    }
    const reason = on.reason(key);
    const verdict = verdictOf(key);
    if (verdict) on.decide(...verdict);
    else if (reason) on.toggleReason(reason);
    else if (on.commands[key]) on.commands[key]();
    else return;
    event.preventDefault();
  });
}
