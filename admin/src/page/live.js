"use strict";
// Brings the page's parts in again every three seconds, and says when the daemon has not answered. Without this
// script the browser loads the whole page again.
(() => {
  const every = 3000;
  const patience = 10000;
  const root = document.documentElement;
  const live = document.getElementById("live");
  const parts = (page) => [...page.querySelectorAll("[data-part]")];
  const shown = new Map(parts(document).map((part) => [part.id, part.outerHTML]));
  let heard = live.textContent;
  let turns = 0;

  // A part that is replaced keeps what the reader has opened, where he has scrolled to, and where the keyboard is.
  function replace(old, fresh) {
    const opened = [...old.querySelectorAll("details[open]")].map((one) => one.id);
    const scrolled = [...old.querySelectorAll(".wide")].map((one) => one.scrollLeft);
    const focused = old.contains(document.activeElement) ? path(old, document.activeElement) : null;
    for (const id of opened) {
      const one = fresh.querySelector(`#${CSS.escape(id)}`);
      if (one) one.open = true;
    }
    old.replaceWith(fresh);
    fresh.querySelectorAll(".wide").forEach((one, place) => { one.scrollLeft = scrolled[place] || 0; });
    if (focused) focus(fresh, focused);
  }
  function path(from, node) {
    const places = [];
    for (; node !== from; node = node.parentElement) places.unshift([...node.parentElement.children].indexOf(node));
    return places;
  }
  function focus(from, places) {
    const node = places.reduce((one, place) => one && one.children[place], from);
    if (node) node.focus({ preventScroll: true });
  }

  function take(page) {
    for (const part of parts(page)) {
      const old = document.getElementById(part.id);
      if (!old || shown.get(part.id) === part.outerHTML) continue;
      shown.set(part.id, part.outerHTML);
      replace(old, part);
    }
    document.title = page.title;
    document.getElementById("icon").href = page.getElementById("icon").href;
    heard = page.getElementById("live").textContent;
    live.textContent = heard;
    root.classList.remove("stale");
    root.classList.add("on");
    root.dataset.turns = String(++turns);
  }

  async function turn() {
    if (document.hidden) return;
    let said;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(patience) });
      if (answer.status === 401) return location.reload();
      if (answer.ok) return take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      said = `the daemon answers ${answer.status}`;
    } catch {
      said = "the daemon does not answer";
    }
    root.classList.remove("on");
    root.classList.add("stale");
    live.textContent = `${said}: what you see is old, ${heard}`;
    document.title = document.title.replace(/^(\? )?/, "? ");
  }

  (async () => {
    for (;;) {
      await new Promise((done) => setTimeout(done, every));
      await turn();
    }
  })();
  document.addEventListener("visibilitychange", turn);
})();
