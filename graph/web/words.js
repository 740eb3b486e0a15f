// Words: which of a text match a question, and how things are said.

const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)?/gu;
const TOO_COMMON = new Set(
  ("a about all am an and any are as at be been but by can cant could did do does dont for from get " +
    "got had has have how i if im in into is it its just me my need no not of on or our out so that the " +
    "their them then there they this to too up us want was we were what when where which who why will " +
    "with would you your").split(" "),
);
const SHORTEST_STEM = 4;
const ENDINGS = /(?:ations?|ings?|ed|es|ly|als?|s|e)$/;

/** Cut a text into [piece, matches] pairs; a piece matches when the question has the same word. */
export function matches(text, question) {
  const asked = new Set((question.match(WORD) ?? []).map(stem).filter(Boolean));
  const pieces = [];
  let from = 0;
  for (const found of text.matchAll(WORD)) {
    if (!asked.has(stem(found[0]))) continue;
    if (found.index > from) pieces.push([text.slice(from, found.index), false]);
    pieces.push([found[0], true]);
    from = found.index + found[0].length;
  }
  if (from < text.length) pieces.push([text.slice(from), false]);
  return pieces;
}

function stem(word) {
  const plain = word.toLowerCase().replace(/['’]/g, "");
  if (TOO_COMMON.has(plain)) return "";
  const cut = plain.replace(ENDINGS, "");
  return cut.length >= SHORTEST_STEM ? cut : plain;
}

/** What a person reads for an intent: its title, or its name without underscores. */
export function titleOf(intent, titles) {
  if (Object.hasOwn(titles, intent)) return titles[intent];
  const words = intent.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function percent(share) {
  return `${Math.round(100 * share)}\u00a0%`;
}

/** One sentence for a screen reader. */
export function said({ name, answer, problem }) {
  if (name === "typing") return "Typing…";
  if (name === "offline") return "The hub cannot be reached. Essential contacts are shown.";
  if (name === "idle") return problem ? "" : "Ready."; // a problem is an alert of its own
  const found = answer.results.length;
  const count = found === 0 ? "Nothing found." : `${found} ${found === 1 ? "result" : "results"}.`;
  return [answer.crisis?.title, answer.message, count].filter(Boolean).join(" ");
}
