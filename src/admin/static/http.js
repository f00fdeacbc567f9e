// Requests to the server this page came from.

/** A page of this site, parsed; null if it does not come. */
export async function fetchPage(url, signal) {
  try {
    const response = await fetch(url, { headers: { Accept: "text/html" }, signal });
    if (!response.ok || response.redirected) return null;
    return new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    return null;
  }
}

export async function fetchJson(url, signal) {
  const response = await fetch(url, { headers: { Accept: "application/json" }, signal });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]').content;
}

/** What a refusal says: the `detail` of a problem document, or a sentence of our own. */
export function sentence(status, body) {
  try {
    const problem = JSON.parse(body);
    if (problem.detail) return problem.detail;
  } catch {
    // A proxy in between answers in HTML.
  }
  if (status === 0) return "The connection broke off. Check it and try again.";
  if (status === 401 || status === 403) return "The session has ended. Sign in again in another tab, then try again.";
  if (status === 413) return "The file is larger than the server takes.";
  return `The server answered with ${status}. Try again in a moment.`;
}

/** Replaces an element by the one with the same id in another document; false if either is missing. */
export function swap(id, page) {
  const [old, next] = [document.getElementById(id), page.getElementById(id)];
  if (!old || !next) return false;
  const fresh = document.adoptNode(next);
  old.replaceWith(fresh);
  // app.js shows times in what is new.
  fresh.dispatchEvent(new CustomEvent("htmx:afterSettle", { bubbles: true }));
  return true;
}
