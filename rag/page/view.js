// What is seen: an exchange (a question and what became of it) as DOM nodes. What others wrote becomes text nodes alone.

const LONG_PASSAGE = 220; // characters, above which a card shows its beginning
const drawn = new WeakMap(); // a block's element -> the source it was drawn from

// ---- a small part of Markdown: paragraphs, lists, headings, code, bold, italics, citations ------------------------

/** Cuts a text into blocks: {kind: "p" | "h" | "ul" | "ol" | "code", lines, start}. */
export function blocks(text) {
  const all = [];
  let open = null, gap = false;
  const begin = (kind, line, start) => all.push((open = { kind, lines: line === null ? [] : [line], start }));
  for (const line of text.split("\n")) {
    const fence = /^\s*```/.test(line);
    if (open?.kind === "code") {
      if (fence) open = null;
      else open.lines.push(line);
      continue;
    }
    const item = /^\s*(?:[-*•]|(\d{1,4})[.)])\s+(.*)$/.exec(line);
    const heading = /^\s*#{1,6}\s+(.*)$/.exec(line);
    const kind = item ? (item[1] ? "ol" : "ul") : null;
    if (fence) begin("code", null);
    else if (!line.trim()) gap = true;
    else if (heading) begin("h", heading[1]), (open = null);
    else if (item && open?.kind === kind) open.lines.push(item[2]);
    else if (item) begin(kind, item[2], Number(item[1] ?? 1));
    else if (open && !gap && open.kind !== "p") open.lines[open.lines.length - 1] += ` ${line.trim()}`;
    else if (open?.kind === "p" && !gap) open.lines.push(line.trim());
    else begin("p", line.trim());
    if (line.trim()) gap = false;
  }
  return all;
}

const MARKS = new RegExp(
  [
    /\*\*(?=\S)(.+?)\*\*/, // 1 bold
    /`([^`]+)`/, // 2 code
    /\[(\d{1,4})\]/, // 3 citation
    /\[([^[\]]{1,200})\]\((https?:\/\/[^\s()]{1,500})\)/, // 4, 5 link
    /(?<![\w*])\*(?=[^\s*])([^*]+)\*(?![\w*])/, // 6 italics
  ].map((mark) => mark.source).join("|"),
  "g",
);

/** The numbers that are shown as citations: in code [1] is an index. */
const citedIn = (node) => new Set([...node.querySelectorAll(".cite")].map((button) => Number(button.dataset.number)));

/** Appends a line's text to parent. known: {number -> source}; only links of sources can be followed. */
function inline(parent, text, known) {
  let place = 0;
  for (const found of text.matchAll(MARKS)) {
    const [whole, bold, code, number, words, address, italics] = found;
    parent.append(text.slice(place, found.index));
    place = found.index + whole.length;
    if (code) parent.append(element("code", code));
    else if (number) parent.append(known.has(Number(number)) ? citation(known.get(Number(number))) : whole);
    else if (address) parent.append(isOf(known, address) ? link(address, words) : words);
    else inline(parent.appendChild(element(bold ? "strong" : "em")), bold ?? italics, known);
  }
  parent.append(text.slice(place));
}

function block({ kind, lines, start }, known) {
  if (kind === "code") {
    const pre = element("pre");
    pre.tabIndex = 0; // it may scroll, and a keyboard must be able to
    pre.append(element("code", lines.join("\n")));
    return pre;
  }
  const node = element(kind === "h" ? "h3" : kind);
  if (kind === "ol") node.start = start;
  for (const [place, line] of lines.entries()) {
    if (kind !== "p") inline(kind === "h" ? node : node.appendChild(element("li")), line, known);
    else {
      if (place) node.append(element("br"));
      inline(node, line, known);
    }
  }
  return node;
}

/** Makes container show text; blocks that are there already stay as they are. */
function write(container, text, sources) {
  const known = new Map(sources.map((source) => [source.number, source]));
  const wanted = blocks(text);
  wanted.forEach((one, place) => {
    const source = JSON.stringify(one);
    const there = container.children[place];
    if (there && drawn.get(there) === source) return;
    const node = block(one, known);
    drawn.set(node, source);
    if (there) there.replaceWith(node);
    else container.append(node);
  });
  while (container.children.length > wanted.length) container.lastElementChild.remove();
}

function citation(source) {
  const button = element("button", String(source.number));
  button.type = "button";
  button.className = "cite";
  button.dataset.number = source.number;
  button.title = source.title;
  button.setAttribute("aria-label", `Source ${source.number}: ${source.title}`);
  return button;
}

const isOf = (known, address) => [...known.values()].some((source) => source.link === address);

// ---- an exchange --------------------------------------------------------------------------------------------------

/** An empty exchange from its template. */
export const blank = () => document.getElementById("exchange").content.firstElementChild.cloneNode(true);

/** Makes the element show the exchange as it is now. */
export function draw(root, exchange) {
  const part = (name) => root.querySelector(name);
  const under = exchange.state === "answering";
  root.setAttribute("aria-busy", under);
  part(".question").textContent = exchange.question;
  drawThoughts(part(".thoughts"), exchange, under);
  tell(part(".waiting"), under && !exchange.text ? waiting(exchange) : "");
  write(part(".text"), exchange.text, exchange.sources);
  tell(part(".note"), under ? "" : note(exchange));
  drawUnborne(part(".unborne"), under ? [] : exchange.ungrounded);
  const problem = part(".problem");
  problem.hidden = !exchange.problem;
  part(".problem p").textContent = exchange.problem;
  part(".problem .again").textContent = exchange.edit ? "Change the question" : "Try again";
  drawActions(root, exchange, under);
  drawSources(part(".sources"), exchange, citedIn(part(".text")), under);
}

function waiting({ thought, sources }) {
  if (thought) return "";
  return sources.length ? `Reading ${count(sources.length, "entry", "entries")}` : "Searching the catalogue";
}

function note({ state, finish, text, thought, quoted }) {
  if (state === "stopped") return "Stopped.";
  if (quoted) return "The model gave no answer: these are sentences of the sources.";
  if (finish === "length") return text || !thought ? "The answer ended at its length limit." : "It ran out of room while thinking.";
  return "";
}

function drawThoughts(details, { thought, text }, under) {
  details.hidden = !thought;
  const thinking = under && !text;
  details.classList.toggle("going", thinking);
  details.querySelector("summary").textContent = thinking ? "Thinking" : "Thoughts";
  write(details.querySelector(".thought"), thought, []);
}

function drawUnborne(details, sentences) {
  details.hidden = !sentences.length;
  const what = count(sentences.length, "sentence that no source bears out", "sentences that no source bears out");
  details.querySelector("summary").textContent = `Check ${what}`;
  details.querySelector("ul").replaceChildren(...sentences.map((sentence) => element("li", sentence)));
}

function drawActions(root, { state, id, rating, receipt, commenting, comment }, under) {
  const part = (name) => root.querySelector(name);
  part(".actions").hidden = under || state === "failed";
  for (const name of ["up", "down"]) {
    part(`.${name}`).hidden = state !== "done" || !id;
    part(`.${name}`).setAttribute("aria-pressed", rating === name);
  }
  part(".receipt").textContent = receipt;
  const form = part(".comment");
  if (form.hidden && commenting) form.querySelector("textarea").value = comment;
  form.hidden = !commenting;
  form.querySelector("label span").textContent = rating === "up" ? "What was good? (optional)" : "What was wrong? (optional)";
}

function drawSources(details, { sources, question, query, abstained }, cited, under) {
  details.hidden = !sources.length;
  if (!sources.length) return;
  const used = sources.filter((source) => cited.has(source.number)).length;
  const named = abstained ? `Nearest in the catalogue: ${sources.length}` : count(sources.length, "source", "sources");
  details.querySelector("summary").textContent = used && used < sources.length ? `${named}, ${used} cited` : named;
  const searched = query && query.trim() !== question.trim() ? `Searched for “${query}”` : "";
  tell(details.querySelector(".query"), searched);
  const list = details.querySelector("ol");
  const wanted = JSON.stringify(sources.map((source) => [source.number, source.title]));
  if (drawn.get(list) !== wanted) list.replaceChildren(...sources.map(card)), drawn.set(list, wanted);
  for (const item of list.children) {
    item.classList.toggle("cited", cited.has(Number(item.dataset.number)));
    item.setAttribute("aria-label", `${abstained ? "Entry" : "Source"} ${item.dataset.number}`);
  }
  const phase = under ? "coming" : "there";
  // While the answer comes the cards would push its text about; where it is none, they are of little use.
  if (drawn.get(details) !== phase) details.open = !under && !abstained;
  drawn.set(details, phase);
}

function card(source) {
  const item = document.getElementById("card").content.firstElementChild.cloneNode(true);
  item.dataset.number = source.number;
  item.querySelector(".number").textContent = source.number;
  const title = item.querySelector("h3");
  title.append(source.link && /^https?:\/\//i.test(source.link) ? link(source.link, source.title) : source.title);
  tell(item.querySelector(".passage"), source.text.trim() === source.title.trim() ? "" : source.text);
  item.querySelector(".more").hidden = source.text.length <= LONG_PASSAGE;
  item.classList.toggle("long", source.text.length > LONG_PASSAGE);
  for (const [name, value] of Object.entries(source.metadata ?? {})) {
    const pair = item.querySelector("dl").appendChild(element("div"));
    const shown = source.written?.[name] ?? (typeof value === "boolean" ? (value ? "yes" : "no") : String(value));
    pair.append(element("dt", name.replaceAll("_", " ")), element("dd", shown));
  }
  return item;
}

/** What is heard of an answer: the words that are shown, without marks and numbers of sources, a line a block. */
export function spoken(root) {
  const copy = root.querySelector(".answer").cloneNode(true);
  for (const button of copy.querySelectorAll(".cite")) button.remove();
  for (const end of copy.querySelectorAll("br")) end.replaceWith(" ");
  const shown = copy.querySelectorAll(".text :is(p, h3, li, pre), .note:not([hidden])");
  const lines = [...shown].map((node) => node.textContent.replace(/\s+/g, " ").replace(/ (?=[.,;:!?](?:\s|$))/g, "").trim());
  return lines.filter(Boolean).join("\n");
}

/** Shows the card of a source and moves the focus there. */
export function jump(root, number) {
  root.querySelector(".sources").open = true;
  const item = root.querySelector(`.card[data-number="${Number(number)}"]`);
  item?.focus({ preventScroll: true });
  item?.scrollIntoView({ block: "nearest" });
}

/** Shows all of a card's passage, or its beginning again. */
export function unfold(button) {
  const whole = button.parentElement.classList.toggle("whole");
  button.setAttribute("aria-expanded", whole);
  button.textContent = whole ? "Show less" : "Show all";
}

// ---- nodes --------------------------------------------------------------------------------------------------------

function element(name, text = "") {
  const node = document.createElement(name);
  node.append(text);
  return node;
}

function link(address, words) {
  const node = element("a", words);
  node.href = address;
  node.target = "_blank";
  node.rel = "noopener noreferrer";
  return node;
}

function tell(node, words) {
  node.hidden = !words;
  node.textContent = words;
}

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
