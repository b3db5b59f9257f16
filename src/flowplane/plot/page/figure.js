// A figure: drawn in the width and theme of its place, moved by sliders, saved as a picture or a table.

const STEP = 130; // milliseconds a frame
const PAPER = 1000; // pixels across a figure on paper
const HALF = 460; // pixels across half a screen, where two panels stand side by side
const config = { displaylogo: false, displayModeBar: false, responsive: false, scrollZoom: false, doubleClick: "reset" };
const contents = JSON.parse(document.getElementById("figure-data").textContent);
const listed = (values) => (values === undefined || values === null ? null : Array.from(values, (v) => (ArrayBuffer.isView(v) || Array.isArray(v) ? Array.from(v) : v)));

// Names at points that would lie on each other: the later ones are lifted.
async function apart(element) {
  const notes = element.layout.annotations ?? [];
  const taken = [];
  const lifted = {};
  const movable = (k) => !notes[k].showarrow && notes[k].xref !== "paper" && notes[k].yref !== "paper";
  const drawn = [...element.querySelectorAll(".annotation")].map((part) => [Number(part.dataset.index), part.getBoundingClientRect()]);
  for (const [k, box] of drawn.sort(([a], [b]) => movable(a) - movable(b))) {
    let up = 0;
    if (movable(k)) {
      const hit = ({ left, right, top, bottom }) => left < box.right && box.left < right && top < box.bottom - up && box.top - up < bottom;
      for (let tries = 0; tries < 6; tries += 1) {
        const other = taken.find(hit);
        if (!other) break;
        up += box.bottom - up - other.top;
      }
      if (up) lifted[`annotations[${k}].yshift`] = (notes[k].yshift ?? 0) + up;
    }
    taken.push({ left: box.left, right: box.right, top: box.top - up, bottom: box.bottom - up });
  }
  if (Object.keys(lifted).length) await Plotly.relayout(element, lifted);
}

class Figure {
  constructor(name, element) {
    this.name = name;
    this.element = element;
    this.playing = null;
    this.take(contents[name]);
  }

  // What is drawn from now on; a frame or choice that was asked for stays, if there still is such, the others follow.
  take(content) {
    const place = (slider, label) => (slider ? (slider.labels.includes(label) ? slider.labels.indexOf(label) : slider.active) : null);
    const asked = (slider, k) => (slider && k !== slider.active ? slider.labels[k] : null);
    const [shown, chosen] = [asked(this.controls, this.frame), asked(this.choices, this.chosen)];
    this.content = content;
    this.controls = content.controls;
    this.choices = content.choice;
    this.labels = this.controls?.labels ?? [];
    this.frame = place(this.controls, shown);
    this.chosen = place(this.choices, chosen);
  }

  async draw() {
    const width = state.printing ? PAPER : this.element.clientWidth || 600;
    const dark = state.theme === "dark" && !state.printing;
    const panel = (trace) => `${trace.xaxis ?? "x"} ${trace.yaxis ?? "y"}`;
    const pictures = new Set(this.content.data.filter(({ type }) => ["heatmap", "contour", "image"].includes(type)).map(panel));
    const { data, frames, wide, middle, narrow, breakpoint } = this.content;
    const layout = state.printing || width >= breakpoint ? wide : middle && width >= HALF ? middle : narrow;
    const source = { data, layout, frames };
    const made = dark ? recolored(source, "", pictures.size > 0) : structuredClone(source);
    if (dark) { // signs on a picture, and light ones on a dark ground, stay as they are
      const ground = isDark(layout.plot_bgcolor);
      if (ground) made.layout.plot_bgcolor = layout.plot_bgcolor;
      if (isDark(layout.legend?.bgcolor)) made.layout.legend = structuredClone(layout.legend);
      const stays = (k) => ground || pictures.has(panel(data[k]));
      made.data = made.data.map((trace, k) => (stays(k) ? structuredClone(data[k]) : trace));
      made.frames.forEach((frame, step) => frame.data.forEach((_, part) => {
        if (stays(frame.traces?.[part] ?? part)) frame.data[part] = structuredClone(frames[step].data[part]);
      }));
    }
    made.layout.width = width;
    made.layout.uirevision = "kept"; // zoomed in by hand it stays so
    const drawn = `${width} ${dark}`;
    // with another layout Plotly.react would keep the margins of the first
    await (drawn === this.drawn ? Plotly.react : Plotly.newPlot)(this.element, { ...made, config });
    this.drawn = drawn;
    await apart(this.element);
    if (this.choices && this.chosen !== this.choices.active) await this.choose(this.chosen);
    if (this.controls && this.frame !== this.controls.active) await this.show(this.frame);
  }

