// The contract of the Student Resource Hub, for any frontend. No dependencies; types in
// hub-client.d.ts. A frontend listens for "state" and draws what it is given:
//
//   idle → typing → answered | confused | rephrase | offline
//
// Only the API's fields are used: nothing here knows a model, an intent or a threshold.

export const TYPING_MS = 800; // "Typing…" lasts at least so long, or it would flicker
export const PATIENCE_MS = 10_000; // an answer later than this is no answer
export const POLL_MS = 2_000; // between two looks for a server that is away, before jitter
const MAX_POLL_MS = 15_000;
const MAX_THUMBS = 200;
const THUMBS_KEY = "hub-thumbs";
const SESSION_KEY = "hub-session";
const SESSION_HEADER = "X-Hub-Session";
const OUTCOMES = ["answered", "confused", "rephrase"];

/** The hub understood the request and refused it: RFC 9457 problem details. */
export class HubProblem extends Error {
  constructor(problem, retryAfterS = null) {
    super(problem.detail || problem.title || "The hub refused the request.");
    this.name = "HubProblem";
    this.problem = problem;
    this.status = problem.status;
    this.retryAfterS = retryAfterS;
  }
}

class Away extends Error {}

/** Asks, keeps the state, keeps thumbs until they are delivered, notices when the hub is away. */
export class HubClient extends EventTarget {
  #base;
  #crossOrigin;
  #storage;
  #session = null;
  #state = Object.freeze({ name: "idle", question: null, answer: null, problem: null });
  #asking = null;
  #pending = null;
  #polling = null;
  #delivering = null;

