// The server, as the page speaks to it: requests with the key, streams of events, refusals as sentences.

const at = (id) => document.getElementById(id);

/** Something that went wrong, as a sentence for the reader. edit: asking the same again would not help. */
export class Problem extends Error {
  constructor(sentence, edit = false) {
    super(sentence);
    this.edit = edit;
  }
}

/** What act(sessionStorage) gives; undefined where storage is forbidden or full: the page works without. */
export function stored(act) {
  try {
    return act(sessionStorage);
  } catch {
    return undefined;
  }
}
let key = stored((kept) => kept.getItem("key"));

/** A request with the key, which is asked for where the server wants one. Raises Problem. */
export async function call(path, body, signal) {
  for (;;) {
    const sent = key;
    const headers = { ...(sent && { authorization: `Bearer ${sent}` }), ...(body && { "content-type": "application/json" }) };
    let response;
    try {
      response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Problem("The server cannot be reached.");
    }
    if (response.ok) return response;
    if (response.status !== 401) throw await refusal(response);
    if (key === sent && !(await enter(sent))) throw new Problem("The assistant answers only with a key.");
  }
}

async function refusal(response) {
  const said = await response.json().catch(() => null);
  const seconds = Number(response.headers.get("retry-after"));
  if (response.status === 429) {
    return new Problem(`The assistant is busy: try again${seconds ? ` in ${seconds} seconds` : " in a moment"}.`);
  }
  return new Problem(sentence(said?.error?.message ?? `the server answered ${response.status}`), [400, 413].includes(response.status));
}

export function sentence(words) {
  const text = String(words).trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

let entering = null; // one dialog for all requests that wait for a key
function enter(refused) {
  entering ??= new Promise((resolve) => {
    const dialog = at("entry");
    at("entry-why").textContent = refused ? "That key was not accepted." : "This assistant answers only those who have its key.";
    at("key").value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      const given = at("key").value.trim();
      const usable = dialog.returnValue === "given" && /^[\x21-\x7e]+$/.test(given);
      at("key").value = "";
      entering = null;
      if (usable) {
        key = given;
        stored((kept) => kept.setItem("key", key));
      }
      resolve(usable);
    }, { once: true });
    dialog.showModal();
  });
  return entering;
}

/** The events of a stream, parsed, until [DONE]. Raises Problem where it ends without. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Problem("The answer broke off before its end.");
      const parts = (held + value).split("\n\n");
      held = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
        if (data === "[DONE]") return;
        if (data) yield JSON.parse(data);
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Problem) throw error;
    throw new Problem("The answer broke off before its end.");
  } finally {
    reader.cancel().catch(() => {});
  }
}
