// The conversation: what is asked, what comes back, what is kept of it, and who presses what.

import { Problem, call, events, sentence, stored } from "./server.js";
import { blank, draw, jump, spoken, unfold } from "./view.js";

const MOST_CHARS = 100_000; // of one answer; a model that does not end would fill the memory
const MOST_SENT = 60_000; // characters of earlier exchanges that go along with a question
const MOST_TURNS = 40;

const at = (id) => document.getElementById(id);
const input = at("question");
const talk = []; // exchanges, the oldest first
const roots = new Map(); // exchange -> its element
let running = null; // {exchange, abort} of the answer that is coming

// ---- asking -------------------------------------------------------------------------------------------------------

const fresh = () => ({
  state: "answering", id: null, text: "", thought: "", sources: [], query: "", abstained: false, quoted: false, ungrounded: [],
  finish: null, problem: "", edit: false, rating: null, comment: "", commenting: false, receipt: "",
});

/** What the server is told: the latest exchanges that were answered, and the question. */
function messages(exchange) {
  const turns = [{ role: "user", content: exchange.question }];
  let size = 0;
  for (const earlier of talk.slice(0, talk.indexOf(exchange)).reverse()) {
    if (!earlier.text.trim()) continue;
    size += earlier.question.length + earlier.text.length;
    if (size > MOST_SENT || turns.length + 2 > MOST_TURNS) break;
    turns.unshift({ role: "user", content: earlier.question }, { role: "assistant", content: earlier.text });
  }
  return turns;
}

function ask(question) {
  const exchange = { question, ...fresh() };
  talk.push(exchange);
  show(exchange);
  answer(exchange);
  roots.get(exchange).scrollIntoView({ block: "start" });
}

/** Answers an exchange, anew where it was answered before. */
async function answer(exchange, seed) {
  const abort = new AbortController();
  Object.assign(exchange, fresh());
  running = { exchange, abort };
  show(exchange);
  frame();
  announce("Searching the catalogue");
  save();
  try {
    const body = { messages: messages(exchange), stream: true, ...(seed !== undefined && { seed }) };
    const response = await call("v1/chat/completions", body, abort.signal);
    for await (const event of events(response.body)) take(exchange, event);
    exchange.state = "done";
  } catch (error) {
    if (abort.signal.aborted) exchange.state = "stopped";
    else fail(exchange, error);
  }
  if (running?.exchange === exchange) running = null;
  frame();
  if (!talk.includes(exchange)) return; // a new conversation was begun meanwhile
  show(exchange);
  save();
  if (exchange.state === "done") introduce().catch(() => {});
  announce(exchange.problem || (exchange.state === "stopped" ? "Stopped." : spoken(roots.get(exchange))));
}

function take(exchange, event) {
  if (event.error) throw new Problem(sentence(event.error.message ?? "the answer broke off"));
  exchange.id = event.id ?? exchange.id;
  const choice = event.choices?.[0];
  if (!choice) return;
  const delta = choice.delta ?? {};
  exchange.text += delta.content ?? "";
  exchange.thought += delta.reasoning_content ?? "";
  exchange.finish = choice.finish_reason ?? exchange.finish;
  for (const name of ["sources", "query", "abstained", "quoted", "ungrounded"]) exchange[name] = delta[name] ?? exchange[name];
  if (exchange.text.length + exchange.thought.length > MOST_CHARS) throw new Problem("The answer did not come to an end.");
  redraw(exchange);
}

function fail(exchange, error) {
  const known = error instanceof Problem;
  if (!known) console.error(error);
  Object.assign(exchange, { state: "failed", problem: known ? error.message : "Something went wrong on this page.", edit: known && error.edit });
}

const voting = new Set(); // ids of answers whose rating is on its way: a second one could arrive before it
async function rate(exchange, rating, comment) {
  const { id } = exchange;
  if (voting.has(id)) return;
  voting.add(id);
  const before = { rating: exchange.rating, comment: exchange.comment };
  const said = comment !== undefined;
  Object.assign(exchange, { rating, comment: comment ?? "", commenting: Boolean(rating) && !said, receipt: "" });
  show(exchange);
  if (exchange.commenting) roots.get(exchange).querySelector(".comment").scrollIntoView({ block: "nearest" });
  let after;
  try {
    await call("v1/feedback", { id, rating, ...(comment && { comment }) });
    after = { receipt: said ? "Thank you: your comment is kept." : rating ? "Thank you." : "Taken back." };
  } catch (error) {
    after = { ...before, commenting: said && Boolean(before.rating), receipt: error.message };
  }
  voting.delete(id);
  if (exchange.id !== id || !talk.includes(exchange)) return; // answered again meanwhile, or gone
  Object.assign(exchange, after);
  show(exchange);
  announce(exchange.receipt);
  save();
}

