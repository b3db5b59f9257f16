/* Draws the figures of a report or a live page, moves their frames, and follows theme, width and printer.

   window.flowplane.ready                 a promise: all figures are drawn
   window.flowplane.figures[name]         one figure:
     .element                             where Plotly drew it
     .labels, .frame                      what the slider says at each frame; the frame shown, null for none
     .show(k), .leave()                   show a frame; show what stood there before any
     .choose(k), .chosen                  of a figure with a second slider: see the traces of a choice; the one that is seen
     .read()                              its traces as plain data: {type, name, visible, x, y, z}
   window.flowplane.put(part, markup, contents)  other words, tables and figures in a part of the page, a promise
   window.flowplane.theme, .setTheme(name)  "light" or "dark" */
(() => {
  "use strict";
  const contents = JSON.parse(document.getElementById("figure-data").textContent);
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const config = { displaylogo: false, displayModeBar: false, responsive: false, scrollZoom: false, doubleClick: "reset" };
  const STEP = 130; // milliseconds a frame
  const PAPER = 1000; // pixels across a figure on paper, which the style sheet makes smaller
  const HALF = 460; // pixels across half a screen, where two panels stand side by side
  const figures = {};
  let theme = system.matches ? "dark" : "light";
  let chosen = false;
  let printing = false;

  // -- colours: on a dark page greys are turned round, and what is too dark to see is made lighter ------------------

  const DARK = [24, 26, 31];
  const LIGHT = [232, 235, 240];

  function channels(text) {
    let found = /^#([0-9a-f]{3,8})$/i.exec(text);
    if (found) {
      const short = found[1].length < 6;
      const parts = found[1].match(short ? /./g : /../g).map((part) => parseInt(short ? part + part : part, 16));
      return [...parts.slice(0, 3), parts.length > 3 ? parts[3] / 255 : 1];
    }
    found = /^rgba?\(([^)]*)\)$/i.exec(text);
    if (found) {
      const parts = found[1].split(",").map(Number);
      return parts.length >= 3 && parts.every(Number.isFinite) ? [...parts.slice(0, 3), parts[3] ?? 1] : null;
    }
    return { white: [255, 255, 255, 1], black: [0, 0, 0, 1], grey: [128, 128, 128, 1], gray: [128, 128, 128, 1] }[text] ?? null;
  }

  const luminance = ([r, g, b]) => 0.2126 * (r / 255) ** 2.2 + 0.7152 * (g / 255) ** 2.2 + 0.0722 * (b / 255) ** 2.2;

  function darkened(text) {
    const color = channels(text);
    if (!color) return text;
    let rgb = color.slice(0, 3);
    if (Math.max(...rgb) - Math.min(...rgb) < 10) {
      const part = 1 - rgb[0] / 255;
      rgb = DARK.map((dark, k) => dark + part * (LIGHT[k] - dark));
    } else {
      for (let k = 0; k < 20 && luminance(rgb) < 0.16; k += 1) rgb = rgb.map((value) => value + 0.06 * (255 - value));
    }
    return `rgba(${rgb.map(Math.round).join(",")},${color[3]})`;
  }

  function recolored(value, key, picture) {
    if (typeof value === "string") return /color$/i.test(key) ? darkened(value) : value;
    if (Array.isArray(value)) {
      if (key === "colorscale") {
        return picture ? value : value.map((pair) => (Array.isArray(pair) ? [pair[0], darkened(pair[1])] : pair));
      }
      if (value.length && typeof value[0] === "number") return value;
      return value.map((part) => recolored(part, key, picture));
    }
    if (value && typeof value === "object") {
      if ("bdata" in value) return value;
      return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, recolored(part, name, picture)]));
    }
    return value;
  }

  // -- figures ------------------------------------------------------------------------------------------------------

  const listed = (values) => (values === undefined || values === null ? null : Array.from(values, (v) => (ArrayBuffer.isView(v) || Array.isArray(v) ? Array.from(v) : v)));

  class Figure {
    constructor(name, element) {
      this.name = name;
      this.element = element;
      this.labels = [];
      this.frame = null;
      this.playing = null;
      this.chosen = null;
      this.take(contents[name]);
    }

    // what is drawn from now on; frame and choice stay where they are, if there still are such
    take(content) {
      const [shown, chosen] = [this.labels[this.frame], this.content?.choice?.labels[this.chosen]];
      const place = (labels, label, without) => (labels && labels.includes(label) ? labels.indexOf(label) : without);
      this.content = content;
      this.labels = content.controls ? content.controls.labels : [];
      this.frame = place(this.labels, shown, null);
      this.chosen = content.choice ? place(content.choice.labels, chosen, content.choice.active) : null;
    }

    async draw() {
      const width = printing ? PAPER : this.element.clientWidth || 600;
      const dark = theme === "dark" && !printing;
      const picture = this.content.data.some((trace) => ["heatmap", "contour", "image"].includes(trace.type));
      const { data, frames, wide, middle, narrow, breakpoint } = this.content;
      const layout = printing || width >= breakpoint ? wide : middle && width >= HALF ? middle : narrow;
      const source = { data, layout, frames };
      const made = dark ? recolored(source, "", picture) : structuredClone(source);
      const ground = channels(layout.plot_bgcolor ?? "");
      if (dark && ground && Math.max(...ground.slice(0, 3)) < 40) { // light signs on a dark ground stay as they are
        Object.assign(made, structuredClone({ data, frames }));
        made.layout.plot_bgcolor = layout.plot_bgcolor;
      }
      made.layout.width = width;
      made.layout.uirevision = "kept"; // zoomed in by hand it stays so
      const drawn = `${width} ${dark}`;
      // with another layout Plotly.react would keep the margins of the first
      await (drawn === this.drawn ? Plotly.react : Plotly.newPlot)(this.element, { ...made, config });
      this.drawn = drawn;
      if (this.chosen !== null && this.chosen !== this.content.choice.active) await this.choose(this.chosen);
      if (this.frame !== null) await this.show(this.frame);
    }

    async choose(k) {
      const { labels, visible, prefix } = this.content.choice;
      this.chosen = Math.min(Math.max(Math.round(k), 0), labels.length - 1);
      if (this.choice) {
        const slider = this.choice.querySelector("input");
        slider.value = String(this.chosen);
        slider.setAttribute("aria-valuetext", `${prefix} ${labels[this.chosen]}`.trim());
        this.choice.querySelector("output").textContent = labels[this.chosen];
      }
      await Plotly.restyle(this.element, { visible: visible[this.chosen] });
    }

    async redraw() {
      const width = printing ? PAPER : this.element.clientWidth || 600;
      if (this.drawn !== `${width} ${theme === "dark" && !printing}`) await this.draw();
    }

    async show(k) {
      const place = Math.min(Math.max(Math.round(k), 0), this.labels.length - 1);
      this.frame = place;
      this.said(this.labels[place], place);
      const leave = this.control?.querySelector(".leave");
      if (leave) leave.disabled = false;
      const still = { mode: "immediate", frame: { duration: 0, redraw: true }, transition: { duration: 0 } };
      try {
        await Plotly.animate(this.element, [this.content.controls.frames[place]], still);
      } catch (interrupted) {
        if (interrupted instanceof Error) throw interrupted; // Plotly refuses a frame that a later one overtook, with no error
      }
    }

    async leave() {
      this.pause();
      const [label, update, traces] = this.content.controls.leave;
      this.frame = null;
      await Plotly.restyle(this.element, update, traces);
      this.said(label, 0);
      const leave = this.control?.querySelector(".leave");
      if (leave === document.activeElement) this.control.querySelector(".play").focus();
      if (leave) leave.disabled = true;
    }

    play() {
      const next = this.frame === null || this.frame >= this.labels.length - 1 ? 0 : this.frame + 1;
      const go = async (k) => {
        await this.show(k);
        if (this.playing === null) return;
        if (k + 1 < this.labels.length) this.playing = setTimeout(() => go(k + 1), STEP);
        else this.pause();
      };
      this.playing = 0;
      this.button("❚❚ Pause", "Pause");
      go(next);
    }

    pause() {
      if (this.playing) clearTimeout(this.playing);
      this.playing = null;
      this.button("▶ Play", `Play through every ${this.content.controls.prefix || "frame"}`);
    }

    button(text, label) {
      if (!this.control) return;
      const play = this.control.querySelector(".play");
      play.textContent = text;
      play.setAttribute("aria-label", label);
    }

    said(text, place) {
      if (!this.control) return;
      const slider = this.control.querySelector("input");
      slider.value = String(place);
      slider.setAttribute("aria-valuetext", `${this.content.controls.prefix} ${text}`.trim());
      this.control.querySelector("output").textContent = text;
    }

    wire(control) {
      this.control = control;
      const slider = control.querySelector("input");
      slider.addEventListener("input", () => {
        this.pause();
        this.show(Number(slider.value));
      });
      control.querySelector(".play").addEventListener("click", () => (this.playing === null ? this.play() : this.pause()));
      control.querySelector(".leave")?.addEventListener("click", () => this.leave());
      if (this.playing !== null) this.button("❚❚ Pause", "Pause");
    }

    wireChoice(choice) {
      this.choice = choice;
      const slider = choice.querySelector("input");
      slider.addEventListener("input", () => this.choose(Number(slider.value)));
    }

    read() {
      return this.element._fullData.map((trace) => ({
        type: trace.type, name: trace.name, visible: trace.visible, x: listed(trace.x), y: listed(trace.y), z: listed(trace.z),
      }));
    }
  }

  function adopt(root) {
    for (const element of root.querySelectorAll(".plot")) {
      figures[element.dataset.figure] ??= new Figure(element.dataset.figure, element);
    }
    for (const control of root.querySelectorAll(".controls")) figures[control.dataset.figure].wire(control);
    for (const choice of root.querySelectorAll(".choice")) figures[choice.dataset.figure].wireChoice(choice);
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

  const breath = () => new Promise((done) => setTimeout(done, 0));

  async function drawAll() {
    for (const figure of Object.values(figures)) {
      await figure.draw();
      await breath(); // the page answers between figures
    }
  }

  async function redrawAll() {
    for (const figure of Object.values(figures)) await figure.redraw();
  }

  // -- theme, width, printer ----------------------------------------------------------------------------------------

  const button = document.getElementById("theme");

  function setTheme(name) {
    theme = name;
    document.documentElement.dataset.theme = name;
    button.textContent = name === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-pressed", String(name === "dark"));
    return window.flowplane.ready.then(redrawAll);
  }

  let waiting = 0;
  const resized = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (!printing) redrawAll(); }, 120);
  };

  let closed = [];
  window.addEventListener("beforeprint", () => {
    printing = true;
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const part of closed) part.open = true;
    redrawAll();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    for (const part of closed) part.open = false;
    redrawAll();
  });

  window.flowplane = {
    figures,
    put,
    setTheme,
    get theme() { return theme; },
    ready: drawAll(),
  };
  setTheme(theme);
  button.addEventListener("click", () => { chosen = true; setTheme(theme === "dark" ? "light" : "dark"); });
  system.addEventListener("change", () => { if (!chosen) setTheme(system.matches ? "dark" : "light"); });
  window.flowplane.ready.then(() => {
    document.documentElement.dataset.ready = "true";
    window.addEventListener("resize", resized);
  });
})();
