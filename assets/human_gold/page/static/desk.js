// The desk's page: shows pairs, takes answers, makes the next pair ready while this one is read.

import { ActiveClock } from "./active_clock.js";
import { Form } from "./form.js";
import { isTyping, named, verdictOf } from "./keys.js";
import { Searching } from "./searching.js";
import { ask, newKey, Outbox, Refused } from "./sending.js";

const body = document.body;
const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const adjudicating = body.dataset.mode === "adjudicate";
const csrf = body.dataset.csrf;
const person = body.dataset.person;
const ADDRESSES = adjudicating
  ? { next: "/api/cases/next", one: "/api/cases/", answer: "/api/decisions", history: "/api/cases/history" }
  : { next: "/api/next", one: "/api/tasks/", answer: "/api/answers", history: "/api/history" };
const SAID = { left: "Left", right: "Right", tie: "Tie", undecided: "Cannot decide" };
// A verdict key that comes sooner was meant for the pair before.
const TOO_SOON_MS = 250;
const LOOK_AGAIN_MS = 60_000;

const pane = byId("content");
const bar = byId("verdict");
const clock = new ActiveClock(Number(body.dataset.idleS));
const guidelines = new Map();
// current: the pair in sight; ready: the one after it; aside: the pair put aside while an older answer is changed.
const state = { current: null, ready: null, readying: null, aside: null, last: null, shownAt: 0, dirty: false };

const form = new Form(pane, bar, changed, showGuideline);
const searching = new Searching(byId("searches"), pane, JSON.parse(body.dataset.searches));
const outbox = new Outbox(person, csrf, { sent, refused, changed: showUnsent });

// Settings of this browser

