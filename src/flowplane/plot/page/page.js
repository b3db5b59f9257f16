/* Draws a page's figures, and follows theme, width and printer.

   window.flowplane.ready                 a promise: all figures are drawn
   window.flowplane.figures[name]         one figure:
     .element                             where Plotly drew it
     .labels, .frame                      what the slider says at each frame; the frame shown
     .show(k)                             show a frame
     .choose(k), .chosen                  of a figure with a second slider: see the traces of a choice; the one that is seen
     .csv(), .save("svg" | "png" | "csv") what it shows as a table; save it
     .read()                              its traces as plain data: {type, name, visible, x, y, z}
   window.flowplane.put(part, markup, contents)  other words, tables and figures in a part of the page, a promise
   window.flowplane.theme, .setTheme(name)  "light" or "dark" */

const figures = {};
const breath = () => new Promise((done) => setTimeout(done, 0));

async function drawAll() {
  if (typeof Plotly === "undefined") {
    for (const { element } of Object.values(figures)) element.textContent = "This figure needs the file of plotly.js that was saved in the same folder.";
    return;
  }
  for (const figure of Object.values(figures)) {
    await figure.draw();
    await breath(); // the page answers between figures
  }
}

async function redrawAll() {
  for (const figure of Object.values(figures)) await figure.redraw();
}

const button = document.getElementById("theme");

function setTheme(name) {
  state.theme = name;
  document.documentElement.dataset.theme = name;
  button.textContent = name === "dark" ? "Light" : "Dark";
  return window.flowplane.ready.then(redrawAll);
}

let waiting = 0;
const resized = () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { if (!state.printing) redrawAll(); }, 120);
};

let closed = [];
window.addEventListener("beforeprint", () => {
  state.printing = true;
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const part of closed) part.open = true;
  redrawAll();
});
window.addEventListener("afterprint", () => {
  state.printing = false;
  for (const part of closed) part.open = false;
  redrawAll();
});

function adopt(root) {
  for (const element of root.querySelectorAll(".plot")) figures[element.dataset.figure] ??= new Figure(element.dataset.figure, element);
  for (const place of root.querySelectorAll(".controls")) figures[place.dataset.figure].wire(place);
  for (const place of root.querySelectorAll(".choice")) figures[place.dataset.figure].wireChoice(place);
  for (const place of root.querySelectorAll(".export")) figures[place.dataset.figure].wireExport(place);
}

adopt(document);

// of a live page: other words, tables and figures in a part of it; a figure that is there already stays where it is, as do
// the focus and what is open
async function put(part, markup, given) {
  Object.assign(contents, given);
  const fresh = document.createElement("template");
  fresh.innerHTML = markup;
  const before = [...part.querySelectorAll(".plot")];
  const reached = () => [...part.querySelectorAll("button, input, summary, [tabindex]")];
  const focus = reached().indexOf(document.activeElement);
  const open = [...part.querySelectorAll("details")].map((each) => each.open);
  for (const element of fresh.content.querySelectorAll(".plot")) {
    const known = figures[element.dataset.figure];
    if (!known) continue;
    known.take(contents[known.name]);
    known.element.setAttribute("aria-label", element.getAttribute("aria-label"));
    element.replaceWith(known.element);
  }
  part.replaceChildren(fresh.content);
  for (const element of before.filter((each) => !each.isConnected)) {
    clearTimeout(figures[element.dataset.figure].playing);
    Plotly.purge(element);
    delete figures[element.dataset.figure];
  }
  adopt(part);
  part.querySelectorAll("details").forEach((each, k) => { each.open = open[k] ?? each.open; });
  if (focus >= 0) reached()[focus]?.focus({ preventScroll: true });
  for (const element of part.querySelectorAll(".plot")) {
    await figures[element.dataset.figure].draw();
    await breath();
  }
}

window.flowplane = {
  figures,
  put,
  setTheme,
  get theme() { return state.theme; },
  ready: drawAll(),
};
setTheme(state.theme);
button.addEventListener("click", () => {
  state.chosen = true;
  setTheme(state.theme === "dark" ? "light" : "dark");
});
state.system.addEventListener("change", () => { if (!state.chosen) setTheme(state.system.matches ? "dark" : "light"); });
window.flowplane.ready.then(() => {
  document.documentElement.dataset.ready = "true";
  window.addEventListener("resize", resized);
});