  async redraw() {
    const width = state.printing ? PAPER : this.element.clientWidth || 600;
    if (this.drawn !== `${width} ${state.theme === "dark" && !state.printing}`) await this.draw();
  }

  async choose(k) {
    this.chosen = Math.min(Math.max(Math.round(k), 0), this.choices.labels.length - 1);
    this.says(this.choice, this.choices, this.chosen);
    await Plotly.restyle(this.element, { visible: this.choices.visible[this.chosen] });
  }

  async show(k) {
    this.frame = Math.min(Math.max(Math.round(k), 0), this.labels.length - 1);
    this.says(this.control, this.controls, this.frame);
    const frame = { duration: 0, redraw: this.controls.redraw };
    try {
      await Plotly.animate(this.element, [this.controls.frames[this.frame]], { mode: "immediate", frame, transition: { duration: 0 } });
    } catch (interrupted) {
      if (interrupted instanceof Error) throw interrupted; // Plotly refuses a frame that a later one overtook, with no error
    }
  }

  says(place, { labels, prefix }, k) {
    if (!place) return;
    const slider = place.querySelector("input");
    slider.value = String(k);
    slider.setAttribute("aria-valuetext", `${prefix} ${labels[k]}`);
    place.querySelector("output").textContent = labels[k];
  }

  play() {
    const go = async (k) => {
      await this.show(k);
      if (this.playing === null) return;
      if (k + 1 < this.labels.length) this.playing = setTimeout(() => go(k + 1), STEP);
      else this.pause();
    };
    this.playing = 0;
    this.button("❚❚ Pause", "Pause");
    go(this.frame >= this.labels.length - 1 ? 0 : this.frame + 1);
  }

  pause() {
    if (this.playing) clearTimeout(this.playing);
    this.playing = null;
    this.button("▶ Play", `Play through every ${this.controls.prefix}`);
  }

  button(text, label) {
    const play = this.control?.querySelector(".play");
    if (!play) return;
    play.textContent = text;
    play.setAttribute("aria-label", label);
  }

  wire(control) {
    this.control = control;
    this.says(control, this.controls, this.frame);
    const slider = control.querySelector("input");
    slider.addEventListener("input", () => {
      this.pause();
      this.show(Number(slider.value));
    });
    control.querySelector(".play").addEventListener("click", () => (this.playing === null ? this.play() : this.pause()));
    if (this.playing !== null) this.button("❚❚ Pause", "Pause");
  }

  wireChoice(choice) {
    this.choice = choice;
    this.says(choice, this.choices, this.chosen);
    const slider = choice.querySelector("input");
    slider.addEventListener("input", () => this.choose(Number(slider.value)));
  }

  wireExport(place) {
    for (const button of place.querySelectorAll("button")) button.addEventListener("click", () => this.save(button.dataset.kind));
  }

  // What the sliders show, in words; they are part of a picture's subtitle.
  shown() {
    const parts = [this.choices && [this.choices, this.chosen], this.controls && [this.controls, this.frame]];
    return parts.filter(Boolean).map(([slider, k]) => `${slider.prefix} ${slider.labels[k]}`);
  }

  // What is shown, on white and as wide as it was made, under its title.
  picture() {
    const { title, subtitle, width, above, wide, data, frames } = structuredClone(this.content);
    const frame = this.controls && this.frame !== this.controls.active ? frames.find(({ name }) => name === this.controls.frames[this.frame]) : null;
    frame?.data.forEach((part, k) => Object.assign(data[frame.traces?.[k] ?? k], part));
    data.forEach((trace, k) => { trace.visible = this.element.data[k].visible ?? true; });
    const layout = { ...wide, ...frame?.layout, width, height: wide.height + above, margin: { ...wide.margin, t: wide.margin.t + above } };
    for (const [key, axis] of Object.entries(this.element._fullLayout)) {
      if (/^[xy]axis/.test(key) && layout[key] && axis.range) Object.assign(layout[key], { range: axis.range, autorange: false });
    }
    const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    layout.title = {
      text: escaped(title), x: 0.02, xanchor: "left",
      subtitle: { text: escaped([subtitle, ...this.shown()].filter(Boolean).join(" · ")), font: { size: 12 } },
    };
    return { data, layout, config: { ...config, staticPlot: true } };
  }

  csv() {
    return table(this);
  }

  async save(kind) {
    if (kind !== "csv") {
      const picture = this.picture();
      const { width, height } = picture.layout;
      return Plotly.downloadImage(picture, { format: kind, filename: this.name, width, height, scale: kind === "png" ? 2 : 1 });
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv;charset=utf-8" }));
    link.download = `${this.name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  read() {
    return this.element._fullData.map((trace) => ({
      type: trace.type, name: trace.name, visible: trace.visible, x: listed(trace.x), y: listed(trace.y), z: listed(trace.z),
    }));
  }
}