// ---- what is shown and kept ---------------------------------------------------------------------------------------

function show(exchange) {
  if (!roots.has(exchange)) {
    roots.set(exchange, blank());
    at("conversation").append(roots.get(exchange));
  }
  draw(roots.get(exchange), exchange);
}

let due = null;
function redraw(exchange) {
  due ??= requestAnimationFrame(() => {
    due = null;
    if (talk.includes(exchange)) show(exchange);
  });
}

/** Shows what there is around the exchanges; the button sends, or stops the answer that is coming. */
function frame() {
  at("welcome").hidden = talk.length > 0;
  at("new").hidden = talk.length === 0;
  const label = running ? "Stop" : "Send";
  at("send").classList.toggle("stopping", Boolean(running));
  at("send").setAttribute("aria-label", label);
  at("send").title = label;
  if (running && document.activeElement === document.body) at("send").focus(); // what was pressed is gone
}

function announce(words) {
  at("status").textContent = words;
}

/** Keeps the conversation for a reload, without its oldest exchanges where it is too large to keep. */
function save() {
  stored((kept) => kept.removeItem("talk"));
  for (let first = 0; first < talk.length; first++) {
    if (stored((kept) => kept.setItem("talk", JSON.stringify(talk.slice(first))) ?? true)) return;
  }
}

function restore() {
  const kept = stored((storage) => JSON.parse(storage.getItem("talk")));
  for (const exchange of Array.isArray(kept) ? kept : []) {
    const whole = { ...fresh(), ...exchange, commenting: false, receipt: "" };
    if (whole.state === "answering") whole.state = "stopped";
    talk.push(whole);
    show(whole);
  }
  frame();
  roots.get(talk.at(-1))?.scrollIntoView({ block: "start" });
}

/** Takes exchanges out of the conversation. */
function forget(exchanges) {
  for (const exchange of exchanges) {
    talk.splice(talk.indexOf(exchange), 1);
    roots.get(exchange).remove();
    roots.delete(exchange);
  }
  save();
  frame();
  input.focus();
}

function begin() {
  running?.abort.abort();
  running = null;
  forget([...talk]);
  announce("A new conversation.");
}

/** A question of the catalogue that can be pressed. */
function example(question) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dir = "auto";
  button.textContent = question;
  item.append(button);
  return item;
}

let named = false;
async function introduce() {
  if (named) return;
  const { data: [{ name, examples }] } = await (await call("v1/models")).json();
  at("examples").replaceChildren(...examples.map(example));
  at("name").textContent = document.title = name.charAt(0).toUpperCase() + name.slice(1);
  named = true;
}

// ---- who presses what ---------------------------------------------------------------------------------------------

function send() {
  const question = input.value.trim();
  if (!question || running) return input.focus();
  input.value = "";
  ask(question);
}

function press(event) {
  const button = event.target.closest("button");
  const root = event.target.closest(".exchange");
  const exchange = talk.find((one) => roots.get(one) === root);
  if (!button || !exchange) return;
  const is = (name) => button.classList.contains(name);
  if (is("cite")) jump(root, button.dataset.number);
  else if (is("more")) unfold(button);
  else if (is("up") || is("down")) {
    const rating = is("up") ? "up" : "down";
    rate(exchange, exchange.rating === rating ? null : rating);
  } else if (is("skip")) {
    exchange.commenting = false;
    show(exchange);
    root.querySelector(`.${exchange.rating}`)?.focus();
  } else if (running) return;
  else if (is("redo") || (is("again") && !exchange.edit)) answer(exchange, Math.floor(Math.random() * 2 ** 31));
  else if (is("again")) {
    input.value = exchange.question;
    forget([exchange]);
  }
}

at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) running.abort.abort();
  else send();
});
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!running) send();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || at("entry").open) return;
  if (running) running.abort.abort();
  else event.target.closest?.(".comment")?.querySelector(".skip").click();
});
at("conversation").addEventListener("click", press);
at("conversation").addEventListener("submit", (event) => {
  event.preventDefault();
  const exchange = talk.find((one) => roots.get(one) === event.target.closest(".exchange"));
  rate(exchange, exchange.rating, event.target.querySelector("textarea").value.trim());
});
at("examples").addEventListener("click", (event) => {
  if (event.target.matches("button") && !running) ask(event.target.textContent);
});
at("new").addEventListener("click", begin);
at("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  at("entry").close("given");
});
at("entry-cancel").addEventListener("click", () => at("entry").close());
addEventListener("beforeunload", () => running?.abort.abort()); // else its stream fails, which looks like the server's fault
addEventListener("pagehide", save);

restore();
introduce().catch(() => {}); // the next question says what is wrong
