// Requests to the desk, and the outbox: answers wait here until the desk has them, also over a reload.

const RETRY_S = [1, 2, 4, 8, 15, 30];

export class Refused extends Error {
  constructor(status, error) {
    super(error.what || "The desk refused.");
    this.status = status;
    this.error = error;
  }
}

export async function ask(path, csrf, body, options = {}) {
  const init = { headers: { Accept: "application/json" }, credentials: "same-origin", ...options };
  if (body !== undefined) {
    init.method = "POST";
    init.headers = { ...init.headers, "Content-Type": "application/json", "X-CSRF-Token": csrf };
    init.body = JSON.stringify(body);
  }
  const reply = await fetch(path, init);
  let content = {};
  try {
    content = await reply.json();
  } catch {
    content = {};
  }
  if (!reply.ok) throw new Refused(reply.status, content.error || {});
  return content;
}

export function newKey() {
  // randomUUID exists in secure contexts only; a desk on a local network may be reached by http.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  // One storage item per answer, so that two windows do not overwrite each other's.
  // on.sent(entry, reply), on.refused(entry, error), on.changed(entries, why)
  constructor(person, csrf, on) {
    this.prefix = `synpref.unsent.${person}.`;
    this.csrf = csrf;
    this.on = on;
    this.memory = new Map();
    this.attempt = 0;
    this.busy = false;
    this.timer = 0;
    this.inFlight = null;
    this.sending = null;
    window.addEventListener("online", () => this.flush());
  }

  entries() {
    const found = new Map(this.memory);
    try {
      for (let i = 0; i < localStorage.length; i++) {
        const name = localStorage.key(i);
        if (name.startsWith(this.prefix)) {
          const entry = JSON.parse(localStorage.getItem(name));
          found.set(entry.body.client_key, entry);
        }
      }
    } catch {
      // Without storage the answers live as long as the window.
    }
    return [...found.values()].sort((a, b) => a.at - b.at);
  }

  add(entry) {
    this.memory.set(entry.body.client_key, entry);
    this.keep(entry);
    this.on.changed(this.entries(), "");
    return this.flush();
  }

  keep(entry) {
    try {
      localStorage.setItem(this.prefix + entry.body.client_key, JSON.stringify(entry));
    } catch {
      // Kept in memory.
    }
  }

  drop(clientKey) {
    this.memory.delete(clientKey);
    try {
      localStorage.removeItem(this.prefix + clientKey);
    } catch {
      // It was in memory only.
    }
  }

  // Take an answer back that could not be sent yet; false when the desk has it. One on its way is waited for.
  async takeBack(clientKey) {
    if (this.inFlight === clientKey) await this.sending.catch(() => {});
    if (!this.entries().some((entry) => entry.body.client_key === clientKey)) return false;
    this.drop(clientKey);
    this.on.changed(this.entries(), "");
    return true;
  }

  async flush() {
    clearTimeout(this.timer);
    if (this.busy) return;
    this.busy = true;
    let why = "";
    for (let waiting = this.waiting(); waiting.length; waiting = this.waiting()) {
      const entry = waiting[0];
      this.inFlight = entry.body.client_key;
      try {
        this.sending = ask(entry.path, this.csrf, entry.body);
        const reply = await this.sending;
        this.drop(entry.body.client_key);
        this.attempt = 0;
        this.on.sent(entry, reply);
      } catch (error) {
        why = this.judge(entry, error);
        if (why) break;
      } finally {
        this.inFlight = null;
      }
    }
    this.busy = false;
    if (why === "unreachable") {
      const wait = RETRY_S[Math.min(this.attempt++, RETRY_S.length - 1)];
      this.timer = setTimeout(() => this.flush(), wait * 1000);
    }
    this.on.changed(this.entries(), why);
  }

  waiting() {
    return this.entries().filter((entry) => !entry.refused);
  }

  // Why sending stops here; empty where only this answer is refused, which is kept until the person has seen it.
  judge(entry, error) {
    if (!(error instanceof Refused) || error.status >= 500 || error.status === 429) return "unreachable";
    if (error.status === 401) return "signed out";
    if (error.error.kind === "ForgedRequest") return "stale";
    entry.refused = error.error;
    this.memory.set(entry.body.client_key, entry);
    this.keep(entry);
    this.on.refused(entry, error.error);
    return "";
  }
}
