// What is on the screen. Everything enters as text: no string from anywhere becomes markup.

import { matches, percent, titleOf } from "./words.js";

const OUT_OF_SCOPE = "out_of_scope"; // the one intent that the contract itself names

/** Make an element: properties, then children; strings become text nodes, null is left out. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** An answer to a question: crisis card, message, choices, cards, thumbs. */
export function answerOf({ question, answer, score, hints, ask, thumb, isEarlier = false }) {
  return [
    answer.crisis && crisisCard(answer.crisis, { isEarlier }),
    !isEarlier && make("h2", { class: "asked", dir: "auto" }, question),
    answer.message && make("p", { class: "message" }, answer.message),
    understood(answer, hints.intents),
    answer.outcome === "rephrase" && hints.examples.length > 0 && forExample(hints.examples, ask),
    answer.outcome !== "answered" && didYouMean({ question, answer, hints, ask }),
    cards(answer.results, question),
    thumbs({ score, thumb }),
  ].filter(Boolean);
}

/** Of all the cards on the page, only the one on top is a landmark. */
export function crisisCard(crisis, { isEarlier = false } = {}) {
  return make(
    isEarlier ? "div" : "aside",
    { class: "crisis", "aria-label": isEarlier ? null : "Help right now" },
    make(isEarlier ? "h3" : "h2", {}, crisis.title),
    make("p", {}, crisis.text),
    make("p", { class: "calls" }, phoneLink(crisis.phone), linkTo(crisis.url, "More help")),
  );
}

/** The banner, the crisis card and the contacts: all that is left to say without a server. */
export function offlineNotice({ question, hints }) {
  const waits = question ? " Your question is kept and will be asked by itself." : "";
  return [
    make("p", { class: "banner" }, `The hub can't be reached just now; we keep trying.${waits}`),
    hints.crisis && crisisCard(hints.crisis),
    hints.contacts.length > 0 && make("h2", {}, "Essential contacts"),
    make(
      "dl",
      { class: "contacts" },
      hints.contacts.map((one) =>
        make("div", {}, make("dt", {}, one.name), make("dd", {}, phoneLink(one.phone), ` ${one.text}`)),
      ),
    ),
  ].filter(Boolean);
}

export function typing(question) {
  return [
    make("h2", { class: "asked", dir: "auto" }, question),
    make("p", { class: "typing", "aria-hidden": "true" }, "Typing", make("i"), make("i"), make("i")),
  ];
}

export function exampleList(examples, ask) {
  return make(
    "ul",
    { class: "choices" },
    examples.map((text) => make("li", {}, choice(text, () => ask(text)))),
  );
}

function forExample(examples, ask) {
  return make("div", { class: "tries" }, make("h3", {}, "For example"), exampleList(examples, ask));
}

function understood(answer, titles) {
  const parts = [];
  if (answer.degraded.includes("classifier") || answer.intent === null)
    parts.push("The part that understands questions is away: this was found by its words.");
  else if (answer.intent === OUT_OF_SCOPE)
    parts.push(
      answer.outcome === "rephrase"
        ? "I can't tell what this is about."
        : "This does not sound like something the university has written about.",
    );
  else
    parts.push(
      answer.outcome === "answered" ? "I took this as a question about " : "My best guess: ",
      make("strong", {}, titleOf(answer.intent, titles)),
      ` (${percent(answer.confidence)} sure).`,
    );
  if (answer.degraded.includes("retriever"))
    parts.push(" What the university wrote can't be looked up just now; please try again later.");
  else if (answer.degraded.includes("embedder"))
    parts.push(" Part of the search is away, so something may be missing.");
  return make("p", { class: "understood" }, ...parts);
}

function didYouMean({ question, answer, hints, ask }) {
  const others = answer.alternatives.filter(({ intent }) => intent !== OUT_OF_SCOPE);
  if (others.length === 0) return null;
  return make(
    "div",
    { class: "mean" },
    make("h3", {}, "Did you mean"),
    make(
      "ul",
      { class: "choices" },
      others.map(({ intent }) => {
        const title = titleOf(intent, hints.intents);
        return make("li", {}, choice(title, () => ask(about(title, question))));
      }),
    ),
  );
}

/**
 * The question again, saying what it is about: of four ways to say it, this one leads to what was
 * chosen most often. A second choice takes the place of the first.
 */
function about(title, question) {
  return `${question.replace(/, about [^,]{1,60}$/, "")}, about ${title.toLowerCase()}`.slice(0, 2000);
}

function cards(results, question) {
  if (results.length === 0) return make("p", { class: "nothing" }, "Nothing was found for this.");
  return make(
    "ol",
    { class: "cards" },
    results.map((result) =>
      make(
        "li",
        {},
        make("h3", { dir: "auto" }, linkTo(result.url, result.title)),
        make("p", { dir: "auto" }, ...marked(result.snippet, question)),
      ),
    ),
  );
}

function marked(text, question) {
  return matches(text, question).map(([piece, hit]) => (hit ? make("mark", {}, piece) : piece));
}

function thumbs({ score, thumb }) {
  const told = make("span", { class: "told", role: "status" });
  const button = (value, words) =>
    make(
      "button",
      {
        type: "button",
        class: value > 0 ? "thumb up" : "thumb down",
        "aria-pressed": String(score === value),
        "aria-label": words,
        onclick: async ({ currentTarget }) => {
          for (const one of currentTarget.parentElement.querySelectorAll(".thumb"))
            one.setAttribute("aria-pressed", String(one === currentTarget));
          told.textContent = "Thank you!";
          if ((await thumb(value)) === "kept")
            told.textContent = "Thank you! It is kept here until the hub is back.";
        },
      },
      make("i"),
    );
  return make(
    "div",
    { class: "thumbs", role: "group", "aria-label": "Did this help?" },
    make("span", { "aria-hidden": "true" }, "Did this help?"),
    button(1, "Yes, this helped"),
    button(-1, "No, this did not help"),
    told,
  );
}

function choice(text, onclick) {
  return make("button", { type: "button", class: "choice", onclick }, text);
}

function phoneLink(phone) {
  return make("a", { class: "phone", href: `tel:${phone.replace(/[^\d+]/g, "")}` }, phone);
}

/** A link that leads to a page; anything else (javascript:, a damaged address) stays text. */
function linkTo(url, text) {
  let target;
  try {
    target = new URL(url, location.origin);
  } catch {
    return text;
  }
  if (!["https:", "http:"].includes(target.protocol)) return text;
  return make("a", { href: target.href, rel: "noopener noreferrer" }, text);
}
