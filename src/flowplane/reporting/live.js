/* Asks the server of a live page what is new, as long as the page is looked at, and shows it. Dash calls `ask` every second,
   hands on what it returns, and calls `show` with the answer. */
(() => {
  "use strict";
  const LOST = 3; // questions without an answer after which the server counts as gone
  const state = document.getElementById("state");
  const heading = document.querySelector("h1");
  const about = document.getElementById("runs");
  const seen = {};
  let unanswered = 0;

  function say(text) {
    if (state.textContent !== text) state.textContent = text;
  }

  function ask(ticks) {
    if (document.hidden) return window.dash_clientside.no_update;
    if (unanswered >= LOST) say("flowplane watch does not answer: it has ended. Start it again, and the page goes on.");
    unanswered += 1;
    return { ticks, seen };
  }

  async function show(news) {
    if (!news) return;
    unanswered = 0;
    say(news.state);
    heading.textContent = news.title;
    document.title = `${news.title} – flowplane watch`;
    const fresh = Object.entries(news.parts).filter(([, part]) => "markup" in part);
    for (const [name, part] of fresh) seen[name] = part.token;
    for (const [name, part] of Object.entries(news.parts)) {
      const section = document.getElementById(name);
      const empty = !("markup" in part) && !section.querySelector(".part").hasChildNodes();
      section.setAttribute("aria-busy", String(part.busy));
      const waits = section.querySelector(".waits");
      const said = part.busy && (empty || part.markup === "") ? "computing…" : "";
      if (waits.textContent !== said) waits.textContent = said;
    }
    if (news.runs !== about.innerHTML) about.innerHTML = news.runs;
    for (const [name, part] of fresh) {
      await window.flowplane.put(document.querySelector(`#${name} .part`), part.markup, part.figures);
    }
  }

  window.dash_clientside = Object.assign(window.dash_clientside ?? {}, { flowplane: { ask, show } });
})();
