// Keeps a page as the store is: listens to what changes, asks for the page once more, and
// takes over what is different in it. Without it the page is the same, and stands still.

const { events, of } = document.getElementById("script").dataset;
const watched = JSON.parse(of);
const connection = document.getElementById("connection");

// The server is asked no more often than this, and ages grow old no longer than that.
const PAUSE_MS = 500;
const AGE_MS = 10000;

let source = null;
let timer = null;
let busy = false;
let stale = false;

function concerns(change) {
  if (watched.process === null) return true;
  if (change.process !== watched.process) return false;
  return watched.work === null || (change.what === "work" && change.work === watched.work);
}

function connect() {
  if (source !== null) return;
  source = new EventSource(events);
  source.addEventListener("ready", () => { say("live"); refresh(); });
  source.addEventListener("missed", refresh);
  source.addEventListener("changes", (event) => {
    if (JSON.parse(event.data).changes.some(concerns)) refresh();
  });
  source.addEventListener("error", () => say("not connected"));
}

function disconnect() {
  source?.close();
  source = null;
}

function say(state) {
  connection.hidden = false;
  connection.textContent = state;
  connection.className = state === "live" ? "live" : "lost";
}

// Asks for the page soon; what changes meanwhile is on it.
function refresh() {
  stale = true;
  if (timer === null && !busy) timer = setTimeout(reload, PAUSE_MS);
}

async function reload() {
  timer = null;
  busy = true;
  stale = false;
  const begun = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok) takeOver(page);
    else say(page.querySelector("h1")?.textContent ?? "not connected");
  } catch {
    say("not connected");
  }
  // A page that is long in the making is not asked for without end.
  const took = performance.now() - begun;
  setTimeout(() => { busy = false; if (stale) refresh(); }, Math.min(3 * took, AGE_MS));
}

function takeOver(page) {
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const shown = document.getElementById(fresh.id);
    if (shown !== null) become(shown, fresh);
  }
}

// Makes `shown` like `fresh`, and leaves alone what is like it already: the focus, a
// selection and what a screen reader is at stay where they are.
function become(shown, fresh) {
  if (shown.isEqualNode(fresh)) return;
  attributes(shown, fresh);
  let next = shown.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const found = match(next, wanted);
    if (found === null) {
      shown.insertBefore(document.importNode(wanted, true), next);
      continue;
    }
    if (found === next) next = next.nextSibling;
    else shown.insertBefore(found, next);
    if (found.nodeType === Node.ELEMENT_NODE) become(found, wanted);
    else if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
  }
  while (next !== null) {
    const rest = next;
    next = next.nextSibling;
    rest.remove();
  }
}

// The sibling, from `from` on, that is to become `wanted`: the one with its key, or else the
// next one if it is of the same kind.
function match(from, wanted) {
  const key = wanted.dataset?.key;
  if (key === undefined) {
    return from !== null && from.nodeName === wanted.nodeName && from.dataset?.key === undefined ? from : null;
  }
  for (let node = from; node !== null; node = node.nextSibling) {
    if (node.dataset?.key === key) return node;
  }
  return null;
}

function attributes(shown, fresh) {
  // Whether it is open is up to who looks at it.
  const keeps = (name) => shown.nodeName === "DETAILS" && name === "open";
  for (const { name } of [...shown.attributes]) {
    if (!fresh.hasAttribute(name) && !keeps(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
}

// What was done is not said again when the page is.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  address.searchParams.delete("count");
  history.replaceState(null, "", address);
}

// A browser has few connections to a server: a page that nobody sees needs none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect();
  else connect();
});
addEventListener("pagehide", disconnect);
addEventListener("pageshow", () => { if (!document.hidden) connect(); });
setInterval(() => { if (!document.hidden) refresh(); }, AGE_MS);
