// The answers of this session: readable when the hub is away, and gone with the tab.

const KEY = "hub-answers";
const MOST = 20;

/** Newest first: [{question, answer, score}]. */
export class History {
  #entries;

  constructor() {
    try {
      this.#entries = JSON.parse(sessionStorage.getItem(KEY)) ?? [];
    } catch {
      this.#entries = [];
    }
  }

  get entries() {
    return this.#entries;
  }

  add(question, answer) {
    const others = this.#entries.filter((one) => one.question !== question);
    const known = this.#entries.find(
      (one) => one.answer.interaction_id === answer.interaction_id,
    );
    this.#write([{ question, answer, score: known?.score ?? null }, ...others].slice(0, MOST));
  }

  find(question) {
    return this.#entries.find((one) => one.question === question);
  }

  setScore(interactionId, score) {
    const changed = (one) =>
      one.answer.interaction_id === interactionId ? { ...one, score } : one;
    this.#write(this.#entries.map(changed));
  }

  clear() {
    this.#write([]);
  }

  #write(entries) {
    this.#entries = entries;
    try {
      sessionStorage.setItem(KEY, JSON.stringify(entries));
    } catch {
      // Full or forbidden: this page still shows them, only a reload would not.
    }
  }
}
