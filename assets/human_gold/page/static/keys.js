// What a key means. Keys mean nothing while somebody types in a field; Escape leaves it.

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

export function verdictOf(key) {
  return VERDICTS[key] ?? null;
}

// The letter or digit of a key press, also on keyboards of other scripts and where digits need Shift.
export function named(event) {
  if (/^(Digit|Numpad)\d$/.test(event.code)) return event.code.slice(-1);
  if (event.key.length > 1) return event.key;
  const key = event.key.toLowerCase();
  if (/^[a-z?/]$/.test(key)) return key;
  return /^Key[A-Z]$/.test(event.code) ? event.code.slice(3).toLowerCase() : key;
}

export function isTyping(target) {
  return Boolean(target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]"));
}
