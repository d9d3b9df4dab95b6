// Polls for newly published figures every few seconds and updates the page without a reload.
// It requests from this server only and never evaluates text as a script.
(() => {
  "use strict";
  const EVERY = 3000;
  const news = document.getElementById("news");
  let gone = false;

  // The cookie carries the token now, so remove it from the address bar and the history.
  const here = new URL(location.href);
  if (here.searchParams.has("token")) {
    here.searchParams.delete("token");
    history.replaceState(null, "", here.pathname + here.search + here.hash);
  }

  function say(text) {
    const line = document.createElement("p");
    line.textContent = text;
    news.replaceChildren(line);
  }

  // Adds tooltips to the marks of a chart; screen readers already have the label.
  function name(part) {
    for (const mark of part.querySelectorAll(".chart [role='graphics-symbol'][aria-label]")) {
      if (mark.querySelector("title")) continue;
      const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
      title.textContent = mark.getAttribute("aria-label");
      mark.append(title);
    }
  }

  async function replace(mark) {
    const main = document.getElementById("content");
    const typing = main.contains(document.activeElement) && document.activeElement.matches("input, select");
    if (typing || main.querySelector("[data-keep]")) {
      say("A sync has published new figures. Reload this page to see them.");
      document.body.dataset.mark = mark;
      return;
    }
    const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = made.getElementById("content");
    const focused = document.activeElement?.getAttribute?.("href");
    main.replaceChildren(...next.childNodes);
    document.title = made.title;
    document.body.dataset.mark = made.body.dataset.mark;
    name(main);
    if (focused) [...main.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus();
    say(`New figures were published; this page shows them since ${new Date().toLocaleTimeString()}.`);
  }

  async function look() {
    if (document.hidden) return;
    try {
      const answer = await fetch("/mark", { headers: { Accept: "application/json" } });
      if (answer.status === 401) { say("This page is locked, because rmetrics serve was restarted. Open its new address."); return; }
      if (gone) { gone = false; news.replaceChildren(); }
      if (!answer.ok) return;
      const { mark } = await answer.json();
      if (mark !== document.body.dataset.mark) await replace(mark);
    } catch {
      if (!gone) say("rmetrics serve has stopped. These are the last figures it showed.");
      gone = true;
    }
  }

  name(document);
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
})();
