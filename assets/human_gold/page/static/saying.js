// What the page says beside the pair: the status line, trouble, progress, the empty desk.

const byId = (id) => document.getElementById(id);
const SAID = { left: "Left", right: "Right", tie: "Tie", undecided: "Cannot decide" };

export function say(text, changeable = false) {
  byId("status").textContent = text;
  byId("undo").hidden = !changeable;
}

// actions: [label, what to do] of the buttons after the text; an empty text takes the line away.
export function trouble(text, actions = []) {
  const box = byId("trouble");
  box.replaceChildren();
  box.hidden = !text;
  if (!text) return;
  box.append(element("span", { textContent: text }));
  for (const [label, act] of actions) {
    const button = element("button", { className: "quiet", textContent: label });
    button.addEventListener("click", act);
    box.append(" ", button);
  }
}

export function showProgress(progress) {
  if (!progress) return;
  const parts = [`${count(progress.mine_today)} today`, `${count(progress.mine_left)} left`];
  if (progress.median_seconds !== null) parts.push(`median ${Math.round(progress.median_seconds)} s`);
  byId("progress").replaceChildren(...parts.map((part) => element("span", { textContent: part })));
}

export function verdictText(values) {
  return (SAID[values.verdict] ?? "") + (values.strength ? `, ${values.strength}` : "");
}

export function revealedText(revealed) {
  const parts = [];
  if (revealed?.source_verdict) parts.push(`the source said ${SAID[revealed.source_verdict] ?? revealed.source_verdict}`);
  for (const judge of revealed?.judges ?? []) parts.push(`${judge.judge}: ${SAID[judge.verdict] ?? judge.verdict}`);
  return parts.length ? ` Hidden until now: ${parts.join("; ")}.` : "";
}

// The desk with nothing on it; on: what its buttons do (again, history, undo).
export function emptyDesk(adjudicating, progress, on, undoable) {
  const content = byId("empty").content.cloneNode(true);
  const box = content.querySelector(".empty");
  const done = progress?.mine_done ?? 0;
  box.querySelector("h1").textContent = adjudicating ? "No disagreement is open right now" : "Nothing to label right now";
  box.querySelector("[data-why]").textContent = adjudicating
    ? "People agree, are not done yet, or the open disagreements are about pairs that you answered yourself."
    : done
      ? `You have answered all ${count(done)} that were yours. When the next batch is sent, its pairs appear here.`
      : "No batch has been sent to people yet, or others have taken all of its pairs.";
  box.querySelector("[data-again]").addEventListener("click", on.again);
  box.querySelector("[data-history]").addEventListener("click", on.history);
  if (undoable) {
    const button = element("button", { className: "quiet", textContent: "Change the last answer (Z)" });
    button.addEventListener("click", on.undo);
    box.append(button);
  }
  return content;
}

export function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

function count(number) {
  return number.toLocaleString("en");
}