  constructor({ baseUrl = "", storage = openStorage() } = {}) {
    super();
    this.#base = baseUrl.replace(/\/$/, "");
    this.#crossOrigin = new URL(this.#base || "/", location.href).origin !== location.origin;
    this.#storage = storage;
    // Thumbs that were kept over a reload are taken from the session that asked, and no other.
    if (this.#crossOrigin) this.#session = storage.getItem(SESSION_KEY);
    addEventListener("offline", () => this.#goOffline());
    addEventListener("online", () => this.#lookAgain(0));
    if (navigator.onLine === false) this.#goOffline();
    else this.#deliver();
  }

  /** What to draw now: {name, question, answer, problem}, frozen. */
  get state() {
    return this.#state;
  }

  /**
   * Ask; a question still on its way is given up for it. Resolves to the state that it led to, of
   * which "offline" is one: the question is then asked again by itself as soon as the hub is back.
   * Rejects with HubProblem (the state is idle again, and names it), and with AbortError.
   */
  async ask(text, { signal } = {}) {
    signal?.throwIfAborted();
    this.#asking?.abort(superseded());
    this.#stopPolling();
    return this.#ask({ text, requestId: newId(), signal });
  }

  /**
   * Give a thumb: 1 or -1; the last one for an answer wins. Resolves to "stored", to "pending"
   * (the hub has it, its database not yet), or to "kept": here, until it can be delivered.
   */
  async sendFeedback(interactionId, score, comment = null) {
    const thumbs = this.#thumbs();
    delete thumbs[interactionId]; // so that it goes last, as the newest
    thumbs[interactionId] = comment ? { score, comment } : { score };
    this.#keep(thumbs);
    const delivered = await this.#deliver();
    return delivered[interactionId] ?? "kept";
  }

  /** What a page shows besides answers: {crisis, contacts, examples, intents}. */
  async hints() {
    return this.#call("/v1/hints");
  }

  /** Stop timers and requests; the client is of no use afterwards. */
  close() {
    this.#asking?.abort(superseded());
    this.#stopPolling();
  }

  async #ask(pending) {
    const asking = new AbortController();
    const giveUp = () => asking.abort(pending.signal.reason);
    pending.signal?.addEventListener("abort", giveUp, { once: true });
    this.#asking = asking;
    this.#pending = pending;
    this.#set("typing", { question: pending.text });
    const flicker = wait(TYPING_MS, asking.signal);
    flicker.catch(() => {});
    try {
      const body = { text: pending.text, request_id: pending.requestId };
      const [found] = await Promise.allSettled([
        this.#call("/v1/query", { body, signal: asking.signal }),
        flicker,
      ]);
      asking.signal.throwIfAborted();
      if (found.status === "rejected") throw found.reason;
      if (!OUTCOMES.includes(found.value.outcome)) throw new Away("not an answer of this contract");
      this.#pending = null;
      return this.#set(found.value.outcome, { question: pending.text, answer: found.value });
    } catch (error) {
      if (asking.signal.aborted) {
        // Whoever asked anew has set the state already.
        if (this.#asking === asking) this.#idle();
        throw asking.signal.reason;
      }
      if (error instanceof Away) return this.#goOffline();
      this.#pending = null;
      this.#set("idle", { question: pending.text, problem: error });
      throw error;
    } finally {
      pending.signal?.removeEventListener("abort", giveUp);
      if (this.#asking === asking) this.#asking = null;
    }
  }

  /** Call the API. Throws HubProblem for a problem document, Away for anything else that is no answer. */
  async #call(path, { body, signal } = {}) {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), PATIENCE_MS);
    const giveUp = () => late.abort();
    signal?.addEventListener("abort", giveUp, { once: true });
    const headers = { Accept: "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    if (this.#crossOrigin && this.#session) headers[SESSION_HEADER] = this.#session;
    try {
      const response = await fetch(this.#base + path, {
        method: body ? "POST" : "GET",
        body: body && JSON.stringify(body),
        headers,
        cache: "no-store",
        signal: late.signal,
      });
      const session = response.headers.get(SESSION_HEADER);
      if (session && this.#crossOrigin) this.#storage.setItem(SESSION_KEY, session);
      this.#session = session ?? this.#session;
      const type = response.headers.get("Content-Type") ?? "";
      if (response.ok && type.includes("json")) return await response.json();
      if (!type.includes("problem+json")) throw new Away(`status ${response.status}`);
      const retryAfter = Number.parseInt(response.headers.get("Retry-After"), 10);
      throw new HubProblem(await response.json(), Number.isNaN(retryAfter) ? null : retryAfter);
    } catch (error) {
      throw error instanceof HubProblem ? error : new Away(String(error));
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  }

  #set(name, { question = null, answer = null, problem = null } = {}) {
    this.#state = Object.freeze({ name, question, answer, problem });
    this.dispatchEvent(new CustomEvent("state", { detail: this.#state }));
    return this.#state;
  }

  #idle() {
    this.#pending = null;
    return this.#set("idle");
  }

  #goOffline() {
    const { name, question, answer } = this.#state;
    this.#lookAgain(POLL_MS);
    if (name === "offline") return this.#state;
    if (this.#pending) return this.#set("offline", { question: this.#pending.text });
    // Nobody asked: the network went while an answer was being read, and that stays.
    return this.#set("offline", { question: answer && question, answer });
  }

  /** Poll /v1/readyz until it answers, ever less often; then go on where we stopped. */
  #lookAgain(delayMs) {
    this.#stopPolling();
    const jittered = delayMs * (0.5 + Math.random()); // or every client would come back at once
    this.#polling = setTimeout(async () => {
      try {
        const { ready } = await this.#call("/v1/readyz");
        if (!ready) throw new Away("not ready");
      } catch {
        this.#lookAgain(Math.min(MAX_POLL_MS, Math.max(POLL_MS, delayMs * 1.5)));
        return;
      }
      this.#polling = null;
      this.#deliver();
      if (this.#state.name !== "offline" || this.#asking) return;
      const pending = this.#pending;
      const { question, answer } = this.#state;
      // Its request_id is the same: should the first one have arrived, this is not a second.
      if (pending && !pending.signal?.aborted) this.#ask(pending).catch(() => {});
      else if (answer) this.#set(answer.outcome, { question, answer });
      else this.#idle();
    }, jittered);
  }

  #stopPolling() {
    clearTimeout(this.#polling);
    this.#polling = null;
  }

  /** Send what is kept, oldest first; return what became of each. One delivery runs at a time. */
  async #deliver() {
    while (this.#delivering) await this.#delivering;
    this.#delivering = this.#deliverKept();
    try {
      return await this.#delivering;
    } finally {
      this.#delivering = null;
    }
  }

  async #deliverKept() {
    const delivered = {};
    for (const [interactionId, thumb] of Object.entries(this.#thumbs())) {
      try {
        const body = { interaction_id: interactionId, ...thumb };
        delivered[interactionId] = (await this.#call("/v1/feedback", { body })).status;
      } catch (error) {
        const comesAgain = !(error instanceof HubProblem) || [429, 503].includes(error.status);
        if (comesAgain) {
          if (!this.#polling) this.#lookAgain(1_000 * (error.retryAfterS ?? POLL_MS / 1_000));
          break;
        }
      }
      const thumbs = this.#thumbs();
      // Pressed again meanwhile: the newer one is still to go.
      if (JSON.stringify(thumbs[interactionId]) === JSON.stringify(thumb)) {
        delete thumbs[interactionId];
        this.#keep(thumbs);
      }
    }
    return delivered;
  }

  #thumbs() {
    try {
      return JSON.parse(this.#storage.getItem(THUMBS_KEY)) ?? {};
    } catch {
      return {};
    }
  }

  #keep(thumbs) {
    const newest = Object.entries(thumbs).slice(-MAX_THUMBS);
    this.#storage.setItem(THUMBS_KEY, JSON.stringify(Object.fromEntries(newest)));
  }
}

function superseded() {
  return new DOMException("Another question was asked.", "AbortError");
}

function wait(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)));
  });
}

/** A random UUID, also on a page that came over plain HTTP, where crypto.randomUUID is missing. */
function newId() {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte, place) =>
    (place === 6 ? (byte & 15) | 64 : place === 8 ? (byte & 63) | 128 : byte)
      .toString(16)
      .padStart(2, "0"),
  );
  return hex.join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** localStorage, or memory where the browser forbids it. */
function openStorage() {
  try {
    localStorage.setItem("hub-probe", "1");
    localStorage.removeItem("hub-probe");
    return localStorage;
  } catch {
    const kept = new Map();
    return {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
      removeItem: (key) => void kept.delete(key),
    };
  }
}