function remembered(name, otherwise) {
  try {
    return localStorage.getItem(`synpref.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`synpref.${name}`, value);
  } catch {
    // Remembered as long as the window.
  }
}

function setView(view) {
  root.dataset.view = view;
  byId("view").setAttribute("aria-pressed", String(view === "plain"));
  remember("view", view);
}

function setGuide(guide) {
  root.dataset.guide = guide;
  byId("guide").setAttribute("aria-pressed", String(guide === "shown"));
  remember("guide", guide);
}

function setAtOnce(atOnce) {
  byId("at-once").checked = atOnce;
  byId("send").hidden = atOnce;
  remember("at-once", String(atOnce));
}

// Showing

function say(text, changeable = false) {
  byId("status").textContent = text;
  byId("undo").hidden = !changeable;
}

function trouble(text, actions = []) {
  const box = byId("trouble");
  box.replaceChildren();
  box.hidden = !text;
  if (!text) return;
  const line = document.createElement("span");
  line.textContent = text;
  box.append(line);
  for (const [label, act] of actions) {
    const button = document.createElement("button");
    button.className = "quiet";
    button.textContent = label;
    button.addEventListener("click", act);
    box.append(" ", button);
  }
}

function prepared(reply) {
  const template = document.createElement("template");
  template.innerHTML = reply.html;
  return { task: reply.task, content: template.content, draft: reply.task.draft, decided: reply.decided_before };
}

function show(item) {
  searching.hide();
  state.current = item;
  state.dirty = false;
  // A copy: the pair may be shown again.
  pane.replaceChildren(item.content.cloneNode(true));
  pane.classList.remove("blank");
  bar.hidden = false;
  form.fill(item.draft ?? item.decided ?? null);
  clock.begin(item.draft?.active_seconds ?? 0);
  if (Object.keys(form.editedAttributes()).length) showGuideline(form.kind());
  const again = item.task.revision > 0;
  byId("before").hidden = !again;
  byId("before").textContent = again ? `You answered this: ${verdictText(form.values())}. A new verdict replaces it.` : "";
  byId("later")?.toggleAttribute("hidden", again);
  remember(`current.${body.dataset.mode}.${person}`, again ? "" : item.task.key);
  // What the responses answer is the last turn: it is in sight, however long the conversation.
  const conversation = pane.querySelector("#conversation");
  const last = conversation?.lastElementChild;
  if (last) conversation.scrollTop = last.offsetTop;
  pane.focus({ preventScroll: true });
  if (matchMedia("(max-width: 899px)").matches) scrollTo(0, 0);
  state.shownAt = performance.now();
  pane.dataset.ready = "";
  setTimeout(() => {
    if (state.current === item) pane.dataset.ready = item.task.key;
  }, TOO_SOON_MS);
}

function showEmpty(progress) {
  state.current = null;
  bar.hidden = true;
  remember(`current.${body.dataset.mode}.${person}`, "");
  const content = byId("empty").content.cloneNode(true);
  const done = progress?.mine_done ?? 0;
  content.querySelector("h1").textContent = adjudicating ? "No disagreement is open right now" : "Nothing to label right now";
  content.querySelector("[data-why]").textContent = adjudicating
    ? "People agree, are not done yet, or the open disagreements are about pairs that you answered yourself."
    : done
      ? `You have answered all ${done.toLocaleString("en")} that were yours. When the next batch is sent, its pairs appear here.`
      : "No batch has been sent to people yet, or others have taken all of its pairs.";
  content.querySelector("[data-again]").addEventListener("click", () => advance());
  content.querySelector("[data-history]").addEventListener("click", openHistory);
  const said = byId("status").textContent;
  if (said) {
    const line = document.createElement("p");
    line.className = "aside";
    line.textContent = said;
    content.querySelector(".empty").append(line);
  }
  if (state.last) {
    const undoing = document.createElement("button");
    undoing.className = "quiet";
    undoing.textContent = "Change the last answer (Z)";
    undoing.addEventListener("click", undo);
    content.querySelector(".empty").append(undoing);
  }
  pane.replaceChildren(content);
  pane.classList.add("blank");
  pane.dataset.ready = "empty";
  pane.focus({ preventScroll: true });
  clearTimeout(state.lookAgain);
  state.lookAgain = setTimeout(() => state.current || advance(), LOOK_AGAIN_MS);
}

function showProgress(progress) {
  if (!progress) return;
  const count = (number) => number.toLocaleString("en");
  const parts = [`${count(progress.mine_today)} today`, `${count(progress.mine_left)} left`];
  if (progress.median_seconds !== null) parts.push(`median ${Math.round(progress.median_seconds)} s`);
  byId("progress").replaceChildren(
    ...parts.map((part) => {
      const span = document.createElement("span");
      span.textContent = part;
      return span;
    }),
  );
}

async function showGuideline(kind) {
  const section = byId("guideline");
  const query = new URLSearchParams(kind).toString();
  try {
    if (!guidelines.has(query)) guidelines.set(query, await ask(`/api/guideline?${query}`, csrf));
  } catch (error) {
    section.classList.add("stale");
    say(`The guideline for this kind of pair could not be fetched: ${error.message}`);
    return;
  }
  if (!section.isConnected || new URLSearchParams(form.kind()).toString() !== query) return;
  const found = guidelines.get(query);
  const template = document.createElement("template");
  template.innerHTML = found.html ?? '<p class="note">No guideline is written for this kind of pair.</p>';
  section.replaceChildren(template.content);
  section.dataset.version = found.version;
  section.classList.remove("stale");
}

function verdictText(values) {
  return (SAID[values.verdict] ?? "") + (values.strength ? `, ${values.strength}` : "");
}

// Fetching

function known() {
  const keys = outbox.entries().filter((entry) => !entry.refused).map((entry) => entry.body.key);
  for (const item of [state.current, state.aside, state.ready]) if (item) keys.push(item.task.key);
  return [...new Set(keys)].slice(-100);
}

async function fetchNext() {
  const query = known().map((key) => `skip=${encodeURIComponent(key)}`).join("&");
  const reply = await ask(`${ADDRESSES.next}?${query}`, csrf);
  return { item: reply.task ? prepared(reply) : null, progress: reply.progress };
}

function makeReady() {
  if (state.ready || state.readying) return;
  state.readying = fetchNext()
    .then(({ item, progress }) => {
      state.ready = item;
      showProgress(progress);
    })
    .catch(() => {})
    .finally(() => {
      state.readying = null;
    });
}

// Shows what comes next: the pair put aside, the one made ready, or whatever the desk gives.
async function advance() {
  clearTimeout(state.lookAgain);
  state.current = null;
  let item = state.aside;
  state.aside = null;
  if (!item && state.readying) await state.readying;
  if (!item) {
    item = state.ready;
    state.ready = null;
  }
  try {
    if (!item) {
      const found = await fetchNext();
      item = found.item;
      showProgress(found.progress);
      if (!item) {
        showEmpty(found.progress);
        return;
      }
    }
    trouble("");
    show(item);
    makeReady();
  } catch (error) {
    unreachable(error, () => advance());
  }
}

function unreachable(error, again) {
  pane.dataset.ready = "trouble";
  if (error instanceof Refused && error.status === 401) {
    trouble("You are signed out. What is not sent yet stays in this browser.", [["Sign in", () => location.assign("/sign-in")]]);
  } else if (error instanceof Refused) {
    trouble(error.message, [["Go on", () => advance()]]);
  } else {
    trouble("The desk cannot be reached. Nothing is lost.", [["Try again", again]]);
  }
}

async function open(key) {
  const item = prepared(await ask(ADDRESSES.one + encodeURIComponent(key), csrf));
  putAside();
  show(item);
}

function putAside() {
  const item = state.current;
  if (!item || item.task.revision > 0) return;
  saveDraft();
  item.draft = { ...form.values(), active_seconds: clock.seconds() };
  state.aside = item;
}

// Answering

function decide(verdict, strength) {
  if (!state.current) return;
  if (performance.now() - state.shownAt < TOO_SOON_MS) {
    say("Ignored: this pair had only just appeared.", Boolean(state.last));
    return;
  }
  form.choose(verdict, strength);
  changed();
  if (byId("at-once").checked) send();
}

function send() {
  const item = state.current;
  if (!item) return;
  const values = form.values();
  if (!values.verdict) {
    say("Choose a verdict first: 1 to 5, or 0.");
    return;
  }
  if (adjudicating && !values.comment.trim()) {
    say("A decision needs its reason: write a comment, then Ctrl+Enter.");
    byId("comment").focus();
    return;
  }
  clearTimeout(state.draftTimer);
  state.dirty = false;
  const entry = {
    at: Date.now(),
    path: ADDRESSES.answer,
    said: verdictText(values),
    body: {
      ...values,
      key: item.task.key,
      client_key: newKey(),
      guideline_version: byId("guideline").dataset.version,
      active_seconds: clock.seconds(),
      revision: item.task.revision,
    },
  };
  item.draft = { ...values, active_seconds: entry.body.active_seconds };
  state.last = { item, clientKey: entry.body.client_key };
  say(`${entry.said}. Saving…`, true);
  outbox.add(entry);
  advance();
}

function sent(entry, reply) {
  let line = `Saved: ${entry.said}.`;
  const revealed = reply.receipt.revealed;
  if (revealed) {
    const parts = [];
    if (revealed.source_verdict) parts.push(`the source said ${SAID[revealed.source_verdict] ?? revealed.source_verdict}`);
    for (const judge of revealed.judges ?? []) parts.push(`${judge.judge}: ${SAID[judge.verdict] ?? judge.verdict}`);
    if (parts.length) line += ` Hidden until now: ${parts.join("; ")}.`;
  }
  if (state.last?.clientKey === entry.body.client_key) {
    state.last.item.task.revision = reply.receipt.revision + 1;
    say(line, true);
  }
  showProgress(reply.progress);
}

function refused(entry, error) {
  const what = [error.what, error.kept && `Kept: ${error.kept}.`, error.todo && `What to do: ${error.todo}.`];
  const seen = () => {
    outbox.drop(entry.body.client_key);
    trouble("");
  };
  trouble(`Your answer "${entry.said}" was not taken. ${what.filter(Boolean).join(" ")}`, [
    [
      "Open the pair",
      () => {
        seen();
        open(entry.body.key).catch((problem) => unreachable(problem, () => advance()));
      },
    ],
    ["Dismiss", seen],
  ]);
}

function showUnsent(entries, why) {
  const waiting = entries.filter((entry) => !entry.refused);
  const button = byId("unsent");
  button.hidden = !waiting.length || (!why && waiting.length === 1);
  const many = waiting.length === 1 ? "1 answer is" : `${waiting.length} answers are`;
  button.textContent = `${many} not sent yet; kept here. Send now`;
  if (why === "signed out") unreachable(new Refused(401, {}));
  if (why === "stale") trouble("This page is older than your session. What is not sent yet stays.", [["Reload", () => location.reload()]]);
}

// Back, later, history

async function undo() {
  const last = state.last;
  if (!last) {
    openHistory();
    return;
  }
  state.last = null;
  if (outbox.takeBack(last.clientKey)) {
    putAside();
    show(last.item);
    say("Taken back before it was sent.");
    return;
  }
  try {
    await open(last.item.task.key);
    say("Back at your last answer.");
  } catch (error) {
    state.last = last;
    unreachable(error, undo);
  }
}

async function later() {
  const item = state.current;
  if (!item || item.task.revision > 0) return;
  saveDraft();
  try {
    await ask("/api/later", csrf, { key: item.task.key });
    say("Put at the end of your pairs.");
    advance();
  } catch (error) {
    unreachable(error, later);
  }
}

async function openHistory() {
  const list = byId("past");
  const dialog = byId("history");
  list.replaceChildren();
  if (!dialog.open) dialog.showModal();
  try {
    const { items } = await ask(ADDRESSES.history, csrf);
    if (!items.length) list.append(Object.assign(document.createElement("li"), { textContent: "No answers yet.", className: "note" }));
    for (const past of items) list.append(pastLine(past, dialog));
  } catch (error) {
    list.append(Object.assign(document.createElement("li"), { textContent: `The history could not be fetched: ${error.message}`, className: "note" }));
  }
}

function pastLine(past, dialog) {
  const line = document.createElement("li");
  const button = document.createElement("button");
  button.className = "past";
  const parts = [
    ["said", verdictText(past) + (past.num_revisions > 1 ? " (changed)" : "")],
    ["beginning", past.beginning],
    ["when", new Date(past.answered_at).toLocaleString([], { dateStyle: "short", timeStyle: "short" })],
  ];
  for (const [name, text] of parts) {
    const span = document.createElement("span");
    span.className = name;
    span.dir = "auto";
    span.textContent = text;
    button.append(span);
  }
  button.addEventListener("click", () => {
    dialog.close();
    open(past.key).catch((error) => unreachable(error, () => advance()));
  });
  line.append(button);
  return line;
}

// Drafts

function changed() {
  state.dirty = true;
  clearTimeout(state.draftTimer);
  state.draftTimer = setTimeout(saveDraft, 800);
}

function saveDraft(options = {}) {
  clearTimeout(state.draftTimer);
  const item = state.current;
  if (!item || !state.dirty || item.task.revision > 0) return;
  state.dirty = false;
  const draft = { ...form.values(), active_seconds: clock.seconds() };
  ask("/api/drafts", csrf, { key: item.task.key, form: draft }, options).catch(() => {
    state.dirty = true;
  });
}

// Keys and pointers

const panes = () => [...pane.querySelectorAll(".response .scroll")];

function scrollResponses(event, key) {
  const inPane = event.target.closest?.(".scroll, .conversation, .side");
  if (inPane && inPane !== pane) return;
  const step = { ArrowDown: 60, ArrowUp: -60, " ": 0.85, PageDown: 0.85, PageUp: -0.85, Home: -Infinity, End: Infinity }[key];
  event.preventDefault();
  for (const one of panes()) {
    const by = Math.abs(step) < 1 ? step * one.clientHeight * (event.shiftKey && key === " " ? -1 : 1) : step;
    one.scrollTop = by === Infinity ? one.scrollHeight : by === -Infinity ? 0 : one.scrollTop + by;
  }
  if (getComputedStyle(panes()[0] ?? pane).overflowY === "visible") {
    scrollBy(0, Math.abs(step) < 1 ? step * innerHeight * 0.8 : Math.max(-1e6, Math.min(1e6, step)));
  }
}

function focusResponse(side) {
  const target = pane.querySelector(`#${side} .scroll`);
  if (document.activeElement === target) pane.focus({ preventScroll: true });
  else target?.focus();
}

const COMMANDS = {
  z: undo,
  l: () => byId("later") && later(),
  h: openHistory,
  v: () => setView(root.dataset.view === "plain" ? "rendered" : "plain"),
  b: () => setGuide(root.dataset.guide === "shown" ? "hidden" : "shown"),
  c: () => byId("comment").focus(),
  m: () => {
    setGuide("shown");
    pane.querySelector("#task_category")?.focus();
  },
  o: () => {
    const turns = [...pane.querySelectorAll("details.turn")];
    const opening = turns.some((turn) => !turn.open);
    for (const turn of turns) turn.open = opening;
  },
  "?": () => byId("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const key = named(event);
  if (key === "Escape") {
    searching.hide();
    pane.focus({ preventScroll: true });
    return;
  }
  if (key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    send();
    return;
  }
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.repeat && !key.startsWith("Arrow") && !key.startsWith("Page") && key !== " ") return;
  const onControl = event.target.closest?.("button, a, summary, input");
  if (["ArrowDown", "ArrowUp", " ", "PageDown", "PageUp", "Home", "End"].includes(key)) {
    if (!(onControl && key === " ")) scrollResponses(event, key);
    return;
  }
  if (key === "ArrowLeft" || key === "ArrowRight") {
    if (event.target.closest?.(".searches")) return;
    event.preventDefault();
    focusResponse(key === "ArrowLeft" ? "left" : "right");
    return;
  }
  if (key === "Enter") {
    if (!onControl && !byId("at-once").checked) send();
    return;
  }
  if (key === "/") {
    if (searching.focus()) event.preventDefault();
    return;
  }
  const reason = state.current && bar.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const verdict = verdictOf(key);
  if (verdict) decide(...verdict);
  else if (reason) form.toggleReason(reason);
  else if (COMMANDS[key]) COMMANDS[key]();
  else return;
  event.preventDefault();
});

bar.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.verdict) decide(button.dataset.verdict, button.dataset.strength ?? null);
  if (button.dataset.reason) form.toggleReason(button);
});
byId("send").addEventListener("click", send);
byId("undo").addEventListener("click", undo);
byId("later")?.addEventListener("click", later);
byId("unsent").addEventListener("click", () => outbox.flush());
byId("view").addEventListener("click", COMMANDS.v);
byId("guide").addEventListener("click", COMMANDS.b);
byId("open-history").addEventListener("click", openHistory);
byId("open-keys").addEventListener("click", COMMANDS["?"]);
byId("at-once").addEventListener("change", (event) => setAtOnce(event.target.checked));
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("close", () => pane.focus({ preventScroll: true }));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "touchmove"]) {
  document.addEventListener(kind, () => clock.sign(), { capture: true, passive: true });
}
document.addEventListener("visibilitychange", () => {
  clock.count();
  if (document.visibilityState === "hidden") saveDraft({ keepalive: true });
  else clock.sign();
});

// Beginning

async function begin() {
  setView(remembered("view", "rendered"));
  setGuide(remembered("guide", "shown"));
  setAtOnce(remembered("at-once", "true") === "true");
  for (const entry of outbox.entries()) if (entry.refused) refused(entry, entry.refused);
  await outbox.flush();
  const key = location.hash.slice(1) || remembered(`current.${body.dataset.mode}.${person}`, "");
  history.replaceState(null, "", location.pathname);
  const unsent = outbox.entries().some((entry) => entry.body.key === key);
  if (key && key !== "content" && !unsent) {
    try {
      const item = prepared(await ask(ADDRESSES.one + encodeURIComponent(key), csrf));
      show(item);
      if (!adjudicating) ask("/api/progress", csrf).then(showProgress, () => {});
      makeReady();
      return;
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401) {
        unreachable(error, begin);
        return;
      }
    }
  }
  await advance();
}

begin();
