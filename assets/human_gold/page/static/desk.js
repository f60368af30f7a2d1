// The desk's page: shows pairs, takes answers, makes the next pair ready while this one is read.

import { ActiveClock } from "./active_clock.js";
import { Form } from "./form.js";
import { listen } from "./keyboard.js";
import { showPast } from "./past.js";
import { remember, remembered, restore, sendsAtOnce, setGuide, toggleGuide, toggleView } from "./preferences.js";
import { element, emptyDesk, revealedText, say, showProgress, trouble, verdictText } from "./saying.js";
import { Searching } from "./searching.js";
import { ask, newKey, Outbox, Refused } from "./sending.js";

const body = document.body;
const byId = (id) => document.getElementById(id);
const adjudicating = body.dataset.mode === "adjudicate";
const csrf = body.dataset.csrf;
const person = body.dataset.person;
const ADDRESSES = adjudicating
  ? { next: "/api/cases/next", one: "/api/cases/", answer: "/api/decisions", history: "/api/cases/history" }
  : { next: "/api/next", one: "/api/tasks/", answer: "/api/answers", history: "/api/history" };
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

// Showing

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
  const content = emptyDesk(adjudicating, progress, { again: () => advance(), history: openHistory, undo }, state.last);
  const said = byId("status").textContent;
  if (said) content.querySelector(".empty").append(element("p", { className: "aside", textContent: said }));
  pane.replaceChildren(content);
  pane.classList.add("blank");
  pane.dataset.ready = "empty";
  pane.focus({ preventScroll: true });
  clearTimeout(state.lookAgain);
  state.lookAgain = setTimeout(() => state.current || advance(), LOOK_AGAIN_MS);
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
  if (sendsAtOnce()) send();
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
  const line = `Saved: ${entry.said}.${revealedText(reply.receipt.revealed)}`;
  if (state.last?.clientKey === entry.body.client_key) {
    state.last.item.task.revision = reply.receipt.revision + 1;
    say(line, true);
  }
  showProgress(reply.progress);
  // The empty desk came before this answer was counted.
  if (reply.progress && pane.dataset.ready === "empty") showEmpty(reply.progress);
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
  if (await outbox.takeBack(last.clientKey)) {
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

function openHistory() {
  const opening = (key) => open(key).catch((error) => unreachable(error, () => advance()));
  return showPast(byId("history"), ADDRESSES.history, csrf, opening);
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

const commands = {
  z: undo,
  l: () => byId("later") && later(),
  h: openHistory,
  v: toggleView,
  b: toggleGuide,
  c: () => byId("comment").focus(),
  m: modifyAttributes,
  o: foldTurns,
  "?": () => byId("keys").showModal(),
};

function modifyAttributes() {
  setGuide("shown");
  pane.querySelector("#task_category")?.focus();
}

function foldTurns() {
  const turns = [...pane.querySelectorAll("details.turn")];
  const opening = turns.some((turn) => !turn.open);
  for (const turn of turns) turn.open = opening;
}

listen(pane, {
  decide,
  send,
  commands,
  enterSends: () => !sendsAtOnce(),
  reason: (key) => state.current && bar.querySelector(`[data-key="${CSS.escape(key)}"]`),
  toggleReason: (button) => form.toggleReason(button),
  search: () => searching.focus(),
  leave: () => searching.hide(),
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
byId("open-history").addEventListener("click", openHistory);
byId("open-keys").addEventListener("click", commands["?"]);
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
  restore();
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
