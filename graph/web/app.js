// The page: draws the client's state, and turns what a student does into calls of the client.

import { History } from "./history.js";
import { HubClient, HubProblem } from "./hub-client.js";
import { answerOf, exampleList, make, offlineNotice, typing } from "./view.js";
import { said } from "./words.js";

const HINTS_KEY = "hub-hints";
const at = (id) => document.getElementById(id);
const client = new HubClient();
const answers = new History();
const opened = new Set(); // the earlier answers that are unfolded
const START = { name: "idle", question: null, answer: null, problem: null };
let hints = { crisis: null, contacts: [], examples: [], intents: {} };
let shown = client.state; // the client's state, or an earlier answer that the address asks for

client.addEventListener("state", ({ detail }) => {
  if (detail.answer) answers.add(detail.question, detail.answer);
  draw(detail);
});

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("question").value.trim();
  if (text) ask(text);
});
at("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("ask").requestSubmit();
});
at("question").addEventListener("input", fit);
at("forget").addEventListener("click", () => {
  answers.clear();
  draw(shown);
  at("question").focus();
});
// The question is in the fragment: it can be shared, and never reaches an access log.
addEventListener("popstate", show);
addEventListener("hashchange", show);

draw(shown);
show();
readHints();

function ask(text) {
  const link = `#${new URLSearchParams({ q: text })}`;
  if (location.hash !== link) history.pushState(null, "", link);
  at("question").value = text;
  fit();
  client.ask(text).catch((error) => {
    if (!(error instanceof HubProblem) && error.name !== "AbortError") throw error;
  });
}

/** Show what the address asks for: from this session where it is known, else by asking. */
function show() {
  const text = new URLSearchParams(location.hash.slice(1)).get("q")?.trim().slice(0, 2000);
  if (!location.hash && shown.answer) {
    at("question").value = "";
    fit();
    return draw(START);
  }
  if (!text || text === shown.question) return;
  const known = answers.find(text);
  if (!known) return ask(text);
  at("question").value = text;
  fit();
  draw({ name: known.answer.outcome, question: text, answer: known.answer, problem: null });
}

function draw(state) {
  shown = state;
  const { name, question, answer, problem } = state;
  const focused = document.activeElement;
  document.body.dataset.state = name;
  at("said").textContent = said(state);
  at("refused").replaceChildren(...(problem ? [refusal(problem, question)] : []));
  at("offline").hidden = name !== "offline";
  const waiting = answer ? null : question;
  at("offline").replaceChildren(
    ...(name === "offline" ? offlineNotice({ question: waiting, hints }) : []),
  );
  at("now").replaceChildren(
    ...(name === "typing" ? typing(question) : answer ? drawn({ question, answer }) : []),
  );
  at("start").hidden = name !== "idle" || answers.entries.length > 0 || hints.examples.length === 0;
  drawHistory(answer);
  // What was pressed is gone: whoever uses no mouse goes on at what came of it.
  if (!focused.isConnected || focused.closest("[hidden]")) at("now").focus();
}

function drawn({ question, answer, isEarlier = false }) {
  const id = answer.interaction_id;
  return answerOf({
    question,
    answer,
    hints,
    ask,
    isEarlier,
    score: answers.find(question)?.score ?? null,
    thumb: (score) => {
      answers.setScore(id, score);
      return client.sendFeedback(id, score);
    },
  });
}

function drawHistory(answer) {
  const earlier = answers.entries.filter(
    (one) => one.answer.interaction_id !== answer?.interaction_id,
  );
  at("earlier").hidden = earlier.length === 0;
  at("history").replaceChildren(
    ...earlier.map((one) => {
      const id = one.answer.interaction_id;
      const body = make("div");
      const toggled = () => {
        opened[details.open ? "add" : "delete"](id);
        if (details.open && !body.hasChildNodes()) body.append(...drawn({ ...one, isEarlier: true }));
      };
      const summary = make("summary", { dir: "auto" }, one.question);
      const details = make("details", { ontoggle: toggled, open: opened.has(id) }, summary, body);
      return details;
    }),
  );
}

function refusal(problem, question) {
  const wait = problem.retryAfterS ? ` Try again in ${problem.retryAfterS} s.` : "";
  const again = make("button", { type: "button", class: "quiet", onclick: () => ask(question) }, "Try again");
  return make("span", {}, `${problem.message}${wait} `, again);
}

/** Read what is shown besides answers; the last known is at hand when the hub is away. */
async function readHints() {
  try {
    hints = JSON.parse(localStorage.getItem(HINTS_KEY)) ?? hints;
  } catch {
    // Forbidden or damaged: what the hub says next counts.
  }
  try {
    hints = await client.hints();
    localStorage.setItem(HINTS_KEY, JSON.stringify(hints));
  } catch (error) {
    console.info("hints:", error.message);
  }
  at("examples").replaceChildren(...exampleList(hints.examples, ask).children);
  draw(shown);
}

/** Let the box grow with what is typed. */
function fit() {
  const box = at("question");
  box.rows = 1;
  while (box.scrollHeight > box.clientHeight + 2 && box.rows < 8) box.rows += 1;
}
