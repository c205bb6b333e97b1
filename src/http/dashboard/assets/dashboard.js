// Keeps a page up to date: follows the change feed, fetches the page again after a change, and
// applies the differences. Without it the page is the same, but static.

const { events, of } = document.getElementById("script").dataset;
const watched = JSON.parse(of);
const connection = document.getElementById("connection");

// The minimum interval between two requests, and the maximum age of relative times.
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

// Schedules a refresh, which covers all changes until then.
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
  // Limits the load of pages that take long to render.
  const took = performance.now() - begun;
  setTimeout(() => { busy = false; if (stale) refresh(); }, Math.min(3 * took, AGE_MS));
}

function takeOver(page) {
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const shown = document.getElementById(fresh.id);
    if (shown !== null) become(shown, fresh);
  }
}

// Makes `shown` equal to `fresh` without touching equal parts, so that focus, selection and
// screen reader position are preserved.
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

// Returns the sibling, from `from` on, that becomes `wanted`: the one with its key, otherwise
// the next one of the same kind.
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
  // The reader decides whether it is open.
  const keeps = (name) => shown.nodeName === "DETAILS" && name === "open";
  for (const { name } of [...shown.attributes]) {
    if (!fresh.hasAttribute(name) && !keeps(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
}

// The notice is not repeated after a refresh.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  address.searchParams.delete("count");
  history.replaceState(null, "", address);
}

// Browsers allow few connections per server: a hidden page needs none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect();
  else connect();
});
addEventListener("pagehide", disconnect);
addEventListener("pageshow", () => { if (!document.hidden) connect(); });
setInterval(() => { if (!document.hidden) refresh(); }, AGE_MS);
